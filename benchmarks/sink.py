"""A service that takes everything and keeps nothing, in a process of its own: what is left is the client's own cost.

It answers logins with a token, questions after signal types with one, questions of QuestDB's client after settings, and
every other request with 200 or 204. Run `python -m benchmarks.sink [--port 0]` for one by hand, which prints its
address. With `--count`, `GET /count` tells how many readings have arrived, with `--distinct` how many of them did so
once. With `--delay 0.3` every write is answered 0.3 s after it has arrived. With `--cap 10` the eleventh write within a
second is refused with 429. Bodies are kept until somebody asks, so that counting takes no time of what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
import time
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import orjson

from benchmarks.usage import Usage

_ROOT = Path(__file__).parents[1]
_BUFFER_BYTES = 1 << 20
_DONE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 31\r\n\r\n{"message":"too many requests"}'
)
_TYPES = [{"signal_type_moid": 32, "symbol": "A+", "obis_mapping": "1.8.0", "unit_id": 1, "unit_symbol": "kW.h"}]
_SETTINGS = {"config": {"line.proto.support.versions": [1, 2, 3], "cairo.max.file.name.length": 127}}
_MARKS = {
    b"put": b'"DBL"',  # ours: every reading has its type
    b"post /write": b"readings,",  # the lines of QuestDB and InfluxDB, which begin with the name of the table
    b"post /api/v2/write": b"readings,",
    b"post /api/v1/projects": b'"timestamp"',  # Cognite's points
}
"""What there is once in every reading, by the beginning of the request: it is counted without decoding anything."""


class Tally:
    """Counts readings; keeps the distinct ones only if asked to."""

    def __init__(self, *, distinct: bool) -> None:
        self._requests = self._readings = self._body_bytes = self._refused = 0
        self._busy_s = 0.0
        self._distinct: dict[int, set[int]] | None = {} if distinct else None
        self._kept: list[tuple[bytes, bytes]] = []

    def put(self, mark: bytes, body: bytes) -> None:
        """Keep the body of one write, in which `mark` is there once for every reading."""
        self._kept.append((mark, body))

    def refuse(self) -> None:
        """Note a write that was refused."""
        self._refused += 1

    def waited(self, seconds: float) -> None:
        """Note how long an answer took."""
        self._busy_s += seconds

    def counts(self) -> dict[str, float]:
        """What has arrived."""
        kept, self._kept = self._kept, []
        for mark, body in kept:
            self._requests += 1
            self._body_bytes += len(body)
            self._readings += body.count(mark)
            if self._distinct is not None:
                for item in orjson.loads(body):
                    self._distinct.setdefault(item["sensor_mid"], set()).update(item["data"]["time"])
        distinct = -1 if self._distinct is None else sum(map(len, self._distinct.values()))
        return {
            "requests": self._requests + self._refused,
            "refused": self._refused,
            "busy_s": self._busy_s,
            "readings": self._readings,
            "distinct": distinct,
            "body_bytes": self._body_bytes,
        }


class Cap:
    """Lets so many writes pass in any second."""

    def __init__(self, calls_per_s: int | None) -> None:
        self._passed: deque[float] | None = None if calls_per_s is None else deque([float("-inf")] * calls_per_s)

    def refuses(self, now: float) -> bool:
        """Whether a write is one too many; otherwise it passes."""
        if self._passed is None:
            return False
        if now < self._passed[0] + 1.0:
            return True
        self._passed.rotate(-1)
        self._passed[-1] = now
        return False


class _Connection(asyncio.BufferedProtocol):
    """HTTP/1.1 with Content-Length and keep-alive, as much of it as clients speak here."""

    def __init__(self, tally: Tally | None, delay_s: float, cap: Cap) -> None:
        self._tally = tally
        self._delay_s = delay_s
        self._cap = cap
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._head = b""
        self._left = 0  # bytes of the body that are still to come
        self._body: list[bytes] = []
        self._mark = b""
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self._buffer[:nbytes]
        while data:
            if not self._answer:
                head, end, rest = (self._head + bytes(data)).partition(b"\r\n\r\n")
                if not end:
                    self._head = head
                    return
                self._head = b""
                data = data[len(data) - len(rest) :]
                self._begin(head)
            taken = min(self._left, len(data))
            if self._mark:
                self._body.append(bytes(data[:taken]))
            self._left, data = self._left - taken, data[taken:]
            if not self._left:
                self._end()

    def _begin(self, head: bytes) -> None:
        lines = head.lower().split(b"\r\n")
        lengths = [line[15:] for line in lines if line.startswith(b"content-length:")]
        self._left = int(lengths[0]) if lengths else 0
        marks = [] if self._tally is None else [mark for line, mark in _MARKS.items() if lines[0].startswith(line)]
        self._mark = marks[0] if marks else b""
        self._answer = self._answer_to(lines[0])

    def _end(self) -> None:
        loop = asyncio.get_running_loop()
        writes = self._answer in (_DONE, _NOTHING)
        answer, self._answer = self._answer, b""
        body, self._body = self._body, []
        if writes and self._cap.refuses(loop.time()):
            answer = _TOO_MANY
            if self._tally is not None:
                self._tally.refuse()
        elif self._mark and self._tally is not None:
            self._tally.put(self._mark, b"".join(body))
            self._tally.waited(self._delay_s)
        if self._delay_s and writes:
            loop.call_later(self._delay_s, self._transport.write, answer)
        else:
            self._transport.write(answer)

    def _answer_to(self, line: bytes) -> bytes:
        target = line.split(b" ")[1]
        if target.endswith(b"/users/token"):
            expiration = int((time.time() + 7200) * 1000)
            return _json({"token": "a-token-of-the-sink", "expiration": expiration, "user_id": 1})
        if target.endswith(b"/types"):
            return _json(_TYPES)
        if target.endswith(b"/settings"):
            return _json(_SETTINGS)
        if target.endswith(b"/count") and self._tally is not None:
            return _json(self._tally.counts())
        return _NOTHING if b"/write?" in target else _DONE


def _json(answer: object) -> bytes:
    body = orjson.dumps(answer)
    head = f"HTTP/1.1 200 OK\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


@attrs.frozen
class Sink:
    """One that runs in a process of its own. `base_url`: where."""

    base_url: str

    def readings(self) -> int:
        """How many readings have come so far; one that counts tells it."""
        return int(self._counts()["readings"])

    def usage(self) -> Usage:
        """How it was used so far; as above."""
        return Usage.of(self._counts())

    def _counts(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.base_url}/count") as answer:
            counts: dict[str, Any] = orjson.loads(answer.read())
        return counts


@contextmanager
def sink(*options: str) -> Iterator[Sink]:
    """Run one in a process of its own, with options such as `--count`."""
    command = [sys.executable, "-m", "benchmarks.sink", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT) as process:
        assert process.stdout is not None
        try:
            yield Sink(process.stdout.readline().strip())
        finally:
            process.kill()


async def _serve(port: int, tally: Tally | None, delay_s: float, cap: Cap) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(partial(_Connection, tally, delay_s, cap), "127.0.0.1", port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # until whoever started it is gone


def main() -> None:
    """Run one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sink", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--count", action="store_true", help="count the readings that arrive")
    parser.add_argument("--distinct", action="store_true", help="and keep the times, to tell how many came twice")
    parser.add_argument("--delay", type=float, default=0.0, metavar="S", help="answer writes so many seconds late")
    parser.add_argument("--cap", type=int, metavar="N", help="refuse more than so many writes in a second")
    given = parser.parse_args()
    counting = given.count or given.distinct
    if counting:
        gc.disable()
    tally = Tally(distinct=given.distinct) if counting else None
    asyncio.run(_serve(given.port, tally, given.delay, Cap(given.cap)))


if __name__ == "__main__":
    main()
