"""A service that answers reads with what it prepared, in a process of its own: what is left is the client's own cost.

Each signal has a year of quarter hours; texts have fixed widths, so that any window is a slice of bytes. The first
day is prepared as a service would send it. With `--delay 0.3` every read is answered 0.3 s late. `GET /count` tells how
the service was used. `python -m benchmarks.answers --signals N` runs one by hand, and prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import attrs
import orjson

from benchmarks.clients.series import START_MS, STEP_MS, Series
from benchmarks.usage import Usage
from besmart_async import SignalData
from besmart_async.wire.columns import encode_item

ROWS = 96
"""Readings of a day of quarter hours."""

YEAR_ROWS = 365 * ROWS

_ROOT = Path(__file__).parents[1]
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ASKED_ONE = re.compile(rb"GET /api/sensors/12\.(\d+)/signals/32/data")
_ASKED = re.compile(rb'"sensor_mid": ?(\d+)')
_DAY = re.compile(rb'"since": ?%d,"till": ?%d\b' % (START_MS, START_MS + ROWS * STEP_MS))
_TOKEN = b"/users/token"
_TYPES = [{"signal_type_moid": 32, "symbol": "A+", "obis_mapping": "1.8.0", "unit_id": 1, "unit_symbol": "kW.h"}]
_TIME_BYTES, _VALUE_BYTES, _TYPE, _ORIGIN = 14, 6, b'"DBL",', b"1,"
_VALUES = 97
"""Values after which they repeat; each signal begins at another one."""


class _Answers:
    """What is answered to whom, and how the service was used."""

    def __init__(self, items: list[bytes], delay_s: float) -> None:
        self.delay_s = delay_s
        self._items = items
        self._times = b"".join(b"%d," % (START_MS + STEP_MS * row) for row in range(YEAR_ROWS))
        values = b"".join(b"0.%03d," % (100 + 7 * row) for row in range(_VALUES))
        self._values = values * (YEAR_ROWS // _VALUES + 2)
        self._types, self._origins = _TYPE * YEAR_ROWS, _ORIGIN * YEAR_ROWS
        self._calls = self._body_bytes = 0

    def answer(self, head: bytes, body: bytes) -> tuple[bytes, bool]:
        """Return the answer, and whether it has readings."""
        line = head.partition(b"\r\n")[0]
        if _TOKEN in line:
            expiration = int((time.time() + 7200) * 1000)
            return orjson.dumps({"token": "a-token", "expiration": expiration, "user_id": 1}), False
        if b"/types " in line:
            return orjson.dumps(_TYPES), False
        if b"/count " in line:
            usage = {"requests": self._calls, "refused": 0, "body_bytes": self._body_bytes}
            return orjson.dumps(usage | {"busy_s": self._calls * self.delay_s}), False
        content = b"[" + b",".join(self._asked(head, body)) + b"]"
        self._calls += 1
        self._body_bytes += len(body) + len(content)
        return content, True

    def _asked(self, head: bytes, body: bytes) -> list[bytes]:
        if one := _ASKED_ONE.match(head):
            return [self._items[int(one[1])]]
        if _DAY.search(body, 0, 300):
            return [self._items[int(mid)] for mid in _ASKED.findall(body)]
        return [self._window(query["sensor_mid"], query["since"], query["till"]) for query in orjson.loads(body)]

    def _window(self, mid: int, since: int, till: int) -> bytes:
        """The readings from `since` up to but not including `till`."""
        first, stop = (min(max(-((START_MS - at) // STEP_MS), 0), YEAR_ROWS) for at in (since, till))
        rows, shift = stop - first, mid % _VALUES
        times = self._times[first * _TIME_BYTES : stop * _TIME_BYTES]
        values = self._values[(first + shift) * _VALUE_BYTES : (stop + shift) * _VALUE_BYTES]
        types, origins = self._types[: rows * len(_TYPE)], self._origins[: rows * len(_ORIGIN)]
        return (
            b'{"client_cid":12,"sensor_mid":%d,"signal_type_moid":32,"data":{"time":[%b],"value":[%b],"type":[%b],'
            b'"origin":[%b]},"unit":"kW.h"}' % (mid, times[:-1], values[:-1], types[:-1], origins[:-1])
        )


class _Connection(asyncio.Protocol):
    """HTTP/1.1 with Content-Length and keep-alive, as much of it as clients speak here."""

    def __init__(self, answers: _Answers) -> None:
        self._answers = answers
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
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        content, late = self._answers.answer(head, body)
        about = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
        pieces = [about.encode(), b"Content-Length: %d\r\n\r\n" % len(content), content]
        if late and self._answers.delay_s:
            asyncio.get_running_loop().call_later(self._answers.delay_s, self._transport.writelines, pieces)
        else:
            self._transport.writelines(pieces)


@attrs.frozen
class ReadService:
    """One that runs in a process of its own. `base_url`: where."""

    base_url: str

    def usage(self) -> Usage:
        """How it was used so far."""
        with urllib.request.urlopen(f"{self.base_url}/count") as answer:
            counts: dict[str, Any] = orjson.loads(answer.read())
        return Usage.of(counts)


@contextmanager
def answers(signals: int, delay_s: float = 0.0) -> Iterator[ReadService]:
    """Run one in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.answers", "--signals", f"{signals}", "--delay", f"{delay_s}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        try:
            yield ReadService(process.stdout.readline().strip())
        finally:
            process.kill()


async def _serve(answers: _Answers) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(answers), "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started it is gone


def main() -> None:
    """Run one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("--signals", type=int, default=10_000)
    parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="answer reads so many seconds late")
    given = parser.parse_args()
    series = Series.made(given.signals, ROWS)
    columns = zip(series.keys, series.values, strict=True)
    items = [encode_item(SignalData(key, series.times, values, unit="kW.h")) for key, values in columns]
    asyncio.run(_serve(_Answers(items, given.delay)))


if __name__ == "__main__":
    main()
