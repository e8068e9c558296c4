"""Letting readings in by way of the journal: on disk first, then to the core. Memory is set aside for them meanwhile.

What an earlier writer left in the journal goes first: nobody else gets in before it is in.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.journal.journal import Joined, Journal
from besmart_async.batching.journal.recovery import Recovered
from besmart_async.batching.write.admission import Admission
from besmart_async.batching.write.core.core import Coalescer
from besmart_async.batching.write.core.credit import NO_REF
from besmart_async.batching.write.core.intake import ONE_BYTES
from besmart_async.batching.write.core.segments import columns_cost
from besmart_async.batching.write.sender import Engine
from besmart_async.batching.write.validation import ManyColumns, PlainReading, Reading
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, InvalidInputError
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData


class JournaledAdmission(Admission):
    """An `Admission` that puts readings into a journal before it offers them to the core."""

    def __init__(
        self, policy: BatchPolicy, core: Coalescer, engine: Engine, path: Path, new_ref: Callable[[], int]
    ) -> None:
        super().__init__(policy, core, engine)
        self.journal = Journal(path, new_ref, self._written, engine.watches.look, self._unsettled)
        self._opening: asyncio.Task[None] | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._fed = self._feeding_ended = False
        engine.witness = self.journal

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
        if not self._fed:
            await self.open()
        return self._fed or await self._engine.watches.until(lambda: self._feeding_ended, timeout_s)

    async def _open(self) -> None:
        recovered = await self.journal.open()
        self._intake.recovered_until = self._engine.time() + self._policy.hold_off_s
        self._feeding = asyncio.get_running_loop().create_task(self._feed(recovered), name="besmart journal recovery")

    async def _feed(self, recovered: list[Recovered]) -> None:
        recovered.reverse()
        try:
            while recovered:
                part = recovered.pop()
                if not self._take_over(part):
                    self._engine.pump()
                    await self._stand_in_line(partial(self._take_over, part), part.data, math.inf)
            self._fed = self.journal.may_compact = True
        except BesmartError:
            pass  # closed, or stopped: the rest stays in the journal, and whoever waits finds out for himself
        finally:
            self._feeding_ended = True
            self._engine.pump()

    def _take_over(self, part: Recovered) -> bool:
        self._engine.check_open()
        if not self._core.room(columns_cost(part.data)):
            return False
        self._intake.admit(part.data, part.refs, self._engine.time(), recovered=True)
        return True

    # -- in ----------------------------------------------------------------------------------------------------------

    def join_one(self, reading: PlainReading) -> Joined | None:
        """Put a plain reading on its way to the disk; None: there is something to wait for first (`accept`)."""
        if not self._fed or not self._intake.reserve_one():
            return None
        return self.journal.join(reading, NO_REF, ONE_BYTES)

    async def written(self, joined: Joined) -> None:
        """Return once a write is on disk; cancelled, take it back, unless it is on its way there already.

        Raises:
            JournalError: the disk is full or failing; it was not accepted.
        """
        try:
            await joined.future
        except asyncio.CancelledError:
            if self.journal.leave(joined):
                self._intake.reserve(-joined.cost)
            raise

    async def accept(self, what: Reading | SignalData, ref: int | NDArray[np.int64] = NO_REF) -> None:
        """Return once all of it is on disk, and accepted.

        Raises:
            JournalError: the disk is full or failing; nothing was accepted.
            WriterTimeoutError: no room within `admission_timeout_s`; nothing was accepted.
            BesmartError: the writer is closed or has stopped.
        """
        if not isinstance(ref, int):
            raise InvalidInputError(
                "labels", "a column", "a writer with a journal does not tell labels: leave them out"
            )
        deadline = self._engine.time() + self._policy.admission_timeout_s
        if not self._fed and not await self.recover(self._policy.admission_timeout_s):
            raise self._no_room()
        joined = None if self._line.waiting else self._joined(what, ref)
        if joined is None:
            joined = await self._joined_in_turn(what, ref, deadline)
        await self.written(joined)

    async def accept_many(self, many: ManyColumns) -> None:
        """Return once all signals are on disk, and accepted; those of a block share an fsync.

        Raises:
            JournalError: the disk is full or failing; some signals may have been accepted.
            BesmartError: as `accept`, likewise.
        """
        for keys, values in many.blocks():
            await asyncio.gather(*map(self.accept, map(many.columns, keys, values)))

    async def _joined_in_turn(self, what: Reading | SignalData, ref: int, deadline: float) -> Joined:
        joined: list[Joined] = []

        def offered() -> bool:
            this = self._joined(what, ref)
            joined.extend([] if this is None else [this])
            return this is not None

        await self._stand_in_line(offered, what, deadline)
        return joined[0]

    def _joined(self, what: Reading | SignalData, ref: int) -> Joined | None:
        self._engine.check_open()
        cost = ONE_BYTES if isinstance(what, Reading) else columns_cost(what)
        if not self._core.room(cost):
            return None
        self._intake.reserve(cost)
        return self.journal.join(what, ref, cost)

    def _written(self, writes: Sequence[Joined], ref: int | None) -> None:
        """Offer to the core what is on disk (it has a ref then)."""
        now = self._engine.time()
        self._intake.reserve(-sum([joined.cost for joined in writes]))
        if ref is None:
            self._engine.tell()
            return
        offer_one = self._core.offer_one
        for joined in writes:
            what = joined.what
            if not isinstance(what, tuple):
                self._offer(what, ref if joined.ref == NO_REF else joined.ref, now)
            elif not offer_one(*what, ref, now):
                self._intake.admit(Reading(*what).columns(), ref, now)
        if self._core.failure is not None:
            self._core.give_up_late()
        elif self._engine.closing:
            self._core.flush()
        self._intake.attention = self._intake.due = self._intake.breathe = False
        self._engine.pump()

    def _offer(self, what: Reading | SignalData, ref: int, now: float) -> None:
        if isinstance(what, Reading):
            if self._offered_one(what, ref, now):
                return
            what = what.columns()
        self._intake.admit(what, ref, now)

    def _unsettled(self) -> dict[int, set[SignalKey]]:
        unsettled: dict[int, set[SignalKey]] = {}
        for key, credit in self._core.pending():
            for ref in credit.refs:
                unsettled.setdefault(ref, set()).add(key)
        return unsettled

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
