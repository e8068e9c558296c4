"""In flight: from the numbers of readings back to rows of files."""

import asyncio

import numpy as np
import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.ingest.send.in_flight import InFlight, InFlightPage
from besmart_async.ingest.send.items import Items
from besmart_async.ingest.sources.columns import Chunk, Coded
from tests.ingest.made_items import items

KEY = SignalKey(1, 1, 32)


def chunk(rows: list[int]) -> Chunk:
    size = len(rows)
    return Chunk("f", np.array(rows), Coded(np.zeros(size, np.int64), ["M"]), np.zeros(size), np.zeros(size))


def written(*rows: list[int]) -> Items:
    return items(*(SignalData(KEY, one, [float(row) for row in one], unit="kW.h") for one in rows), rows=rows)


def numbers_of(page: InFlightPage) -> list[int]:
    return list(range(page.first, page.first + len(page)))


def ranges(given: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(number, number + 1) for number in given]


def stored(in_flight: InFlight, *given: int) -> list[tuple[InFlightPage, list[int]]]:
    return [(page, sorted(rows.tolist())) for page, rows in in_flight.stored(ranges(given))]


def test_readings_are_numbered_from_0_in_the_order_of_writing() -> None:
    in_flight = InFlight()
    first, second = in_flight.add(0, chunk([2, 3]), written([2], [3])), in_flight.add(0, chunk([4]), written([4]))
    assert [*numbers_of(first), *numbers_of(second)] == [0, 1, 2]


def test_stored_numbers_tell_the_rows_that_are_done_page_by_page() -> None:
    in_flight = InFlight()
    first = in_flight.add(0, chunk([2, 3, 4]), written([2, 4], [3]))
    second = in_flight.add(1, chunk([2, 3]), written([2, 3]))
    assert stored(in_flight, numbers_of(second)[1], numbers_of(first)[0], numbers_of(first)[2]) == [
        (first, [2, 3]),
        (second, [3]),
    ]
    assert in_flight.take_finished() == []
    assert stored(in_flight, numbers_of(first)[1]) == [(first, [4])]
    assert in_flight.take_finished() == [first]
    assert first.arrived.all()
    assert in_flight.take_all() == [second]


def test_a_row_of_many_readings_is_done_with_its_last_one() -> None:
    in_flight = InFlight()
    page = in_flight.add(0, chunk([2, 2, 2, 3, 3, 3]), written([2, 3], [2, 3], [2, 3]))
    given = numbers_of(page)
    assert stored(in_flight, given[0], given[1], given[2]) == [(page, [])]
    [(_, numbers, rows)] = in_flight.refused(ranges((given[4],)))
    assert [page.find(number)[0].data for number in numbers.tolist()] == [list(page.items)[2]]
    assert rows.tolist() == [2]
    assert stored(in_flight, given[3], given[5]) == [(page, [3])]


def test_refused_numbers_lead_to_their_items_and_did_not_arrive() -> None:
    in_flight = InFlight()
    page = in_flight.add(0, chunk([2, 3, 4]), written([2, 4], [3]))
    [(found, numbers, rows)] = in_flight.refused([(numbers_of(page)[1], numbers_of(page)[2] + 1)])
    assert found is page
    told = [page.find(number) for number in numbers.tolist()]
    assert [(item.rows.tolist(), place) for item, place in told] == [([2, 4], 1), ([3], 0)]
    assert sorted(rows.tolist()) == [3, 4]
    assert page.arrived.tolist() == [False, False, False]


async def test_no_more_is_taken_than_may_be_under_way() -> None:
    in_flight = InFlight(max_readings=2)
    page = in_flight.add(0, chunk([2, 3]), written([2, 3]))
    await in_flight.wait_for_room()
    in_flight.start(2)
    assert in_flight.full
    waiting = asyncio.ensure_future(in_flight.wait_for_room())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0)
    stored(in_flight, numbers_of(page)[0])
    in_flight.take_finished()
    await waiting
    assert not in_flight.full


def test_a_page_finds_its_rows_once_for_all_its_rejects() -> None:
    page = InFlight().add(0, chunk([2, 3]), written([2, 3]))
    assert page.records is page.records
