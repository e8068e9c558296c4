"""A service that takes everything and keeps nothing, in a process of its own: what is left is the client's own cost.

It answers logins with a token and every other request with 200. Run `python -m benchmarks.sink` for one by hand.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_DONE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length and keep-alive, as much of it as our client speaks."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0  # bytes of the body that are still to come
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        while data:
            if not self._answer:
                head, end, data = (self._head + data).partition(b"\r\n\r\n")
                if not end:
                    self._head = head
                    return
                self._head = b""
                self._begin(head)
            taken = min(self._left, len(data))
            self._left, data = self._left - taken, data[taken:]
            if not self._left:
                self._transport.write(self._answer)
                self._answer = b""

    def _begin(self, head: bytes) -> None:
        lines = head.lower().split(b"\r\n")
        lengths = [line[15:] for line in lines if line.startswith(b"content-length:")]
        self._left = int(lengths[0]) if lengths else 0
        self._answer = _token() if b"/users/token" in lines[0] else _DONE


def _token() -> bytes:
    body = b'{"token": "a-token-of-the-sink", "expiration": %d, "user_id": 1}' % ((time.time() + 7200) * 1000)
    head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


@contextmanager
def sink() -> Iterator[str]:
    """Run one in a process of its own; yield its base URL."""
    command = [sys.executable, "-m", "benchmarks.sink"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started it is gone


if __name__ == "__main__":
    asyncio.run(_serve())
