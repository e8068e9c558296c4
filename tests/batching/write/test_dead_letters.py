"""What cannot be delivered, on its way to a handler, a flush or the exit."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest

from besmart_async.batching.write.core.log import columns_cost
from besmart_async.batching.write.dead_letters import ERROR_BYTES, REJECTION_BYTES, DeadLetters
from besmart_async.errors import BesmartError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData

pytestmark = pytest.mark.looptime

ERROR = BesmartError("refused")


def rejection(number: int = 0, rows: int = 1, error: BesmartError = ERROR) -> Rejection:
    data = SignalData(SignalKey(12, number, 32), np.arange(rows), np.arange(rows) + 0.5)
    return Rejection(data, error, "rejected", rows)


def cost(rejection: Rejection) -> int:
    return REJECTION_BYTES + columns_cost(rejection.data)


# -- without a handler -----------------------------------------------------------------------------------------------


def test_rejections_are_kept_until_they_are_taken_once() -> None:
    letters, told = DeadLetters(None, 1 << 20), list[Rejection]()
    letters.told = told.append
    many = [rejection(number) for number in range(3)]
    assert [letters.add(each, told_otherwise=False) for each in many] == [True, True, True]
    assert told == []
    assert letters.take() == (many, 0)
    assert told == many
    assert letters.take() == ([], 0)
    assert letters.bytes == 0


def test_what_a_deliver_raises_is_not_kept() -> None:
    letters, told = DeadLetters(None, 1 << 20), list[Rejection]()
    letters.told = told.append
    one = rejection()
    assert not letters.add(one, told_otherwise=True)
    assert told == [one]
    assert letters.take() == ([], 0)


def test_the_error_that_readings_of_one_call_share_counts_once() -> None:
    letters = DeadLetters(None, 1 << 20)
    for number in range(3):
        letters.add(rejection(number), told_otherwise=False)
    assert letters.bytes == ERROR_BYTES + 3 * cost(rejection())
    letters.add(rejection(error=BesmartError("another")), told_otherwise=False)
    assert letters.bytes == 2 * ERROR_BYTES + 4 * cost(rejection())


def test_what_is_kept_is_bounded_and_the_readings_beyond_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    letters, told = DeadLetters(None, 10_000), list[Rejection]()
    letters.told = told.append
    for number in range(100):
        assert letters.add(rejection(number, rows=5), told_otherwise=False)
        assert letters.bytes <= 10_000
    kept, dropped = letters.take()
    assert len(kept) == (10_000 - ERROR_BYTES) // cost(rejection(rows=5))
    assert dropped == 5 * (100 - len(kept))
    assert len(told) == 100
    (record,) = [record for record in caplog.records if "keeps no more data" in record.message]
    assert record.levelno == logging.ERROR
    letters.add(rejection(), told_otherwise=False)
    assert [len(part) if isinstance(part, list) else part for part in letters.take()] == [1, 0]


# -- with a handler --------------------------------------------------------------------------------------------------


def test_a_handler_is_called_at_once_and_nothing_is_kept() -> None:
    got = list[Rejection]()
    letters = DeadLetters(got.append, 0)
    one = rejection()
    assert not letters.add(one, told_otherwise=True)
    assert got == [one]
    assert letters.take() == ([], 0)


async def test_an_async_handler_gets_one_at_a_time_in_order() -> None:
    got, told, at_work = list[int](), list[Rejection](), 0

    async def handle(one: Rejection) -> None:
        nonlocal at_work
        at_work += 1
        assert at_work == 1
        await asyncio.sleep(0.1)
        at_work -= 1
        got.append(one.data.key.sensor_mid)

    letters = DeadLetters(handle, 0)
    letters.told = told.append
    for number in range(5):
        letters.add(rejection(number), told_otherwise=False)
    await letters.empty(10.0)
    assert got == [0, 1, 2, 3, 4]
    assert len(told) == 5
    letters.add(rejection(7), told_otherwise=False)
    await letters.empty(10.0)
    assert got[-1] == 7


async def test_what_a_handler_raises_is_kept_and_the_next_one_is_handed_over_all_the_same() -> None:
    got = list[int]()

    async def handle(one: Rejection) -> None:
        await asyncio.sleep(0.1)
        got.append(one.data.key.sensor_mid)
        raise RuntimeError(f"disk full {one.data.key.sensor_mid}")

    letters = DeadLetters(handle, 0)
    for number in range(3):
        letters.add(rejection(number), told_otherwise=False)
    await letters.empty(10.0)
    assert got == [0, 1, 2]
    assert list(map(str, letters.take_errors())) == ["disk full 0", "disk full 1", "disk full 2"]
    assert letters.take_errors() == []


async def test_a_handler_that_does_not_come_to_an_end_is_cancelled() -> None:
    cancelled = False

    async def handle(one: Rejection) -> None:
        nonlocal cancelled
        try:
            await asyncio.sleep(1_000.0)
        except asyncio.CancelledError:
            cancelled = True
            raise

    letters = DeadLetters(handle, 0)
    letters.add(rejection(), told_otherwise=False)
    await letters.empty(2.0)
    await asyncio.sleep(0)
    assert cancelled
    assert asyncio.get_running_loop().time() == pytest.approx(2.0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
