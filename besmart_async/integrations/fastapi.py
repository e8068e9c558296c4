"""Client, reader and writer of a FastAPI application (extra `fastapi`), and HTTP answers to their errors.

    app = FastAPI(lifespan=besmart_lifespan(make_writer=lambda client: client.writer(journal="journal")))
    add_error_handlers(app)

    @app.get("/readings/{key}")
    async def readings(key: str, reader: ReaderDependency) -> ...:

An application with a lifespan of its own enters this one in it: `async with besmart_lifespan()(app) as state:`, and
yields `state`, or what has it in it.

In tests, give `make_client`, or set `app.dependency_overrides[client_of]`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, TypeVar

from besmart_async.batching.read.reader import Reader
from besmart_async.batching.write.writer import Writer
from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartConfigError, BesmartError
from besmart_async.integrations.answers import Answer
from besmart_async.integrations.shutdown import drained

try:
    from fastapi import Depends, FastAPI
    from fastapi.requests import HTTPConnection
    from fastapi.responses import JSONResponse
    from fastapi.websockets import WebSocket, WebSocketState
except ModuleNotFoundError as error:
    hint = "FastAPI is missing: pip install 'besmart-async[fastapi]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

_CLIENT, _READER, _WRITER = "besmart_client", "besmart_reader", "besmart_writer"
"""Names in the state of the application."""
_LONGEST_REASON = 123  # bytes, RFC 6455, 5.5

T = TypeVar("T")


def _reader_of(client: BesmartClient) -> Reader:
    return client.reader()


def _writer_of(client: BesmartClient) -> Writer:
    return client.writer()


def besmart_lifespan(
    make_client: Callable[[], BesmartClient] = BesmartClient.from_env,
    *,
    make_reader: Callable[[BesmartClient], Reader] = _reader_of,
    make_writer: Callable[[BesmartClient], Writer] = _writer_of,
) -> Callable[[FastAPI], AbstractAsyncContextManager[dict[str, object]]]:
    """Return a lifespan for `FastAPI(lifespan=...)`: client, reader and writer of the application.

    They are made when it starts. At shutdown the writer delivers what it accepted, for `BatchPolicy.close_timeout_s` at
    most: keep that below what the host allows. What then stays in a journal is logged as a warning; readings that are
    lost are an `UndeliveredError`, which fails the shutdown.

    All three are in the lifespan's state, so that mounted applications find them, and in `app.state`.

    Args:
        make_client: called once per start of an application, in its event loop.
        make_reader: makes the reader, such as `lambda client: client.reader(ReadPolicy(...))`.
        make_writer: makes the writer, such as `lambda client: client.writer(journal="...", on_reject=...)`.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, object]]:
        async with (
            make_client() as client,
            make_reader(client) as reader,
            drained(make_writer(client)) as writer,
        ):
            state: dict[str, object] = {_CLIENT: client, _READER: reader, _WRITER: writer}
            for name, part in state.items():
                setattr(app.state, name, part)
            try:
                yield state
            finally:
                for name in state:
                    delattr(app.state, name)

    return lifespan


def client_of(connection: HTTPConnection) -> BesmartClient:
    """Return the client of the application that serves a request or websocket; a FastAPI dependency.

    Raises:
        BesmartConfigError: the application has none, or was not started.
    """
    return _part(connection, _CLIENT, BesmartClient)


def reader_of(connection: HTTPConnection) -> Reader:
    """Return the reader of the application, whose reads share bulk calls; a FastAPI dependency.

    Raises:
        BesmartConfigError: as `client_of`.
    """
    return _part(connection, _READER, Reader)


def writer_of(connection: HTTPConnection) -> Writer:
    """Return the writer of the application, whose writes share bulk calls; a FastAPI dependency.

    Raises:
        BesmartConfigError: as `client_of`.
    """
    return _part(connection, _WRITER, Writer)


def _part(connection: HTTPConnection, name: str, kind: type[T]) -> T:
    found: object = getattr(connection.state, name, None) or getattr(connection.app.state, name, None)
    if isinstance(found, kind):
        return found
    what = name.removeprefix("besmart_")
    raise BesmartConfigError(f"this application has no {what}: start it with FastAPI(lifespan=besmart_lifespan())")


BesmartDependency = Annotated[BesmartClient, Depends(client_of)]
"""For a parameter that takes the application's client."""
ReaderDependency = Annotated[Reader, Depends(reader_of)]
"""For a parameter that takes the application's reader."""
WriterDependency = Annotated[Writer, Depends(writer_of)]
"""For a parameter that takes the application's writer."""


def add_error_handlers(app: FastAPI) -> None:
    """Let `app` answer errors of this package as `answer_to` says, and log them: as errors where no caller is at fault.

    A websocket is closed: with 1008 for a caller's fault, else 1011. Handlers for single errors may be added as well.
    """

    async def handle(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
        assert isinstance(error, BesmartError)  # noqa: S101 - it is registered for these
        answer = Answer.to(error)
        answer.log(error)
        if not isinstance(connection, WebSocket):
            return answer_to(error)
        if connection.client_state is not WebSocketState.DISCONNECTED:
            reason = answer.body["detail"].encode()[:_LONGEST_REASON].decode(errors="ignore")
            await connection.close(1011 if answer.status >= 500 else 1008, reason)
        return None

    app.add_exception_handler(BesmartError, handle)  # type: ignore[arg-type]


def answer_to(error: BesmartError) -> JSONResponse:
    """Return the HTTP answer an error means to the application's own caller; see `Answer`."""
    answer = Answer.to(error)
    return JSONResponse(answer.body, answer.status, answer.headers or None)
