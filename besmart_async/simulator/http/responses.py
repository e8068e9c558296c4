"""A whole answer before it is sent. The form of its content is the dialect's, see `simulator/dialect.py`."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import attrs
import orjson

JSON = "application/json"
Headers = tuple[tuple[str, str], ...]


@attrs.frozen
class ServiceResponse:
    """A whole answer before it is sent."""

    status: int
    body: bytes = b""
    media: str | None = JSON
    headers: Headers = ()

    @classmethod
    def of(cls, status: int, value: Any) -> ServiceResponse:
        """An answer that carries JSON."""
        return cls(status, orjson.dumps(value))


def too_large() -> ServiceResponse:
    """What nginx in front of the service answers to a body above its limit."""
    page = (
        "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n"
        "<center><h1>413 Request Entity Too Large</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
    return ServiceResponse(413, page.encode(), "text/html")


def http_date(at_ms: float) -> str:
    """A time as the `Date` header has it: whole seconds, cut off."""
    return formatdate(int(at_ms // 1000), usegmt=True)
