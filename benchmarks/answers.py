"""A service that answers reads with what it prepared, in a process of its own: what is left is the client's own cost.

Whatever window is asked for, each signal has the same day of quarter hours. `python -m benchmarks.answers --signals N`
runs one by hand, and prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from pathlib import Path

import orjson

from benchmarks.clients.series import Series
from besmart_async import SignalData
from besmart_async.wire.columns import encode_item

ROWS = 96
"""Readings of a day of quarter hours."""

_ROOT = Path(__file__).parents[1]
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ASKED_ONE = re.compile(rb"GET /api/sensors/12\.(\d+)/signals/32/data")
_ASKED = re.compile(rb'"sensor_mid": ?(\d+)')
_TOKEN = b"/users/token"


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length and keep-alive, as much of it as clients speak here."""

    def __init__(self, answer: Callable[[bytes, bytes], bytes]) -> None:
        self._answer = answer
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n") + 4) > 3:
            length = _LENGTH.search(self._received, 0, end)
            whole = end + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            head, body = self._received[:end], self._received[end:whole]
            self._received = self._received[whole:]
            content = self._answer(head, body)
            about = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
            self._transport.writelines([about.encode(), b"Content-Length: %d\r\n\r\n" % len(content), content])


def _answer(items: list[bytes], head: bytes, body: bytes) -> bytes:
    if _TOKEN in head[:100]:
        return orjson.dumps({"token": "a-token", "expiration": int((time.time() + 7200) * 1000), "user_id": 1})
    one = _ASKED_ONE.match(head)
    asked = [one[1]] if one else _ASKED.findall(body)
    return b"[" + b",".join([items[int(mid)] for mid in asked]) + b"]"


@contextmanager
def answers(signals: int) -> Iterator[str]:
    """Run one in a process of its own; yield its base URL."""
    command = [sys.executable, "-m", "benchmarks.answers", "--signals", f"{signals}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


async def _serve(items: list[bytes]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(partial(_answer, items)), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started it is gone


def main() -> None:
    """Run one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("--signals", type=int, default=10_000)
    series = Series.made(parser.parse_args().signals, ROWS)
    columns = zip(series.keys, series.values, strict=True)
    asyncio.run(_serve([encode_item(SignalData(key, series.times, values, unit="kW.h")) for key, values in columns]))


if __name__ == "__main__":
    main()
