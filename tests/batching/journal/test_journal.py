"""The journal on an event loop: commits, cancelled writes, outcomes by position, and the end."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from besmart_async import JournalError, SignalData, SignalKey
from besmart_async.batching.journal.database import Row
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.inspection import inspect
from besmart_async.batching.journal.journal import Joined, Journal
from besmart_async.batching.journal.records import Write, count
from besmart_async.batching.journal.recovery import Recovered
from besmart_async.batching.journal.tracker import Changes
from tests.batching.journal.entries import KEY, single

OTHER = SignalKey(12, 122, 33)


@attrs.define
class Owner:
    """A writer's side of a journal: what was committed, and where."""

    commits: list[tuple[list[Write], int | None]] = attrs.field(factory=list)
    rest: asyncio.Event = attrs.field(factory=asyncio.Event)

    def committed(self, writes: Sequence[Joined], start: int | None) -> None:
        assert not any(joined.future.done() for joined in writes if not joined.future.cancelled())
        self.commits.append(([joined.write for joined in writes], start))

    def rested(self) -> None:
        self.rest.set()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def owner() -> Owner:
    return Owner()


async def opened(path: Path, owner: Owner) -> tuple[Journal, list[Recovered]]:
    journal = Journal(path, owner.committed, owner.rested)
    return journal, await journal.open()


async def closed(journal: Journal) -> int:
    closing = journal.close()
    assert closing is not None
    await asyncio.wrap_future(closing)
    return journal.left


async def at_rest(journal: Journal, owner: Owner) -> None:
    while journal.busy:
        owner.rest.clear()
        await asyncio.wait_for(owner.rest.wait(), 10)


async def written(journal: Journal, *writes: Write) -> None:
    await asyncio.gather(*(journal.join(write, 100).future for write in writes))


def columns(rows: int, key: SignalKey = KEY) -> SignalData:
    return SignalData(key, range(rows), [0.5] * rows)


async def test_writes_of_one_turn_share_a_commit_and_have_neighbouring_positions(path: Path, owner: Owner) -> None:
    journal, _ = await opened(path, owner)
    writes: list[Write] = [single(1, 1.5), columns(3), single(2, 2.5)]
    await written(journal, *writes)
    await written(journal, single(3, 3.5))
    assert owner.commits == [(writes, 0), ([single(3, 3.5)], 5)]
    assert (journal.left, await closed(journal)) == (6, 6)


async def test_what_is_not_done_comes_back_with_its_positions(path: Path, owner: Owner) -> None:
    journal, _ = await opened(path, owner)
    await written(journal, single(1, 1.5), columns(6), single(2, 2.5))
    journal.done([(0, 2), (4, 5), (5, 6)])
    journal.refused([(7, 8)])
    assert (journal.left, await closed(journal)) == (3, 3)
    found = inspect(path)
    assert (found.readings, found.refused) == (3, 1)
    journal, recovered = await opened(path, owner)
    assert [(piece.start, count(piece.entries), piece.refused) for piece in recovered] == [
        (2, 2, False),
        (6, 1, False),
        (7, 1, True),
    ]
    assert recovered[0].entries == [SignalData(KEY, [1, 2], [0.5, 0.5])]
    journal.done([(2, 4), (6, 8)])
    await written(journal, single(9, 9.5))
    assert owner.commits[-1:] == [([single(9, 9.5)], 8)]
    journal.done([(8, 9)])
    assert await closed(journal) == 0
    journal, recovered = await opened(path, owner)
    assert recovered == []
    await written(journal, single(10, 9.5))
    assert owner.commits[-1:] == [([single(10, 9.5)], 9)], "positions count over the life of the file"
    await closed(journal)


@pytest.mark.parametrize("refused_share", [2, 10])
async def test_a_commit_with_many_refused_readings_does_not_lose_the_outcomes_of_the_others(
    path: Path, owner: Owner, refused_share: int
) -> None:
    """Each run is cut off after some outcomes: the numbers add up over the runs."""
    journal, _ = await opened(path, owner)
    await written(journal, *(single(number, 0.5) for number in range(600)))
    await closed(journal)
    delivered, told, runs = list[int](), list[int](), 0
    while True:
        journal, recovered = await opened(path, owner)
        positions = [piece.start + n for piece in recovered for n in range(count(piece.entries))]
        assert len(positions) == 600 - len(delivered) - len(told)
        if not positions:
            break
        for position in positions[:121]:
            (told if position % refused_share == 0 else delivered).append(position)
            journal.done([(position, position + 1)])
        assert await closed(journal) == inspect(path).readings == len(positions) - len(positions[:121])
        runs += 1
    await closed(journal)
    assert runs == 5
    assert sorted(delivered + told) == list(range(600))


async def test_outcomes_are_recorded_soon_although_nothing_is_written(path: Path, owner: Owner) -> None:
    journal, _ = await opened(path, owner)
    await written(journal, columns(1000), columns(1, OTHER))
    owner.rest.clear()
    journal.done([(0, 400)])
    await asyncio.wait_for(owner.rest.wait(), 10)
    assert inspect(path).readings == 601
    await closed(journal)


async def test_a_cancelled_write_leaves_unless_it_is_on_its_way(path: Path, owner: Owner) -> None:
    journal, _ = await opened(path, owner)
    first, second = journal.join(single(1, 1.5), 100), journal.join(single(2, 2.5), 100)
    assert journal.leave(first)
    assert not journal.leave(first)
    await second.future
    assert not journal.leave(second)
    assert owner.commits == [([single(2, 2.5)], 0)]
    await closed(journal)


async def test_leaving_looks_at_no_other_write(path: Path, owner: Owner) -> None:
    """Each of 40,000 waiting writes leaves, from the first or from the last: in a list that takes 800 million steps."""
    comparisons = 0

    class Counted(Joined):
        def __eq__(self, other: object) -> bool:
            nonlocal comparisons
            comparisons += 1
            return self is other

        __hash__ = object.__hash__

    journal, _ = await opened(path, owner)
    future = asyncio.get_running_loop().create_future()
    waiting = [Counted(single(1, 1.5), 100, future) for _ in range(40_000)]
    journal._waiting.update(dict.fromkeys(waiting))
    for number in range(20_000):
        assert journal.leave(waiting[number])
        assert journal.leave(waiting[-1 - number])
    assert comparisons < 100_000
    assert not journal.busy
    await closed(journal)


async def test_large_writes_go_in_several_commits(path: Path, owner: Owner) -> None:
    journal, _ = await opened(path, owner)
    joined = [journal.join(single(n, 0.5), 5 << 20) for n in range(3)]
    await asyncio.gather(*(write.future for write in joined))
    assert [start for _, start in owner.commits] == [0, 1, 2]
    await closed(journal)


async def test_a_commit_that_fails_is_told_to_everybody_and_the_next_one_goes_on(path: Path, owner: Owner) -> None:
    journal, _ = await opened(path, owner)
    path.rename(path.with_name("elsewhere"))
    joined = [journal.join(single(n, 0.5), 100) for n in range(2)]
    errors = await asyncio.gather(*(write.future for write in joined), return_exceptions=True)
    assert all(isinstance(error, JournalError) and "moved or deleted" in str(error) for error in errors)
    assert errors[0] is not errors[1]
    assert [start for _, start in owner.commits] == [None]
    path.with_name("elsewhere").rename(path)
    await written(journal, single(5, 0.5))
    assert [start for _, start in owner.commits] == [None, 0]
    assert await closed(journal) == 1


class SlowFile(JournalFile):
    """Begins a commit only when it is let."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.go_on = threading.Event()

    def append(self, entries: Sequence[Write], changes: Changes | None = None) -> Row:
        self.go_on.wait(10)
        return super().append(entries, changes)


async def test_what_is_committed_while_the_journal_closes_stays_in_it(path: Path, owner: Owner) -> None:
    journal = Journal(path, owner.committed, owner.rested)
    slow = journal._file = SlowFile(path)
    await journal.open()
    slow.go_on.set()
    await written(journal, single(1, 1.5), single(2, 2.5), single(3, 2.5))
    slow.go_on.clear()
    joined = journal.join(single(4, 3.5), 100)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert owner.commits == [([single(1, 1.5), single(2, 2.5), single(3, 2.5)], 0)]
    journal.done([(0, 1), (2, 3)])
    closing = journal.close()
    assert closing is not None
    slow.go_on.set()
    await asyncio.wrap_future(closing)
    await joined.future
    journal, recovered = await opened(path, owner)
    assert [piece.start for piece in recovered] == [1, 3]
    await closed(journal)


class CountingFile(JournalFile):
    """Counts how often rows are rewritten."""

    compacted = 0

    def compact(self, rows: Sequence[tuple[Row, bytes]]) -> list[Row]:
        self.compacted += 1
        return super().compact(rows)


async def test_a_large_row_that_is_nearly_done_does_not_hold_up_writes(path: Path, owner: Owner) -> None:
    """One reading of a year of minutes has no outcome: the row is rewritten once, and writes go on."""
    journal = Journal(path, owner.committed, owner.rested)
    file = journal._file = CountingFile(path)
    await journal.open()
    await written(journal, columns(1_000_000))
    journal.done([(0, 999_999)])
    for number in range(50):
        await written(journal, single(number, 0.5, OTHER))
        journal.done([(1_000_000 + number, 1_000_001 + number)])
    await at_rest(journal, owner)
    await written(journal, single(99, 0.5, OTHER))
    await at_rest(journal, owner)
    assert file.compacted == 1
    assert await closed(journal) == 2
    journal, recovered = await opened(path, owner)
    assert [(piece.start, count(piece.entries)) for piece in recovered] == [(999_999, 1), (1_000_050, 1)]
    await closed(journal)


async def test_damage_is_logged(path: Path, owner: Owner, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(bytes(10_000))
    with caplog.at_level(logging.WARNING, "besmart_async"):
        journal, recovered = await opened(path, owner)
    assert recovered == []
    assert "the journal was damaged (its header is broken): 0 readings were salvaged" in caplog.text
    await closed(journal)


async def test_a_log_that_is_gone_is_an_error_in_the_log(
    path: Path, owner: Owner, caplog: pytest.LogCaptureFixture
) -> None:
    journal, _ = await opened(path, owner)
    await written(journal, single(1, 0.5))
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    await closed(journal)
    with caplog.at_level(logging.ERROR, "besmart_async"):
        journal, _ = await opened(copy, owner)
    assert "its log (copy-wal) is missing: readings may be lost" in caplog.text
    await closed(journal)
