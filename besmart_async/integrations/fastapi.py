"""One client per FastAPI application (extra `fastapi`), and HTTP answers to its errors.

    app = FastAPI(lifespan=besmart_lifespan())
    add_error_handlers(app)

    @app.get("/readings/{key}")
    async def readings(key: str, client: BesmartDependency) -> ...:

An application with a lifespan of its own enters this one in it: `async with besmart_lifespan()(app) as state:`, and
yields `state`, or what has it in it.

In tests, give `make_client`, or set `app.dependency_overrides[client_of]`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated

from besmart_async.client import BesmartClient
from besmart_async.errors import (
    ApiError,
    BesmartConfigError,
    BesmartError,
    ConflictError,
    ConnectError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    RequestTimeoutError,
    TransportError,
    UnprocessableError,
)
from besmart_async.logs import logger

try:
    from fastapi import Depends, FastAPI
    from fastapi.requests import HTTPConnection
    from fastapi.responses import JSONResponse
    from fastapi.websockets import WebSocket, WebSocketState
except ModuleNotFoundError as error:
    hint = "FastAPI is missing: pip install 'besmart-async[fastapi]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

_STATE = "besmart_client"
_LONGEST_REASON = 123  # bytes, RFC 6455, 5.5

_ANSWERS: tuple[tuple[type[BesmartError], int, str], ...] = (
    # What the caller of the application can do something about.
    (InvalidInputError, 422, "not valid"),
    (NotFoundError, 404, "besmart knows no such resource"),
    (ConflictError, 409, "it contradicts what besmart holds"),
    (PayloadTooLargeError, 413, "too much at once for besmart"),
    (UnprocessableError, 422, "besmart refuses the content"),
    # What it cannot, other than to try again later. A refused login or right is the application's, not its caller's.
    (RateLimitError, 503, "besmart is busy"),
    (ConnectError, 503, "besmart cannot be reached"),
    (RequestTimeoutError, 504, "besmart did not answer in time"),
    (TransportError, 502, "the connection to besmart broke"),
    (DecodeError, 502, "besmart's answer is not understood"),
    (ApiError, 502, "besmart failed"),
    (BesmartError, 500, "this application cannot use besmart"),
)


def besmart_lifespan(
    make_client: Callable[[], BesmartClient] = BesmartClient.from_env,
) -> Callable[[FastAPI], AbstractAsyncContextManager[dict[str, BesmartClient]]]:
    """Return a lifespan for `FastAPI(lifespan=...)`: it makes the app's client at start and closes it at shutdown.

    The client is in the lifespan's state, so that mounted applications find it, and in `app.state`.

    Args:
        make_client: called once per start of an application, in its event loop.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, BesmartClient]]:
        async with make_client() as client:
            setattr(app.state, _STATE, client)
            try:
                yield {_STATE: client}
            finally:
                delattr(app.state, _STATE)

    return lifespan


def client_of(connection: HTTPConnection) -> BesmartClient:
    """Return the client of the application that serves a request or websocket; a FastAPI dependency.

    Raises:
        BesmartConfigError: the application has none, or was not started.
    """
    client: object = getattr(connection.state, _STATE, None) or getattr(connection.app.state, _STATE, None)
    if isinstance(client, BesmartClient):
        return client
    raise BesmartConfigError("this application has no client: start it with FastAPI(lifespan=besmart_lifespan())")


BesmartDependency = Annotated[BesmartClient, Depends(client_of)]
"""For a parameter that takes the application's client."""


def add_error_handlers(app: FastAPI) -> None:
    """Let `app` answer errors of this package as `answer_to` says, and log them: as errors where no caller is at fault.

    A websocket is closed: with 1008 for a caller's fault, else 1011. Handlers for single errors may be added as well.
    """

    async def handle(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
        assert isinstance(error, BesmartError)  # noqa: S101 - it is registered for these
        status, detail = _status_and_detail(error)
        if status >= 500:
            logger.error("answered %d, since a besmart call failed: %s", status, error, exc_info=error)
        else:
            logger.info("answered %d: %s", status, error)
        if not isinstance(connection, WebSocket):
            return answer_to(error)
        if connection.client_state is not WebSocketState.DISCONNECTED:
            reason = detail.encode()[:_LONGEST_REASON].decode(errors="ignore")
            await connection.close(1011 if status >= 500 else 1008, reason)
        return None

    app.add_exception_handler(BesmartError, handle)  # type: ignore[arg-type]


def answer_to(error: BesmartError) -> JSONResponse:
    """Return the HTTP answer an error means to the application's own caller.

    404, 409, 413 and 422 pass on; everything else becomes 502, 503 (with Retry-After, if the service gave it) or 504,
    and 500 where the application itself is at fault. The body has `detail`, in fixed words that hold nothing of the
    service's, and after writes the `outcome` (`"in_doubt"`: do not just repeat).
    """
    status, detail = _status_and_detail(error)
    body = {"detail": detail} if error.outcome is None else {"detail": detail, "outcome": error.outcome}
    wait_s = error.retry_after_s if isinstance(error, ApiError) else None
    headers = {"Retry-After": f"{-(-wait_s // 1):.0f}"} if status == 503 and wait_s is not None else None
    return JSONResponse(body, status, headers)


def _status_and_detail(error: BesmartError) -> tuple[int, str]:
    status, detail = next((status, detail) for kind, status, detail in _ANSWERS if isinstance(error, kind))
    if isinstance(error, InvalidInputError):
        detail = f"{error.field}: {detail}"
    if isinstance(error, ApiError) and error.status in {503, 504}:
        return error.status, "besmart is not available"
    return status, detail
