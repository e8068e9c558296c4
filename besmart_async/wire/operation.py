"""`Operation[T]`: one call of the API as a frozen value. Resources declare it, the transport carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Generic, Protocol, TypeVar

import attrs

from besmart_async.errors import Response

T = TypeVar("T")


class Auth(Enum):
    """Which credentials go with an operation."""

    BEARER = "bearer"
    """`Authorization: Bearer <token>`, from the token middleware."""
    API_KEY = "api_key"
    """`X-Auth: <api key>`; login only."""
    NONE = "none"
    """No credentials, and no login before it."""


@attrs.frozen(kw_only=True)
class Operation(Generic[T]):
    """One call of the API.

    Attributes:
        name: namespace and method, such as `"sensors.get"`; it names the operation in errors and events.
        method: HTTP method.
        path: the path with its `{placeholders}`, relative to the base URL.
        path_params: values of the placeholders.
        query: query parameters as sent, in order; what is None was left out.
        body: the request body, already serialized; None for none.
        content_type: media type of the body.
        replay: whether sending it twice does no harm. No default: each operation says so itself.
        writes: whether it changes something, so that its failures have an outcome.
        decode: makes the result of a 2xx answer; raises `DecodeError`.
        auth: which credentials go with it.
        done_if_repeated: error statuses that, after an earlier try's answer was lost, say that the try had worked
            (404 when deleting).
    """

    name: str
    method: str
    path: str
    replay: bool
    writes: bool
    decode: Callable[[Response], T] = attrs.field(repr=False)
    path_params: Mapping[str, int | str] = attrs.field(factory=dict[str, int | str])
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = attrs.field(default=None, repr=False)
    content_type: str | None = None
    auth: Auth = Auth.BEARER
    done_if_repeated: frozenset[int] = frozenset()

    @property
    def target(self) -> str:
        """The path with its placeholders filled in."""
        return self.path.format_map(self.path_params)

    @property
    def body_bytes(self) -> int:
        """Size of the body, 0 for none."""
        return len(self.body) if self.body is not None else 0


class OperationSender(Protocol):
    """What carries operations out; the transport does, and so does anything a test puts in its place."""

    async def send(self, operation: Operation[T], *, attempts: int | None = None) -> T:
        """Carry out one operation and return its result, trying `attempts` times at most."""
        ...
