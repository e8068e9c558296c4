"""A journaled writer that ends while it still takes over what an earlier one left: nobody waits for ever."""

import asyncio
from pathlib import Path

import pytest

from besmart_async import BatchPolicy, BesmartError, SignalKey, UndeliveredError
from besmart_async.batching.writer import Writer

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
