"""A journaled writer that ends while it still takes over what an earlier one left: nobody waits for ever."""

import asyncio
from pathlib import Path

import pytest

from besmart_async import BatchPolicy, BesmartError, SignalData, SignalKey, UndeliveredError
from besmart_async.batching.write.writer import Writer

SMALL = BatchPolicy(max_memory_bytes=400_000, close_timeout_s=0)
READINGS = 60_000


async def never(_: bytes, /) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with more in it than `SMALL` can hold at once."""
    path = tmp_path / "journal"

    async def write() -> None:
        async with Writer(never, BatchPolicy(close_timeout_s=0), journal=path) as writer:
            for sensor in range(READINGS // 1000):
                await writer.write(SignalKey(1, sensor, 32), list(range(1000)), [1.0] * 1000)

    with pytest.raises(UndeliveredError):
        asyncio.run(write())
    return path


async def test_flushes_and_writes_hear_that_it_stopped(journal: Path) -> None:
    writer = Writer(never, SMALL, journal=journal)
    await writer.__aenter__()
    waiting = [
        asyncio.ensure_future(writer.flush()),
        asyncio.ensure_future(writer.write(SignalKey(1, 1, 32), 1, 1.0)),
    ]
    await asyncio.sleep(0)
    writer.stop(BesmartError("enough"))
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
    assert [str(outcome) for outcome in outcomes] == ["enough", "enough"]
    with pytest.raises(BesmartError, match="enough"):
        await asyncio.wait_for(writer.flush(), 30)
    with pytest.raises(UndeliveredError, match=f"{READINGS} readings stay in the journal"):
        await writer.aclose()


async def test_flushes_hear_that_it_was_closed(journal: Path) -> None:
    writer = Writer(never, SMALL, journal=journal)
    await writer.__aenter__()
    flushing = asyncio.ensure_future(writer.flush())
    await asyncio.sleep(0)
    with pytest.raises(UndeliveredError, match=f"{READINGS} readings stay in the journal"):
        await writer.aclose()
    with pytest.raises(BesmartError, match="closed"):
        await asyncio.wait_for(flushing, 30)


async def test_what_reaches_the_disk_after_the_end_is_told_that_it_stays_there(tmp_path: Path) -> None:
    writer = Writer(never, BatchPolicy(close_timeout_s=0), journal=tmp_path / "journal")
    await writer.__aenter__()
    delivering = asyncio.ensure_future(writer.deliver(SignalData(SignalKey(1, 1, 32), [1, 2], [1.0, 2.0])))
    writing = asyncio.ensure_future(writer.write(SignalKey(1, 2, 32), 1, 1.0))
    await asyncio.sleep(0)
    writer.stop(BesmartError("enough"))  # while they are on their way to the disk
    assert writer.report.accepted == 0
    await asyncio.wait_for(writing, 10)
    with pytest.raises(BesmartError, match="enough"):
        await asyncio.wait_for(delivering, 10)
    assert (writer.report.pending, writer.report.kept) == (3, 3)
    with pytest.raises(UndeliveredError, match="3 readings stay in the journal"):
        await writer.aclose()


async def test_the_end_gives_up_new_readings_behind_those_of_an_earlier_writer_too(tmp_path: Path) -> None:
    patient, data = BatchPolicy(linger_s=60, close_timeout_s=0), SignalData(SignalKey(1, 1, 32), [1, 2], [1.0, 2.0])
    earlier = Writer(never, patient, journal=tmp_path / "journal")
    await earlier.__aenter__()
    await earlier.write_data(data)
    with pytest.raises(UndeliveredError, match="2 readings stay in the journal"):
        await earlier.aclose()
    writer = Writer(never, patient, journal=tmp_path / "journal")
    await writer.__aenter__()
    await writer.write(SignalKey(1, 1, 32), 3, 3.0)
    delivering = asyncio.ensure_future(writer.deliver(data))
    await writer.write(SignalKey(1, 1, 32), 4, 4.0)
    writer.stop(BesmartError("enough"))
    with pytest.raises(BesmartError, match="enough"):
        await asyncio.wait_for(delivering, 10)
    assert (writer.report.pending, writer.report.kept) == (6, 6)
    with pytest.raises(UndeliveredError, match="6 readings stay in the journal"):
        await writer.aclose()
