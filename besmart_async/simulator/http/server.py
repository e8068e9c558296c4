"""The service on a real socket: uvicorn's HTTP protocol in the running loop, without its server loop and signals.

`uvicorn.Server` would tick, install signal handlers and wait for open connections when it stops. Here the protocol is
used alone, so stopping is immediate: connections are aborted, requests under way (hung ones too) are cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import signal
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from besmart_async.simulator.http.sending import ABORT, CLOSE

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: closing sends RST


class RunningServer:
    """A socket that serves the application until `stop`."""

    def __init__(self, app: ASGIApp, *, keep_alive_s: float = 75.0) -> None:
        self._app = app
        self._keep_alive_s = keep_alive_s
        self._server: asyncio.Server | None = None
        self._state: Any = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port.

        Raises:
            OSError: If the address cannot be used.
            ModuleNotFoundError: If uvicorn is not installed.
        """
        try:
            from uvicorn.config import Config  # noqa: PLC0415  # only serving needs uvicorn
            from uvicorn.server import ServerState  # noqa: PLC0415
        except ModuleNotFoundError as error:
            hint = "serving the embedded service needs uvicorn: pip install 'besmart-async[simulator]'"
            raise ModuleNotFoundError(hint, name=error.name) from error

        http: Any = "httptools" if importlib.util.find_spec("httptools") else "h11"
        config = Config(
            self._app,
            http=http,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=int(self._keep_alive_s),
        )
        config.load()
        self._state = ServerState()
        protocol = _breakable(config.http_protocol_class)
        make = functools.partial(protocol, config, self._state, {})
        self._server = await asyncio.get_running_loop().create_server(make, host, port, backlog=2048)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the socket, abort the connections, end the requests under way."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        await asyncio.sleep(0)  # what was just accepted becomes a connection
        for connection in list(self._state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the connections learn that they are gone, so their requests end quietly
        tasks = list(self._state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


def _breakable(base: Any) -> Any:
    """The protocol class, giving the application the means to end its connection."""

    class BreakableProtocol(base):  # type: ignore[misc]
        app: ASGIApp

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            inner = self.app

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                scope.setdefault("extensions", {}).update(
                    {ABORT: functools.partial(_reset, transport), CLOSE: transport.close}
                )
                with contextlib.suppress(asyncio.CancelledError):  # only `stop` cancels, and then nobody listens
                    await inner(scope, receive, send)

            self.app = app

    return BreakableProtocol


def _reset(transport: asyncio.Transport) -> None:
    connection = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


async def until_signalled(on_ready: Callable[[], None]) -> None:
    """Wait for SIGINT, SIGTERM or cancellation; where signals cannot be handled, for cancellation."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    handled: list[signal.Signals] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not in a thread, and not on Windows.
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
            handled.append(number)
    try:
        on_ready()
        await stop.wait()
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
