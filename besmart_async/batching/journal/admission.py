"""Letting readings in by way of the journal: on disk first, then to the core. Memory is reserved for them meanwhile.

What an earlier writer left in the journal goes first: nobody else gets in before it is in. The core numbers readings by
their positions in the journal, so that outcomes need no translation.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from functools import partial
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.journal.journal import Joined, Journal
from besmart_async.batching.journal.recovery import Recovered, by_signal
from besmart_async.batching.write.admission import Admission
from besmart_async.batching.write.core.accumulator import TURN
from besmart_async.batching.write.core.core import WriteCore
from besmart_async.batching.write.core.log import BLOCK_BYTES, READING_BYTES, Form, columns_cost
from besmart_async.batching.write.core.provenance import NO_REF, ranges_of
from besmart_async.batching.write.sender import Sender
from besmart_async.batching.write.validation import ManyColumns, PlainReading, Reading
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.series import SignalData

ONE_BYTES = READING_BYTES + BLOCK_BYTES
"""Memory reserved for a single reading on its way to the disk."""


class JournaledAdmission(Admission):
    """An `Admission` that puts readings into a journal before it offers them to the core."""

    def __init__(self, policy: BatchPolicy, core: WriteCore, sender: Sender, path: str | PathLike[str]) -> None:
        super().__init__(policy, core, sender)
        self.journal = Journal(path, self._written, sender.tell)
        self._opening: asyncio.Task[None] | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._feeding_ended = asyncio.Event()
        self._fed = False
        self._refs: dict[Joined, int] = {}
        sender.keeper = self.journal

    # -- before anything else ----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the journal, and begin to take over what is in it; once, whoever comes first.

        Raises:
            JournalError: it cannot be used. The next call tries again.
        """
        if self._feeding is not None:
            return
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._open(), name="besmart journal opening")
        opening = self._opening
        try:
            await asyncio.shield(opening)
        except BesmartError as error:
            raise error.clone() from error.__cause__
        finally:
            if opening.done() and self._opening is opening:
                self._opening = None

    async def recover(self, timeout_s: float | None) -> bool:
        """Wait until all that an earlier writer left is taken over, or the writer has ended; False: not in time.

        Raises:
            JournalError: as `open`.
        """
        if self._fed:
            return True
        await self.open()
        try:
            async with asyncio.timeout(timeout_s):
                await self._feeding_ended.wait()
        except TimeoutError:
            return self._feeding_ended.is_set()
        return True

    async def _open(self) -> None:
        recovered = await self.journal.open()
        self._accumulator.recovered_until = self._sender.time() + self._policy.hold_off_s
        self._feeding = asyncio.get_running_loop().create_task(self._feed(recovered), name="besmart journal recovery")

    async def _feed(self, recovered: list[Recovered]) -> None:
        self._accumulator.begin_with([(piece.start, piece.start + piece.readings) for piece in recovered])
        for piece in recovered:
            if piece.refused:
                self._core.refused_before(piece.columns())
        columns = deque(by_signal([piece for piece in recovered if not piece.refused]))
        recovered.clear()
        try:
            while columns:
                data, numbers = columns[0]
                take = partial(self._take_over, data, numbers)
                if not take():
                    self._sender.pump()
                    await self._stand_in_line(take, columns_cost(data), math.inf)
                columns.popleft()
            self._fed = True
        except BesmartError:
            pass  # closed, or stopped: the rest stays in the journal, and whoever waits finds out for himself
        finally:
            for _, numbers in columns:
                self._accumulator.settled.settle(ranges_of(numbers))  # no flush waits for what stays in the journal
            self._feeding_ended.set()
            self._sender.pump()

    def _take_over(self, data: SignalData, numbers: NDArray[np.int64]) -> bool:
        self._sender.check_open()
        if not self._accumulator.room(columns_cost(data)):
            return False
        self._accumulator.adopt(data, numbers, self._sender.time())
        return True

    # -- in ----------------------------------------------------------------------------------------------------------

    def join_one(self, reading: PlainReading) -> Joined | None:
        """Put a plain reading on its way to the disk; None: there is something to wait for first (`accept`)."""
        if not self._fed or len(self._line) or not self._accumulator.room(ONE_BYTES):
            return None
        self._accumulator.reserve(ONE_BYTES)
        return self.journal.join(reading, ONE_BYTES)

    async def written(self, joined: Joined) -> None:
        """Return once a write is on disk; cancelled, take it back, unless it is on its way there already.

        Raises:
            JournalError: the disk is full or failing; it was not accepted.
        """
        try:
            await joined.future
        except asyncio.CancelledError:
            if self.journal.leave(joined):
                self._accumulator.reserve(-joined.cost)
            raise

    async def accept(self, what: Reading | SignalData, ref: int = NO_REF) -> range:
        """Return the numbers of the readings once all of them are on disk, and accepted.

        Raises:
            JournalError: the disk is full or failing; nothing was accepted.
            WriterTimeoutError: no room within `admission_timeout_s`; nothing was accepted.
            BesmartError: the writer is closed or has stopped.
        """
        deadline = self._sender.time() + self._policy.admission_timeout_s
        if not self._fed and not await self.recover(self._policy.admission_timeout_s):
            raise self.no_room()
        joined = None if len(self._line) else self._joined(what)
        if joined is None:
            joined = await self._joined_in_turn(what, deadline)
        if ref != NO_REF:
            self._refs[joined] = ref
        try:
            await self.written(joined)
        finally:
            self._refs.pop(joined, None)
        return range(joined.start, joined.start + len(what))

    async def accept_all(self, items: Sequence[SignalData]) -> range:
        """Return the numbers of the readings once all items are on disk, by one commit, and accepted.

        Raises:
            JournalError: the disk is full or failing; nothing was accepted.
            WriterTimeoutError: no room for all within `admission_timeout_s`; nothing was accepted.
            BesmartError: the writer is closed or has stopped.
        """
        deadline = self._sender.time() + self._policy.admission_timeout_s
        if not self._fed and not await self.recover(self._policy.admission_timeout_s):
            raise self.no_room()
        items = [data for data in items if len(data)]
        cost = sum(map(columns_cost, items))
        joined: list[Joined] = []

        def offered() -> bool:
            self._sender.check_open()
            if not self._accumulator.room(cost):
                return False
            self._accumulator.reserve(cost)
            joined.extend(self.journal.join(data, columns_cost(data), follows=at > 0) for at, data in enumerate(items))
            return True

        if len(self._line) or not offered():
            await self._stand_in_line(offered, cost, deadline)
        if not joined:
            return range(0)
        try:
            await asyncio.shield(asyncio.gather(*[each.future for each in joined]))
        except asyncio.CancelledError:
            for each in joined:  # all of them, or none: they are in one commit
                if self.journal.leave(each):
                    self._accumulator.reserve(-each.cost)
            raise
        return range(joined[0].start, joined[0].start + sum(map(len, items)))

    async def accept_many(self, many: ManyColumns) -> None:
        """Return once all signals are on disk, and accepted; those of a block share an fsync.

        Raises:
            JournalError: the disk is full or failing; some signals may have been accepted.
            BesmartError: as `accept`, likewise.
        """
        for keys, values in many.blocks():
            await asyncio.gather(*map(self.accept, map(many.columns, keys, values)))

    async def _joined_in_turn(self, what: Reading | SignalData, deadline: float) -> Joined:
        joined: list[Joined] = []

        def offered() -> bool:
            this = self._joined(what)
            joined.extend([] if this is None else [this])
            return this is not None

        cost = columns_cost(what) if isinstance(what, SignalData) else ONE_BYTES * TURN
        await self._stand_in_line(offered, cost, deadline)
        return joined[0]

    def _joined(self, what: Reading | SignalData) -> Joined | None:
        self._sender.check_open()
        cost = ONE_BYTES if isinstance(what, Reading) else columns_cost(what)
        if not self._accumulator.room(cost):
            return None
        self._accumulator.reserve(cost)
        return self.journal.join(what, cost)

    def _written(self, writes: Sequence[Joined], start: int | None) -> None:
        """Offer to the core what is on disk (it has positions then)."""
        now = self._sender.time()
        accumulator = self._accumulator
        accumulator.reserve(-sum([joined.cost for joined in writes]))
        if start is None:
            self._sender.tell()
            return
        accumulator.skip_to(start)
        for joined in writes:
            joined.start = start
            start += self._let_in(joined, now)
        if self._core.failure is not None:
            self._core.give_up_late()
        elif self._sender.closing:
            self._core.flush()
        accumulator.attention = accumulator.due = accumulator.breathe = False
        self._sender.pump()

    def _let_in(self, joined: Joined, now: float) -> int:
        """Offer one write; return how many readings it has."""
        write = joined.write
        if isinstance(write, tuple):
            key, time, value, type_, origin, unit = write
            if self._accumulator.accept_one(key, time, value, Form(type_, origin, unit), now, plain=True):
                return 1
            write = Reading(*write)
        data = write.columns() if isinstance(write, Reading) else write
        self._accumulator.admit(data, self._refs.get(joined, NO_REF), now)
        return len(data)

    # -- the end -----------------------------------------------------------------------------------------------------

    async def close(self) -> int:
        """Close the journal, after what is under way; return how many readings stay in it.

        Cancelled, that goes on.
        """
        for task in (self._opening, self._feeding):
            if task is not None:
                task.cancel()
        closing = self.journal.close()
        if closing is not None:
            await asyncio.shield(asyncio.wrap_future(closing))
        return self.journal.left
