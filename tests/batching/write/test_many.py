"""`write_many`: all items are accepted, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from besmart_async import (
    BatchPolicy,
    InvalidInputError,
    JournalError,
    SignalData,
    SignalKey,
    UndeliveredError,
    Writer,
    WriterTimeoutError,
)
from besmart_async.batching.journal.file import JournalFile
from tests.batching.write.service_model import ServiceModel

T0 = 1_700_006_720_000


def columns(sensor: int, rows: int = 1) -> SignalData:
    return SignalData(SignalKey(12, sensor, 32), T0 + np.arange(rows), np.arange(rows) + sensor / 10)


@attrs.define
class Service:
    """Answers while it is `up`; keeps calls waiting while it is not."""

    model: ServiceModel = attrs.field(factory=ServiceModel)
    up: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def __call__(self, body: bytes, /) -> None:
        await self.up.wait()
        assert self.model.put(body) is None


@pytest.fixture
def service() -> Service:
    service = Service()
    service.up.set()
    return service


@pytest.fixture(params=["memory", "journal"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "journal" if request.param == "journal" else None


async def test_items_of_many_signals_are_delivered(service: Service, journal: Path | None) -> None:
    async with Writer(service, journal=journal) as writer:
        numbers = await writer.write_many(columns(sensor, sensor) for sensor in range(1, 6))
        assert (len(numbers), writer.report.accepted) == (15, 15)
        assert await writer.write_data(columns(6)) == range(numbers.stop, numbers.stop + 1)
    assert len(service.model.stored) == 16


async def test_nothing_and_items_without_rows_are_nothing(service: Service, journal: Path | None) -> None:
    async with Writer(service, journal=journal) as writer:
        assert len(await writer.write_many([])) == 0
        assert len(await writer.write_many([columns(1, 0), columns(2, 2), columns(3, 0)])) == 2
    assert len(service.model.stored) == 2


def _from_payload(values: list[Any]) -> Iterator[SignalData]:
    for sensor, value in enumerate(values):
        yield SignalData(SignalKey(12, sensor, 32), [T0], [value])


@pytest.mark.parametrize(
    ("items", "field"),
    [
        ([columns(1), "no columns"], "items[1].data"),
        ([columns(1), columns(2), SignalData.missing(SignalKey(12, 3, 32))], "items[2].data"),
        ([1.0, 2.0, float("nan"), 4.0], "items[2].value[0]"),
        (5, "items"),
    ],
)
async def test_a_bad_item_is_named_by_its_index_and_nothing_is_accepted(
    service: Service, journal: Path | None, items: Any, field: str
) -> None:
    async with Writer(service, journal=journal) as writer:
        with pytest.raises(InvalidInputError) as caught:
            await writer.write_many(_from_payload(items) if field.endswith("value[0]") else items)
        assert caught.value.field == field
        assert caught.value.problem
        assert writer.report.accepted == 0
    assert service.model.stored == {}


@pytest.mark.looptime
async def test_without_room_for_all_none_is_accepted(service: Service, journal: Path | None) -> None:
    service.up.clear()
    policy = BatchPolicy(max_memory_bytes=1_000_000, admission_timeout_s=5.0, close_timeout_s=0.0)
    writer = Writer(service, policy, journal=journal)
    await writer.write_many([columns(1, 20_000)])
    with pytest.raises(WriterTimeoutError):
        await writer.write_many([columns(sensor, 10_000) for sensor in range(2, 7)])
    assert writer.report.accepted == 20_000
    assert writer.report.memory_bytes < 1_000_000
    waiting = asyncio.create_task(writer.write_many([columns(sensor, 10_000) for sensor in range(2, 7)]))
    await asyncio.sleep(1.0)
    service.up.set()
    assert len(await waiting) == 50_000
    await writer.flush()
    assert writer.report.delivered == 70_000
    await writer.aclose()


@pytest.mark.looptime
async def test_cancelled_while_it_waits_for_room_it_leaves_nothing_behind(
    service: Service, journal: Path | None
) -> None:
    service.up.clear()
    policy = BatchPolicy(max_memory_bytes=1_000_000, close_timeout_s=0.0)
    writer = Writer(service, policy, journal=journal)
    await writer.write_many([columns(1, 30_000)])
    waiting = asyncio.create_task(writer.write_many([columns(2, 20_000), columns(3, 20_000)]))
    await asyncio.sleep(1.0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    service.up.set()
    await writer.flush()
    assert (writer.report.accepted, writer.report.delivered, writer.report.memory_bytes) == (30_000, 30_000, 0)
    await writer.aclose()


async def test_a_large_write_of_many_is_one_commit(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    append = JournalFile.append

    def counted(file: JournalFile, entries: Any, changes: Any) -> Any:
        if entries:
            commits.append(len(entries))
        if len(commits) > 1:
            raise JournalError(str(file.path), "the disk is full")
        return append(file, entries, changes)

    monkeypatch.setattr(JournalFile, "append", counted)
    async with Writer(service, journal=tmp_path / "journal") as writer:
        await writer.write_many([columns(sensor, 90_000) for sensor in range(1, 9)])  # 11 MB: more than a commit
        assert commits == [8]
        with pytest.raises(JournalError, match="disk is full"):
            await writer.write_many([columns(sensor, 2) for sensor in range(1, 9)])
        assert writer.report.accepted == 720_000
        assert writer.report.pending <= 720_000
        await writer.flush()
    assert len(service.model.stored) == 720_000


async def test_what_a_stopped_service_leaves_comes_back_whole(service: Service, tmp_path: Path) -> None:
    service.up.clear()
    policy = BatchPolicy(close_timeout_s=0.0)
    with pytest.raises(UndeliveredError):
        async with Writer(service, policy, journal=tmp_path / "journal") as writer:
            await writer.write_many([columns(sensor) for sensor in range(1, 4)])
    service.up.set()
    async with Writer(service, journal=tmp_path / "journal") as writer:
        await writer.flush()
    assert len(service.model.stored) == 3
