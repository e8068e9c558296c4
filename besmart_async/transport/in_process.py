"""An HTTP transport that calls an ASGI application in this process, without a socket."""

from __future__ import annotations

from typing import Any

import httpx


def in_process(app: Any) -> httpx.AsyncBaseTransport:
    """Return a transport to `app`, such as `Simulator().app`, for `BesmartClient(transport=...)`.

    A `ConnectionResetError` that the application raises arrives as a broken connection, as it would over a socket.
    """
    return _InProcessTransport(app)


class _InProcessTransport(httpx.AsyncBaseTransport):
    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=True)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._inner.handle_async_request(request)
        except ConnectionResetError as error:
            raise httpx.ReadError(f"connection reset: {error}", request=request) from error
