"""A full or failing disk: writes raise and are not acknowledged, and go on once the disk is well again.

SQLite is the real one; beneath it lies a disk that fails when told to.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import pytest

from besmart_async import BatchPolicy, JournalError, SignalData, SignalKey
from besmart_async.batching.write.writer import Writer
from tests.faults.failing_disk import FSYNC_FAILS, FULL, FailingDisk, sqlite_library

KEY = SignalKey(12, 122, 32)
LIBRARY = sqlite_library()
POLICY = BatchPolicy(linger_s=0.001, hold_off_s=0.0)

reachable = pytest.mark.skipif(LIBRARY is None, reason="this Python has its SQLite inside, where nobody reaches it")


class Sink:
    """Takes everything, once it is `open`."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.bodies: list[bytes] = []

    async def __call__(self, body: bytes, /) -> None:
        await self.open.wait()
        self.bodies.append(body)

    def stored(self, value: float) -> bool:
        return any(f"[{value}".encode() in body or f",{value}".encode() in body for body in self.bodies)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    assert LIBRARY is not None
    with FailingDisk(LIBRARY).installed() as disk:
        yield disk


@reachable
@pytest.mark.parametrize("failure", ["full", "fsync"])
async def test_nothing_is_acknowledged_on_a_disk_that_fails(disk: FailingDisk, tmp_path: Path, failure: str) -> None:
    sink = Sink()
    sink.open.set()
    async with Writer(sink, POLICY, journal=tmp_path / "journal") as writer:
        await writer.write(KEY, 1, 1.5)
        if failure == "full":
            disk.write = FULL
        else:
            disk.sync = FSYNC_FAILS
        tries = await asyncio.gather(
            *(writer.write(KEY, 2 + n, 2.5 + n) for n in range(5)),
            writer.write(KEY, [10, 11], [10.5, 11.5]),
            writer.deliver(SignalData(KEY, [12], [12.5])),
            return_exceptions=True,
        )
        assert all(isinstance(error, JournalError) for error in tries)
        assert len({id(error) for error in tries}) == len(tries)
        expected = "disk is full" if failure == "full" else "disk I/O error"
        assert all(expected in str(error) and "nothing was accepted" in str(error) for error in tries)
        assert {error.outcome for error in tries if isinstance(error, JournalError)} == {
            "not_sent" if failure == "full" else "in_doubt"
        }
        disk.write = disk.sync = 0
        await writer.write(KEY, 20, 20.5)
        report = await writer.flush()
        assert (report.accepted, report.delivered, report.pending) == (2, 2, 0)
        assert report.memory_bytes == 0
    assert sink.stored(1.5)
    assert sink.stored(20.5)
    assert not sink.stored(10.5)
    assert not sink.stored(12.5)


@reachable
async def test_what_was_delivered_while_the_disk_was_full_is_forgotten_later(disk: FailingDisk, tmp_path: Path) -> None:
    sink = Sink()
    async with Writer(sink, POLICY, journal=tmp_path / "journal") as writer:
        await writer.write(KEY, 1, 1.5)
        disk.write = FULL
        sink.open.set()
        await writer.flush()
        await asyncio.sleep(0.15)  # the journal tries to note it, in vain
        disk.write = 0
    left = Writer(sink, POLICY, journal=tmp_path / "journal")
    async with left:
        assert (await left.flush()).accepted == 0


@reachable
async def test_a_disk_that_is_full_at_the_start_refuses_the_writer(disk: FailingDisk, tmp_path: Path) -> None:
    disk.write = FULL
    with pytest.raises(JournalError, match="full"):
        async with Writer(Sink(), POLICY, journal=tmp_path / "journal"):
            pass
    disk.write = 0
    async with Writer(Sink(), POLICY, journal=tmp_path / "journal"):
        pass


@reachable
async def test_one_fsync_serves_all_who_write_at_once(disk: FailingDisk, tmp_path: Path) -> None:
    sink = Sink()
    sink.open.set()
    async with Writer(sink, POLICY, journal=tmp_path / "journal") as writer:
        await writer.write(KEY, 1, 1.5)
        before = disk.syncs
        await asyncio.gather(*(writer.write(KEY, n, float(n)) for n in range(1000)))
        assert disk.syncs - before <= 3  # one, and perhaps one for what was delivered meanwhile


LIMITED = """
import asyncio, resource, signal, sys
from besmart_async import BatchPolicy, JournalError, SignalKey
from besmart_async.batching.write.writer import Writer

async def put(body, /):
    await asyncio.Event().wait()

async def main():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = Writer(put, BatchPolicy(close_timeout_s=0.1), journal=sys.argv[1])
    await writer.__aenter__()
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    accepted = 0
    try:
        while True:
            await writer.write(SignalKey(12, 122, 32), accepted, float(accepted))
            accepted += 1
    except JournalError as error:
        print(accepted, error, flush=True)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are for POSIX systems")
async def test_what_the_system_took_before_the_disk_was_full_is_there(tmp_path: Path) -> None:
    """No file may grow beyond 200 kB: the system refuses, not a stand-in."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "ignore", "-c", LIMITED, str(tmp_path / "journal"), stdout=PIPE, stderr=PIPE
    )
    told, errors = await child.communicate()
    assert b"cannot be written" in told, errors
    accepted = int(told.split()[0])
    assert accepted > 10
    sink = Sink()
    sink.open.set()
    async with Writer(sink, POLICY, journal=tmp_path / "journal") as writer:
        assert accepted <= (await writer.flush()).delivered <= accepted + 1
