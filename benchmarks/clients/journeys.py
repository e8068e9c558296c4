"""How far a call goes through the package: its files that take part, and the moves from file to file.

`python -m benchmarks.clients.journeys --answers URL --sink URL`
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import besmart_async
from benchmarks.clients.series import START_MS
from besmart_async import BesmartClient, SignalKey

_PACKAGE = f"{Path(besmart_async.__file__).parent}{os.sep}"
_KEY = SignalKey(12, 3, 32)
_DAY = (START_MS, START_MS + 86_400_000)
_ROWS = [f"1.1,1-0:1.8.0,2024-01-01T{hour:02}:00:00Z,{hour}.5,kWh" for hour in range(24)]


class Walk:
    """A profile function that counts files of the package, and moves between them.

    A move is a call of a function, or the resumption of a coroutine or generator, in another file than the one before
    it; returns are not counted, nor is what happens outside the package.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.moves = 0
        self._last = ""

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Count one event."""
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(_PACKAGE):
            self.files.add(file)
            if file != self._last:
                self.moves += 1
                self._last = file


@contextmanager
def walking() -> Iterator[Walk]:
    """Count what this thread does, and those that it starts."""
    walk = Walk()
    threading.setprofile(walk)
    sys.setprofile(walk)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


async def _second(call: Callable[[], Awaitable[object]]) -> Walk:
    """Walk along the second call: the first one imports, connects and logs in."""
    await call()
    with walking() as walk:
        await call()
    return walk


def _client(url: str) -> BesmartClient:
    return BesmartClient(api_key="key", login="login", password="password", base_url=url)


async def _calls(answers: str, sink: str) -> dict[str, Walk]:
    walks: dict[str, Walk] = {}
    async with _client(answers) as client:
        walks["signals.read"] = await _second(lambda: client.signals.read(_KEY, *_DAY))
    async with _client(sink) as client, client.writer() as writer:

        async def write() -> None:
            await writer.write(_KEY, START_MS, 1.5)
            await writer.flush()

        walks["write"] = await _second(write)
    async with _client(answers) as client, client.reader() as reader:
        walks["reader.read"] = await _second(lambda: reader.read(_KEY, *_DAY))
    return walks


def _ingest(sink: str) -> tuple[Walk, Walk]:
    """Run the command twice, each time with a new checkpoint."""
    account = {"BASE_URL": sink, "API_KEY": "key", "LOGIN": "login", "PASSWORD": "password"}
    os.environ.update({f"BESMART_{name}": value for name, value in account.items()})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "day.csv"
        file.write_text("\n".join(["meter,obis,time,value,unit", *_ROWS, ""]))
        return _command(file, "first"), _command(file, "second")


def _command(file: Path, checkpoint: str) -> Walk:
    with walking() as walk:
        from besmart_async.cli import main as besmart  # noqa: PLC0415 - a part of the first journey

        try:
            besmart(["ingest", str(file), "--no-chart", "--checkpoint", str(file.with_name(f"{checkpoint}.sqlite3"))])
        except SystemExit as end:
            if end.code:
                raise
    return walk


def main() -> None:
    """Walk all journeys; the last line of the output is JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients.journeys", description=__doc__)
    parser.add_argument("--answers", required=True, metavar="URL", help="a service that answers reads")
    parser.add_argument("--sink", required=True, metavar="URL", help="a service that takes writes")
    given = parser.parse_args()
    first, second = _ingest(given.sink)  # before the others, whose imports it would not have
    walks = asyncio.run(_calls(given.answers, given.sink))
    walks |= {"besmart ingest": second, "besmart ingest, the first in a process": first}
    print("\n" + json.dumps({name: [len(walk.files), walk.moves] for name, walk in walks.items()}), flush=True)


if __name__ == "__main__":
    main()
