"""Callers that wait for room, or for a flush."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

import attrs
import pytest

from besmart_async.batching.write.core.events import Settled
from besmart_async.batching.write.waiting import Delivery, Flushes, Line
from besmart_async.errors import BesmartError

pytestmark = pytest.mark.looptime


@attrs.define
class Room:
    """A memory budget, as the accumulator keeps one."""

    free: int = 0

    def has(self, cost: int) -> bool:
        return cost <= self.free

    def reserve(self, cost: int) -> None:
        self.free -= cost


async def settled() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def stand(line: Line, cost: int, deadline: float = math.inf, *, first: bool = False) -> None:
    place = line.join(cost, deadline, first=first)
    try:
        await place
    finally:
        line.leave(place, cost)


async def standing(line: Line, *costs: int, deadline: float = math.inf) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(stand(line, cost, deadline)) for cost in costs]
    await settled()
    return tasks


def line_of(free: int = 0) -> tuple[Line, Room]:
    room = Room(free)
    return Line(room.has, room.reserve), room


def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    return [task.done() for task in tasks]


# -- the line --------------------------------------------------------------------------------------------------------


async def test_callers_are_let_in_in_their_order_and_nobody_overtakes_a_large_one() -> None:
    line, room = line_of()
    tasks = await standing(line, 10, 100, 10)
    room.free = 50
    line.let_in()
    await settled()
    assert done(tasks) == [True, False, False]
    room.free = 100
    line.let_in()
    await settled()
    assert done(tasks) == [True, True, False]
    assert len(line) == 1
    room.free = 10
    line.let_in()
    await asyncio.gather(*tasks)
    assert len(line) == 0


async def test_room_is_reserved_for_who_is_woken_before_it_runs() -> None:
    line, room = line_of()
    tasks = await standing(line, 30, 30, 30)
    room.free = 70
    line.let_in()
    assert room.free == 10
    line.let_in()
    assert room.free == 10
    await settled()
    assert done(tasks) == [True, True, False]
    tasks[2].cancel()


async def test_who_was_woken_and_is_cancelled_before_it_runs_gives_its_room_back() -> None:
    line, room = line_of()
    tasks = await standing(line, 30, 30)
    room.free = 30
    line.let_in()
    assert room.free == 0
    tasks[0].cancel()
    await settled()
    assert tasks[0].cancelled()
    assert room.free == 30
    line.let_in()
    assert room.free == 0
    await tasks[1]
    assert room.free == 30  # whoever leaves the line takes what it needs


async def test_who_gives_up_while_it_waits_holds_up_nobody_and_had_nothing_reserved() -> None:
    line, room = line_of()
    tasks = await standing(line, 1_000, 10)
    tasks[0].cancel()
    await settled()
    assert len(line) == 1
    room.free = 10
    line.let_in()
    assert room.free == 0
    await tasks[1]
    assert room.free == 10


async def test_who_waits_past_its_deadline_is_told_and_those_behind_go_on() -> None:
    line, room = line_of()
    early = await standing(line, 100, deadline=5.0)
    late = await standing(line, 10, deadline=7.0)
    await asyncio.sleep(5.5)
    assert isinstance(early[0].exception(), TimeoutError)
    assert done(late) == [False]
    room.free = 10
    line.let_in()
    await late[0]
    assert asyncio.get_running_loop().time() == pytest.approx(5.5)


async def test_each_deadline_is_kept() -> None:
    line, _ = line_of()
    loop = asyncio.get_running_loop()
    ended = list[float]()

    async def late(deadline: float) -> None:
        with pytest.raises(TimeoutError):
            await stand(line, 1, deadline)
        ended.append(loop.time())

    await asyncio.gather(*(late(1.0 + place) for place in range(5)))
    assert ended == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])
    assert len(line) == 0


async def test_a_deadline_that_is_over_already_is_told_at_once() -> None:
    line, _ = line_of(free=100)
    with pytest.raises(TimeoutError):
        await stand(line, 1, asyncio.get_running_loop().time())


async def test_who_found_no_room_after_all_keeps_its_place() -> None:
    line, room = line_of()
    behind = await standing(line, 10)
    again = asyncio.create_task(stand(line, 10, first=True))
    await settled()
    room.free = 10
    line.let_in()
    await again
    assert done(behind) == [False]
    behind[0].cancel()


async def test_everybody_may_be_woken_at_once_to_find_out_that_the_writer_is_gone() -> None:
    line, room = line_of()
    tasks = await standing(line, 10, 1_000, 10)
    line.let_all_in()
    assert room.free == -1_020
    await asyncio.gather(*tasks)
    assert len(line) == 0
    assert room.free == 0  # each of them has given its room back


def left_behind(line: Line, room: Room, cost: int, deadline: float = math.inf) -> asyncio.Future[None]:
    """Leave behind what takes its room when its turn comes; the future tells of errors only."""
    future = asyncio.get_running_loop().create_future()

    def enter() -> bool:
        if room.has(cost):
            room.reserve(cost)
            return True
        return False

    line.leave_behind(enter, cost // 2, deadline, future)
    return future


async def test_what_is_left_behind_enters_in_its_turn() -> None:
    line, room = line_of()
    future = left_behind(line, room, 10)
    tasks = await standing(line, 10)
    left_behind(line, room, 10)
    assert len(line) == 3
    room.free = 20
    line.let_in()
    assert room.free == 0  # one entered, one was woken
    assert not future.done()
    await asyncio.gather(*tasks)
    assert room.free == 10
    line.let_in()
    assert (room.free, len(line)) == (0, 0)


async def test_what_was_left_behind_and_finds_no_room_after_all_keeps_its_place() -> None:
    line, room = line_of()
    left_behind(line, room, 100)
    left_behind(line, room, 10)
    room.free = 60  # as much as the line is asked for, and less than it takes
    line.let_in()
    assert (room.free, len(line)) == (60, 2)
    room.free = 110
    line.let_in()
    assert (room.free, len(line)) == (0, 0)


async def test_what_is_withdrawn_does_not_enter_and_holds_up_nobody() -> None:
    line, room = line_of()
    first, _ = left_behind(line, room, 1_000), left_behind(line, room, 10)
    line.withdraw(first)
    assert len(line) == 1
    room.free = 10
    line.let_in()
    assert (room.free, len(line)) == (0, 0)


async def test_what_is_left_behind_past_its_deadline_does_not_enter() -> None:
    line, room = line_of()
    future = left_behind(line, room, 10, deadline=5.0)
    with pytest.raises(TimeoutError):
        await future
    assert asyncio.get_running_loop().time() == pytest.approx(5.0)
    line.withdraw(future)
    room.free = 10
    line.let_in()
    assert (room.free, len(line)) == (10, 0)


@pytest.mark.parametrize("let_in", [Line.let_in, Line.let_all_in])
async def test_an_error_of_what_was_left_behind_is_told_by_its_future(let_in: Callable[[Line], None]) -> None:
    line, room = line_of(free=10)

    def enter() -> bool:
        raise BesmartError("closed")

    futures = [asyncio.get_running_loop().create_future() for _ in range(2)]
    for future in futures:
        line.leave_behind(enter, 10, math.inf, future)
    tasks = await standing(line, 10)
    let_in(line)
    for future in futures:
        with pytest.raises(BesmartError, match="closed"):
            await future
        line.withdraw(future)
    await asyncio.gather(*tasks)
    assert (room.free, len(line)) == (10, 0)


Args = TypeVarTuple("Args")


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the timers that are set."""

    timers = 0

    def call_at(
        self,
        when: float,
        callback: Callable[[*Args], object],
        *args: *Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers += 1
        return super().call_at(when, callback, *args, context=context)


@pytest.mark.looptime(False)
def test_one_timer_serves_a_thousand_callers() -> None:
    async def timers() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountingLoop)
        line, room = line_of()
        tasks = await standing(line, *[1] * 1_000, deadline=loop.time() + 1_000.0)
        room.free = 1_000
        line.let_in()
        await asyncio.gather(*tasks)
        return loop.timers

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        assert runner.run(timers()) == 1


# -- flushes ---------------------------------------------------------------------------------------------------------


async def test_a_flush_ends_when_everything_below_its_ticket_is_settled() -> None:
    flushes = Flushes()
    waiting = [flushes.join(ticket) for ticket in (5, 5, 8)]
    flushes.look(4)
    assert [each.done() for each in waiting] == [False, False, False]
    flushes.look(6)
    assert [each.done() for each in waiting] == [True, True, False]
    flushes.look(8)
    assert await asyncio.gather(*waiting) == [None, None, None]


async def test_a_flush_that_takes_too_long_holds_up_no_other() -> None:
    flushes = Flushes()
    short, long = flushes.join(5), flushes.join(5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await short
    assert short.cancelled()
    flushes.look(5)
    await long


async def test_a_flush_that_is_cancelled_is_passed_over() -> None:
    flushes = Flushes()
    gone, waiting = flushes.join(5), flushes.join(6)
    gone.cancel()
    flushes.look(6)
    await waiting
    assert gone.cancelled()


# -- deliveries ------------------------------------------------------------------------------------------------------


def delivery(readings: int) -> Delivery:
    return Delivery(readings, asyncio.get_running_loop().create_future())


async def test_a_delivery_is_done_once_all_its_readings_have_an_outcome() -> None:
    waiting = delivery(3)
    assert not waiting.note(Settled(1, delivered=2))
    assert waiting.note(Settled(1, delivered=1))
    waiting.tell()
    await waiting.future


async def test_a_delivery_raises_its_error_and_counts_what_was_delivered() -> None:
    waiting = delivery(3)
    waiting.note(Settled(1, delivered=2))
    assert waiting.note(Settled(1, rejected=1, error=BesmartError("refused")))
    waiting.tell()
    with pytest.raises(BesmartError, match="refused") as caught:
        await waiting.future
    assert caught.value.__notes__ == ["2 of these 3 readings were delivered"]


async def test_of_several_errors_of_a_delivery_the_doubtful_one_is_raised() -> None:
    waiting = delivery(2)
    doubtful = BesmartError("lost")
    doubtful.outcome = "in_doubt"
    waiting.note(Settled(1, in_doubt=1, error=doubtful))
    waiting.note(Settled(1, rejected=1, error=BesmartError("refused")))
    waiting.tell()
    with pytest.raises(BesmartError, match="lost"):
        await waiting.future


async def test_a_delivery_that_nobody_waits_for_any_more_is_told_nothing() -> None:
    waiting = delivery(1)
    waiting.future.cancel()
    waiting.note(Settled(1, delivered=1))
    waiting.tell()
    assert waiting.future.cancelled()
