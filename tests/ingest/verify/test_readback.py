"""Verification: every delivered reading is compared, exactly, whatever else the service holds."""

from collections.abc import Sequence

import numpy as np
import pytest

from besmart_async import SignalData, SignalKey, SignalQuery
from besmart_async.ingest.verify.archive import Delivered
from besmart_async.ingest.verify.readback import ReadBulk, verify, windows

KEY = SignalKey(1, 1, 32)


def delivered(
    time: Sequence[int],
    value: Sequence[float],
    *,
    origin: Sequence[int] | None = None,
    key: SignalKey = KEY,
    unit: str = "kW.h",
) -> Delivered:
    rows = len(time)
    return Delivered(
        key,
        np.array(time),
        np.array(origin or [1] * rows, np.int64),
        np.array(value, np.float64),
        np.zeros(rows, np.int64),
        (unit,),
    )


def answering(*answers: SignalData) -> ReadBulk:
    by_key = {answer.key: answer for answer in answers}

    async def read_bulk(queries: Sequence[SignalQuery]) -> list[SignalData]:
        assert len({query.key for query in queries}) == len(queries)
        return [by_key.get(query.key, SignalData.missing(query.key)) for query in queries]

    return read_bulk


async def outcome(sent: Delivered, answer: SignalData | None) -> tuple[int, list[str]]:
    found = await verify(answering(*[answer] if answer else []), [sent])
    assert found.ok == (found.verified == found.expected)
    return found.verified, [str(difference) for difference in found.differences]


async def test_equal_readings_are_verified_in_any_order_beside_others() -> None:
    answer = SignalData(KEY, [9, 3, 1, 2], [9.0, 3.0, 1.0, 2.0], unit="kW.h")
    assert await outcome(delivered([1, 2, 3], [1.0, 2.0, 3.0]), answer) == (3, [])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "is missing"),
        (SignalData(KEY, [], []), "is missing"),
        (SignalData(KEY, [2], [1.0]), "is missing"),
        (SignalData(KEY, [1], [np.nextafter(1.0, 2.0)]), "came back as 1.0000000000000002"),
        (SignalData(KEY, [1], [None]), "is missing"),
        (SignalData(KEY, [1], ["1.0"]), "is missing"),
        (SignalData(KEY, [1], [1.0], unit="V"), "came back as 1.0"),
    ],
)
async def test_whatever_differs_is_told(answer: SignalData | None, words: str) -> None:
    verified, [difference] = await outcome(delivered([1], [1.0]), answer)
    assert verified == 0
    assert difference.startswith("1.1.32 1970-01-01T00:00:00.001000Z origin 1: 1.0 ")
    assert words in difference


async def test_of_a_reading_given_back_twice_the_last_counts() -> None:
    assert await outcome(delivered([1], [2.0]), SignalData(KEY, [1, 1], [1.0, 2.0])) == (1, [])


async def test_another_unit_of_the_same_kind_is_converted_and_counted() -> None:
    answer = SignalData(KEY, [1, 2], [1.5, 0.1234], unit="kW.h")
    found = await verify(answering(answer), [delivered([1, 2], [1500.0, 123.4], unit="W.h")])
    assert (found.verified, found.converted) == (2, 2)


async def test_origins_are_asked_for_one_by_one() -> None:
    asked: list[int | None] = []

    async def read_bulk(queries: Sequence[SignalQuery]) -> list[SignalData]:
        asked.extend(query.signal_origin_id for query in queries)
        return [SignalData(KEY, [1, 1], [1.0, 2.0], origin=[1, 2]) for _ in queries]

    found = await verify(read_bulk, [delivered([1, 1], [1.0, 2.0], origin=[1, 2])])
    assert found.ok
    assert asked == [1, 2]


async def test_values_that_are_integers_to_the_service_are_equal_to_doubles() -> None:
    assert await outcome(delivered([1], [2.0]), SignalData(KEY, [1], [2])) == (1, [])


async def test_only_the_first_differences_are_listed() -> None:
    verified, differences = await outcome(delivered(range(50), [1.0] * 50), None)
    assert (verified, len(differences)) == (0, 10)


async def test_nothing_delivered_is_nothing_to_verify() -> None:
    found = await verify(answering(), [])
    assert (found.ok, found.expected, found.requests) == (True, 0, 0)


def test_windows_cover_every_reading_once_and_reach_past_the_last() -> None:
    found = list(windows(delivered([0, 10, 20, 30, 5], [0.0] * 5, origin=[1, 1, 1, 1, 2]), max_readings=3))
    assert [(window.query.since, window.query.till, window.origin) for window in found] == [
        (0, 21, 1),
        (30, 31, 1),
        (5, 6, 2),
    ]
