"""Limits: readings a second, and rejects."""

import asyncio

import pytest

from besmart_async.ingest import RejectLimit, TooManyRejectsError
from besmart_async.ingest.send.sender import RateLimit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("0", RejectLimit(0)),
        (" 100 ", RejectLimit(100)),
        ("0.5%", RejectLimit(0.5, True)),
        ("0%", RejectLimit(0, True)),
    ],
)
def test_a_limit_is_a_number_or_a_share(text: str, limit: RejectLimit) -> None:
    assert RejectLimit.parse(text) == limit


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "many", "%", "1 %%"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither a number of rows"):
        RejectLimit.parse(text)


def test_a_number_is_exceeded_by_one_more() -> None:
    RejectLimit(2).check(2, 2)
    with pytest.raises(TooManyRejectsError, match="3 of 3 rows were rejected, more than the 2 allowed"):
        RejectLimit(2).check(3, 3)


def test_a_share_is_judged_once_there_are_enough_rows_and_at_the_end() -> None:
    limit = RejectLimit(1, percent=True)
    limit.check(50, 999)
    limit.check(10, 1_000)
    limit.check(0, 0, end=True)
    with pytest.raises(TooManyRejectsError, match="1 %"):
        limit.check(11, 1_000)
    with pytest.raises(TooManyRejectsError):
        limit.check(50, 999, end=True)


@pytest.mark.looptime
async def test_so_many_readings_a_second_pass_and_little_is_saved_up() -> None:
    loop = asyncio.get_running_loop()
    limit = RateLimit(100, loop.time, asyncio.sleep)
    started = loop.time()
    for _ in range(20):
        await limit.take(limit.at_once)
    assert loop.time() - started == pytest.approx(20 * 25 / 100, abs=0.3)
    await asyncio.sleep(3600)
    started = loop.time()
    for _ in range(8):
        await limit.take(25)
    assert loop.time() - started == pytest.approx(2 - RateLimit.SAVED_S, abs=0.01)


def test_a_slow_rate_still_lets_one_pass_at_a_time() -> None:
    assert RateLimit(0.5, lambda: 0.0, asyncio.sleep).at_once == 1
