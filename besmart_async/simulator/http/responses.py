"""The forms of answers: what the service says, in the words of the dialect."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import attrs
import orjson

from besmart_async.simulator.http.refusals import Refusal
from besmart_async.simulator.settings import Settings

JSON = "application/json"
_BARE = {404: "Resource not found", 405: "NotAllowed", 409: "Conflict", 403: "Forbidden"}
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


def done(settings: Settings) -> ServiceResponse:
    """A change was made: 200 `"OK"`, or 204 on the live service."""
    return ServiceResponse(204, media=None) if settings.live else ServiceResponse.of(200, "OK")


def refused(refusal: Refusal, settings: Settings, headers: Headers = ()) -> ServiceResponse:
    """The error answer for a refusal, in the dialect's form."""
    status, message = refusal.status, refusal.message
    if settings.live:
        return _refused_live(refusal, headers)
    # The document shows a JSON string that holds a Python-style dict for 422, a bare string for the others.
    value = str({"status_code": -1, "message": message}) if status == 422 else _BARE.get(status, message)
    return attrs.evolve(ServiceResponse.of(status, value), headers=headers)


def _refused_live(refusal: Refusal, headers: Headers) -> ServiceResponse:
    status, message = refusal.status, refusal.message
    if status == 422:
        items = [{"loc": list(refusal.where), "msg": message, "type": "value_error"}]
        return ServiceResponse(status, orjson.dumps({"detail": items}), headers=headers)
    if status in (401, 403, 405):
        title = HTTPStatus(status).phrase
        problem = {"type": "about:blank", "title": title, "status": status, "detail": message}
        return ServiceResponse(status, orjson.dumps(problem), "application/problem+json", headers)
    return ServiceResponse(status, orjson.dumps({"detail": message}), headers=headers)


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
