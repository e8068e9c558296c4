"""A writer with a journal: on disk before `write` returns, delivered by the next writer if this one does not."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.records import Entry
from besmart_async.batching.write.writer import Writer
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, JournalError, UndeliveredError, WriterTimeoutError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import ServiceModel, api_error

KEY = SignalKey(12, 122, 32)
TRIPLE = (12, 122, 32)


@attrs.define
class Service:
    """Answers while it is `up`; keeps calls waiting while it is not."""

    model: ServiceModel = attrs.field(factory=ServiceModel)
    up: asyncio.Event = attrs.field(factory=asyncio.Event)
    calls: int = 0

    async def __call__(self, body: bytes, /) -> None:
        self.calls += 1
        await self.up.wait()
        error = self.model.put(body)
        if error is not None:
            raise error

    def value(self, time: int, origin: int = 1) -> Any:
        return self.model.stored[TRIPLE, time, origin][0]


@pytest.fixture
def service() -> Service:
    service = Service()
    service.up.set()
    return service


@pytest.fixture
def down(service: Service) -> Service:
    service.up.clear()
    return service


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def journaled(service: Service, path: Path, **settings: Any) -> Writer:
    on_reject = settings.pop("on_reject", None)
    settings = {"linger_s": 0.001, "close_timeout_s": 0.05, "hold_off_s": 0.0, **settings}
    return Writer(service, BatchPolicy(**settings), journal=path, on_reject=on_reject)


def on_disk(path: Path) -> list[Entry]:
    """What a process that is killed now would leave."""
    copy = path.with_name("copy")
    copy.mkdir()
    for suffix in ("", "-wal"):
        if path.with_name(path.name + suffix).exists():
            shutil.copy(path.with_name(path.name + suffix), copy / f"journal{suffix}")
    file = JournalFile(copy / "journal")
    entries = file.open().entries
    file.close()
    shutil.rmtree(copy)
    return entries


async def test_what_write_returned_for_is_on_disk(down: Service, path: Path) -> None:
    async with journaled(down, path) as writer:
        await writer.write(KEY, 1, 1.5)
        assert len(on_disk(path)) == 1
        await writer.write(KEY, [2, 3], [2.5, 3.5], unit="kW.h")
        assert len(on_disk(path)) == 2
        await writer.remove(KEY, 9)
        assert [len(entry) for entry in on_disk(path)] == [1, 2, 1]
        assert writer.report.accepted == 4
        down.up.set()


async def test_what_was_delivered_is_not_on_disk_after_closing(service: Service, path: Path) -> None:
    async with journaled(service, path) as writer:
        for n in range(300):
            await writer.write(KEY, n, n + 0.5)
    assert len(service.model.stored) == 300
    assert on_disk(path) == []


async def test_the_next_writer_delivers_what_this_one_did_not(down: Service, path: Path) -> None:
    with pytest.raises(UndeliveredError, match=r"^4 readings stay in the journal; the next writer") as told:
        async with journaled(down, path) as writer:
            await writer.write(KEY, 1, 1.5)
            await writer.write(KEY, [2, 3, 4], [2.5, "text", None])
    assert (told.value.journaled, told.value.undelivered, told.value.report.kept) == (4, (), 4)
    assert told.value.report.pending == 4
    down.up.set()
    async with journaled(down, path) as writer:
        report = await writer.flush()
        assert (report.accepted, report.delivered) == (4, 4)
    assert [down.value(time) for time in (1, 2, 3, 4)] == [1.5, 2.5, "text", None]


async def test_on_reject_hears_nothing_of_what_stays_in_the_journal(down: Service, path: Path) -> None:
    heard: list[Rejection] = []
    with pytest.raises(UndeliveredError):
        async with journaled(down, path, on_reject=heard.append) as writer:
            await writer.write(KEY, 1, 1.5)
    assert heard == []


async def test_an_error_in_the_body_goes_out_with_a_note_of_what_stays(down: Service, path: Path) -> None:
    with pytest.raises(KeyError) as told:
        async with journaled(down, path) as writer:
            await writer.write(KEY, 1, 1.5)
            raise KeyError("mine")
    assert any("1 readings stay in the journal" in note for note in told.value.__notes__)


async def test_the_order_of_acceptance_holds_beyond_the_end_of_a_writer(down: Service, path: Path) -> None:
    with pytest.raises(UndeliveredError):
        async with journaled(down, path) as writer:
            for value in range(5):
                await writer.write(KEY, 1, float(value))
                await writer.write(KEY, [1, 2], [value + 0.5, value + 0.5])
    down.up.set()
    async with journaled(down, path) as writer:
        await writer.write(KEY, 2, 99.0)
    assert (down.value(1), down.value(2)) == (4.5, 99.0)


async def test_mixed_types_origins_and_units_survive(down: Service, path: Path) -> None:
    with pytest.raises(UndeliveredError):
        async with journaled(down, path) as writer:
            await asyncio.gather(
                writer.write(KEY, 1, 1.5, type="A", origin=1),
                writer.write(KEY, 2, 2.5, type="B", origin=2),
                writer.write(KEY, 3, 7, unit="kW.h"),
                writer.write(KEY, 4.5, True),
                writer.write_data(SignalData(KEY, [5, 6], [1, 2], ["A", "B"], [3, 4])),
            )
    down.up.set()
    async with journaled(down, path) as writer:
        await writer.flush()
    assert down.model.stored == {
        (TRIPLE, 1, 1): (1.5, None),
        (TRIPLE, 2, 2): (2.5, None),
        (TRIPLE, 3, 1): (7, "kW.h"),
        (TRIPLE, 4.5, 1): (True, None),
        (TRIPLE, 5, 3): (1, None),
        (TRIPLE, 6, 4): (2, None),
    }


async def test_more_than_fits_into_memory_is_recovered_bit_by_bit(down: Service, path: Path) -> None:
    with pytest.raises(UndeliveredError):
        async with journaled(down, path) as writer:
            for n in range(50):
                await writer.write(SignalKey(12, n, 32), np.arange(100), np.arange(100) + 0.5)
    small = {"max_memory_bytes": 20_000, "admission_timeout_s": 0.05}
    with pytest.raises(UndeliveredError, match="5000 readings stay"):
        async with journaled(down, path, **small) as writer:
            assert 0 < writer.report.accepted < 1500
            with pytest.raises(WriterTimeoutError):
                await writer.write(KEY, 1, 1.5)
            with pytest.raises(WriterTimeoutError):
                await writer.flush(0.01)
    down.up.set()
    async with journaled(down, path, max_memory_bytes=20_000) as writer:
        await writer.write(KEY, 1, 1.5)
        assert (await writer.flush()).delivered == 5001
    assert on_disk(path) == []


async def test_deliver_returns_when_the_service_has_it(service: Service, path: Path) -> None:
    async with journaled(service, path) as writer:
        await asyncio.gather(
            *(writer.deliver(SignalData(KEY, [n, n + 1000], [n + 0.5, 1.5])) for n in range(20)),
            *(writer.write(KEY, 5000 + n, 2.5) for n in range(20)),
        )
        assert len([time for _, time, _ in service.model.stored if time < 5000]) == 40


async def test_a_deliver_that_is_cut_off_by_the_end_says_that_it_stays(down: Service, path: Path) -> None:
    writer = journaled(down, path)
    async with asyncio.TaskGroup() as group:
        delivery = group.create_task(_error_of(writer.deliver(SignalData(KEY, [1], [1.5]))))
        while not down.calls:  # noqa: ASYNC110 - what the service hears is no event of ours
            await asyncio.sleep(0)
        with pytest.raises(UndeliveredError, match="1 readings stay"):
            await writer.aclose()
    assert "closed" in str(await delivery)
    assert len(on_disk(path)) == 1


async def _error_of(call: Any) -> BesmartError:
    with pytest.raises(BesmartError) as told:
        await call
    return told.value


async def test_what_is_refused_stays_on_disk_until_the_handler_has_had_it(service: Service, path: Path) -> None:
    service.model.poison_readings.add((TRIPLE, 1))
    handled, go_on = asyncio.Event(), asyncio.Event()

    async def handler(rejection: Rejection) -> None:
        handled.set()
        await go_on.wait()

    async with journaled(service, path, on_reject=handler) as writer:
        await writer.write(KEY, [1, 2], [1.5, 2.5])
        await handled.wait()
        assert len(on_disk(path)) == 1
        go_on.set()
    assert on_disk(path) == []


async def test_what_is_refused_stays_on_disk_until_it_was_raised(service: Service, path: Path) -> None:
    service.model.poison_readings.add((TRIPLE, 1))
    async with journaled(service, path) as writer:
        await writer.write(KEY, [1, 2], [1.5, 2.5])
        while not writer.report.rejected:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.001)
        assert len(on_disk(path)) == 1
        with pytest.raises(UndeliveredError):
            await writer.flush()
    assert on_disk(path) == []


async def test_a_writer_that_must_stop_keeps_everything(service: Service, path: Path) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(UndeliveredError, match="stay in the journal"):
            async with journaled(service, path, linger_s=60.0) as writer:
                await writer.write(KEY, 1, 1.5)
                writer.stop(BesmartError("enough"))
                with pytest.raises(BesmartError, match="enough"):
                    await writer.write(KEY, 2, 2.5)
                with pytest.raises(BesmartError, match="enough"):
                    await writer.flush()
    assert len(on_disk(path)) == 1


async def test_cancelled_at_any_moment_others_go_on(service: Service, path: Path) -> None:
    async with journaled(service, path) as writer:
        tasks = [asyncio.create_task(writer.write(KEY, n, float(n))) for n in range(400)]
        for n in range(0, 400, 3):
            await asyncio.sleep(0)
            tasks[n].cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    told = [n for n, error in enumerate(ended) if error is None]
    assert all((TRIPLE, n, 1) in service.model.stored for n in told)
    assert len(told) <= writer.report.delivered == len(service.model.stored) <= 400
    assert writer.report.memory_bytes == 0


async def test_readings_are_numbered_by_their_positions_in_the_journal(service: Service, path: Path) -> None:
    async with journaled(service, path) as writer:
        assert await writer.write_data(SignalData(KEY, [1, 2], [1.5, 2.5])) == range(2)
        await writer.write(KEY, 3, 3.5)
    async with journaled(service, path) as writer:
        assert await writer.write_data(SignalData(KEY, [4], [4.5])) == range(3, 4)


async def test_two_writers_on_one_journal_are_refused_until_the_first_has_closed(service: Service, path: Path) -> None:
    async with journaled(service, path) as first:
        with pytest.raises(JournalError, match="has it open"):
            async with journaled(service, path):
                pytest.fail("it must not open")
        await first.write(KEY, 1, 1.5)
    async with journaled(service, path) as second:
        await second.write(KEY, 2, 2.5)
    assert len(service.model.stored) == 2


async def test_a_writer_used_without_async_with_opens_its_journal_at_the_first_write(
    service: Service, path: Path
) -> None:
    holder = JournalFile(path)
    holder.open()
    writer = journaled(service, path)
    failures = await asyncio.gather(*(_error_of(writer.write(KEY, n, 1.5)) for n in range(3)))
    assert all(isinstance(error, JournalError) for error in failures)
    assert len({id(error) for error in failures}) == 3
    holder.close()
    await asyncio.gather(*(writer.write(KEY, n, 1.5) for n in range(3)))
    await writer.aclose()
    assert len(service.model.stored) == 3


async def test_a_writer_that_was_never_used_makes_no_file(service: Service, path: Path) -> None:
    await journaled(service, path).aclose()
    assert not path.exists()


async def test_a_delivery_is_tried_without_end(service: Service, path: Path) -> None:
    failures = iter(range(2))

    async def put(body: bytes, /) -> None:
        if next(failures, None) is not None:
            raise api_error(500)
        await service(body)

    policy = BatchPolicy(linger_s=0.0, delivery_timeout_s=0.0, initial_wait_s=0.0, max_wait_s=0.0, hold_off_s=0.0)
    async with Writer(put, policy, journal=path) as writer:
        await writer.write(KEY, 1, 1.5)
        assert (await writer.flush()).delivered == 1


async def test_a_cancelled_close_leaves_the_journal_to_the_next_writer(down: Service, path: Path) -> None:
    writer = journaled(down, path, close_timeout_s=60.0)
    await writer.write(KEY, 1, 1.5)
    closing = asyncio.create_task(writer.aclose())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    down.up.set()
    async with asyncio.timeout(10):
        while True:
            try:
                async with journaled(down, path) as writer:
                    await writer.flush()
                break
            except JournalError:  # its file is being closed in its thread
                await asyncio.sleep(0.001)
    assert down.value(1) == 1.5


async def test_damage_is_logged(service: Service, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(bytes(10_000))
    with caplog.at_level(logging.WARNING, "besmart_async"):
        async with journaled(service, path) as writer:
            await writer.write(KEY, 1, 1.5)
    assert "the journal was damaged (its header is broken): 0 readings were salvaged" in caplog.text
    assert service.value(1) == 1.5
