"""A service that stores nothing: it answers what an ingest asks and counts the readings that arrive.

`python -m benchmarks.counting_sink [--port 0]` prints its address; `GET /count` tells what has arrived so far.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Callable

import orjson

_TOKEN = {"token": "t", "user_id": 1}
_TYPES = [{"signal_type_moid": 32, "symbol": "A+", "obis_mapping": "1.8.0", "unit_id": 1, "unit_symbol": "kW.h"}]


class Sink:
    """Counts readings by their times; keeps the distinct ones only if asked to."""

    def __init__(self, *, distinct: bool) -> None:
        self.requests = 0
        self.readings = 0
        self.body_bytes = 0
        self._distinct: dict[int, set[int]] | None = {} if distinct else None

    def put(self, body: bytes) -> None:
        """Count the readings of one bulk write."""
        self.requests += 1
        self.body_bytes += len(body)
        if self._distinct is None:
            self.readings += _counted(body)
            return
        for item in orjson.loads(body):
            times = item["data"]["time"]
            self.readings += len(times)
            self._distinct.setdefault(item["sensor_mid"], set()).update(times)

    def counts(self) -> dict[str, int]:
        """What has arrived."""
        distinct = -1 if self._distinct is None else sum(map(len, self._distinct.values()))
        return {
            "requests": self.requests,
            "readings": self.readings,
            "distinct": distinct,
            "body_bytes": self.body_bytes,
        }


def _counted(body: bytes) -> int:
    """Readings of a body without decoding it: every one has its type."""
    return body.count(b'"DBL"')


async def _answer(sink: Sink, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            line, *fields = head.split(b"\r\n")
            length = next((int(f.split(b":")[1]) for f in fields if f.lower().startswith(b"content-length")), 0)
            body = await reader.readexactly(length) if length else b""
            method, target, _ = line.split(b" ")
            if method == b"PUT":
                sink.put(body)
                answer = b""
            elif target.endswith(b"/users/token"):
                answer = orjson.dumps(_TOKEN | {"expiration": int(time.time() * 1000) + 3_600_000})
            elif target.endswith(b"/types"):
                answer = orjson.dumps(_TYPES)
            else:
                answer = orjson.dumps(sink.counts())
            status = b"204 No Content" if not answer else b"200 OK"
            kind = b"content-type: application/json\r\n" if answer else b""
            size = b"content-length: %d\r\n" % len(answer) if answer else b""
            writer.write(b"HTTP/1.1 " + status + b"\r\n" + kind + size + b"\r\n" + answer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve(port: int, *, distinct: bool, announce: Callable[[str], object] = print) -> None:
    """Serve until cancelled."""
    sink = Sink(distinct=distinct)
    server = await asyncio.start_server(lambda r, w: _answer(sink, r, w), "127.0.0.1", port, limit=1 << 22)
    announce(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api")
    async with server:
        await server.serve_forever()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counting_sink", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--distinct", action="store_true", help="keep the times, to tell how many came twice")
    given = parser.parse_args()
    gc.disable()
    asyncio.run(serve(given.port, distinct=given.distinct, announce=lambda url: print(url, flush=True)))


if __name__ == "__main__":
    main()
