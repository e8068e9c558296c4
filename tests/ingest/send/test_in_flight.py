"""The ledger: readings on their way, told by labels, back to rows of files."""

import asyncio

import numpy as np
import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.ingest.send.in_flight import Ledger, Sheet
from besmart_async.ingest.send.items import Items
from besmart_async.ingest.sources.columns import Chunk, Coded
from tests.ingest.made_items import items

KEY = SignalKey(1, 1, 32)


def chunk(rows: list[int]) -> Chunk:
    size = len(rows)
    return Chunk("f", np.array(rows), Coded(np.zeros(size, np.int64), ["M"]), np.zeros(size), np.zeros(size))


def written(*rows: list[int]) -> Items:
    return items(*(SignalData(KEY, one, [float(row) for row in one], unit="kW.h") for one in rows), rows=rows)


def labels(sheet: Sheet) -> list[int]:
    return [label for _, part in sheet.writes for label in part.tolist()]


def stored(ledger: Ledger, *given: int) -> list[tuple[Sheet, list[int]]]:
    return [(sheet, sorted(rows.tolist())) for sheet, rows in ledger.stored([np.array(given, np.int64)])]


def test_every_reading_has_a_label_of_its_own_below_those_of_the_writer() -> None:
    ledger = Ledger()
    first, second = ledger.add(0, chunk([2, 3]), written([2], [3])), ledger.add(0, chunk([4]), written([4]))
    assert len({*labels(first), *labels(second)}) == 3
    assert max(labels(first)) < -1


def test_stored_labels_tell_the_rows_that_are_done_page_by_page() -> None:
    ledger = Ledger()
    first = ledger.add(0, chunk([2, 3, 4]), written([2, 4], [3]))
    second = ledger.add(1, chunk([2, 3]), written([2, 3]))
    assert stored(ledger, labels(second)[1], labels(first)[0], labels(first)[2]) == [(first, [2, 3]), (second, [3])]
    assert ledger.let_go() == []
    assert stored(ledger, labels(first)[1]) == [(first, [4])]
    assert ledger.let_go() == [first]
    assert first.arrived.all()
    assert ledger.clear() == [second]


def test_a_row_of_many_readings_is_done_with_its_last_one() -> None:
    ledger = Ledger()
    sheet = ledger.add(0, chunk([2, 2, 2, 3, 3, 3]), written([2, 3], [2, 3], [2, 3]))
    given = labels(sheet)
    assert stored(ledger, given[0], given[1], given[2]) == [(sheet, [])]
    [(_, numbers, rows)] = ledger.refused([given[4]])
    assert [sheet.find(number)[0].data for number in numbers.tolist()] == [list(sheet.items)[2]]
    assert rows.tolist() == [2]
    assert stored(ledger, given[3], given[5]) == [(sheet, [3])]


def test_refused_labels_lead_to_their_items_and_did_not_arrive() -> None:
    ledger = Ledger()
    sheet = ledger.add(0, chunk([2, 3, 4]), written([2, 4], [3]))
    [(found, numbers, rows)] = ledger.refused([labels(sheet)[2], labels(sheet)[1]])
    assert found is sheet
    told = [sheet.find(number) for number in numbers.tolist()]
    assert [(item.rows.tolist(), place) for item, place in told] == [([2, 4], 1), ([3], 0)]
    assert sorted(rows.tolist()) == [3, 4]
    assert sheet.arrived.tolist() == [False, False, False]


async def test_no_more_is_taken_than_may_be_under_way() -> None:
    ledger = Ledger(max_readings=2)
    sheet = ledger.add(0, chunk([2, 3]), written([2, 3]))
    await ledger.room()
    ledger.begin(2)
    assert ledger.full
    waiting = asyncio.ensure_future(ledger.room())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0)
    stored(ledger, labels(sheet)[0])
    ledger.let_go()
    await waiting
    assert not ledger.full


def test_a_page_finds_its_rows_once_for_all_its_rejects() -> None:
    sheet = Ledger().add(0, chunk([2, 3]), written([2, 3]))
    assert sheet.places is sheet.places
