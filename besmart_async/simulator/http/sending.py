"""Sending an answer to the client: whole, slowly, in part, or not at all.

A connection can only be ended on a real socket. The server puts callables into the ASGI scope's extensions for that;
in-process there are none, and `ConnectionResetError` out of the application stands for the lost connection.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import attrs
import orjson

from besmart_async.simulator.dialect import dialect_of
from besmart_async.simulator.faults import Fault
from besmart_async.simulator.http.refusals import Refusal
from besmart_async.simulator.http.requests import RecordedRequest
from besmart_async.simulator.http.responses import ServiceResponse, http_date
from besmart_async.simulator.settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

ABORT = "besmart.abort"
CLOSE = "besmart.close"
_PIECES = 8
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\r\n"


async def end_connection(scope: Scope, receive: Receive, how: str) -> None:
    """Reset (`ABORT`) or close (`CLOSE`) the connection and wait until the server knows it is gone.

    Raises:
        ConnectionResetError: In-process, where there is no connection.
    """
    end = scope.get("extensions", {}).get(how)
    if end is None:
        raise ConnectionResetError("the simulator ended the connection")
    end()
    while (await receive())["type"] != "http.disconnect":
        pass


@attrs.define
class ResponseSender:
    """Sends one answer."""

    scope: Scope
    receive: Receive
    _send: Send
    settings: Settings
    record: RecordedRequest

    async def send(self, answer: ServiceResponse, *, close: bool = False) -> None:
        """Send the answer as it is."""
        if close:
            answer = attrs.evolve(answer, headers=(*answer.headers, ("connection", "close")))
        await self._start(answer, 0.0)
        await self._send({"type": "http.response.body", "body": answer.body})

    async def send_faulty(
        self, answer: ServiceResponse, fault: Fault, hit: list[Fault], randomness: random.Random
    ) -> None:
        """Send the answer with the faults applied."""
        answer = self._changed(answer, fault, randomness)
        await self._start(answer, sum(f.date_skew_s for f in hit))
        speeds = [f.bytes_per_s for f in hit if f.bytes_per_s is not None]
        body = answer.body
        if fault.truncate_at is not None:
            whole = isinstance(fault.truncate_at, int)
            kept = fault.truncate_at if whole else fault.truncate_at * len(body)
            body = body[: min(int(kept), max(len(body) - 1, 0))]
        if speeds:
            await self._send_slowly(body, min(speeds))
            body = b""
        if fault.truncate_at is None:
            await self._send({"type": "http.response.body", "body": body})
            return
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        await end_connection(self.scope, self.receive, CLOSE)

    async def _start(self, answer: ServiceResponse, skew_s: float) -> None:
        headers = [("date", http_date(self.settings.now_ms() + skew_s * 1000.0)), *answer.headers]
        if answer.status != 204:
            headers.append(("content-length", str(len(answer.body))))
        if answer.media is not None:
            headers.append(("content-type", answer.media))
        self.record.status = answer.status
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": raw})

    async def _send_slowly(self, body: bytes, bytes_per_s: float) -> None:
        size = -(-len(body) // _PIECES) or 1
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            await asyncio.sleep(len(piece) / bytes_per_s)
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    def _changed(self, answer: ServiceResponse, fault: Fault, randomness: random.Random) -> ServiceResponse:
        if fault.status is not None:
            answer = self._own(fault, fault.status)
        if fault.garbage:
            answer = attrs.evolve(answer, body=b"\x00{" + randomness.randbytes(64), media=answer.media)
        if fault.html:
            answer = attrs.evolve(answer, body=_PAGE, media="text/html")
        if (fault.garbage or fault.html) and answer.status == 204:
            answer = attrs.evolve(answer, status=200)
        return self._with_headers(answer, fault)

    def _own(self, fault: Fault, status: int) -> ServiceResponse:
        if fault.body is None and status >= 400:
            return dialect_of(self.settings).refused(Refusal(status, _MESSAGES.get(status, "ServerError")))
        if fault.body is None:
            return ServiceResponse(status, media=None)
        if isinstance(fault.body, bytes):
            return ServiceResponse(status, fault.body)
        text = fault.body.encode() if isinstance(fault.body, str) else orjson.dumps(fault.body)
        return ServiceResponse(status, text)

    def _with_headers(self, answer: ServiceResponse, fault: Fault) -> ServiceResponse:
        headers = list(fault.headers.items())
        if fault.retry_after is not None:
            headers.append(("retry-after", str(fault.retry_after)))
        if fault.retry_after_date_s is not None:
            at = self.settings.now_ms() + fault.retry_after_date_s * 1000.0
            headers.append(("retry-after", http_date(at)))
        media = fault.content_type if fault.content_type is not None else answer.media
        return attrs.evolve(answer, headers=(*answer.headers, *headers), media=media)


_MESSAGES = {
    401: "Not valid authentication credentials",
    403: "Forbidden",
    404: "Resource not found",
    422: "An error occured",
    429: "Too many requests",
    501: "NotImplemented",
}
