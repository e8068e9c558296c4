"""Splitting batches: finding refused pieces with few calls, and smaller parts of batches that are too large.

Theory of operation (adaptive group testing). A `Search` numbers its pieces (the items of a batch, or the rows of an
item) and says which of them to send next. A group that passes is delivered. A refused group contains a culprit: half of
it is sent next. If that half passes, the culprit is in the other half, which need not be sent as a whole. If it is
refused, the other half returns to the pool of untested pieces. So each culprit costs about log2(group) calls, and good
pieces are delivered on the way. New groups from the pool halve in size when refused and double when passed, so about
half of them are refused. A piece is a culprit only if it was refused alone.

If all parts of a refused group pass, the group was refused for its size: then `oversized` is set, and `largest_passed`
is what may be sent. For the rows of an item, the first, the last and the middle row are tested alone first. If all
three are refused, the whole item is refused, and its other rows are not tested. After four such items in a batch, and
none with good rows, only the middle row is tested.

`Bisection` sends a refused group again in parts, each of which delivers what the service accepts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np

from besmart_async.batching.write.core.accumulator import Accumulator
from besmart_async.batching.write.core.batch import Batch, Payload
from besmart_async.batching.write.core.dispatcher import Dispatcher
from besmart_async.batching.write.core.events import BatchSplit
from besmart_async.batching.write.core.guard import RefusalGuard
from besmart_async.batching.write.core.outcomes import Outcomes
from besmart_async.errors import BesmartError, Outcome

_ENOUGH_WHOLE_ITEMS = 4


class Search:
    """A search among `pieces` pieces that were refused together.

    `samples` are tested alone first; if all of them are refused, all pieces are.

    Attributes:
        oversized: the last answer showed that a group had been refused for its size.
        largest_passed: pieces in the largest group that passed.
        probes: calls so far.
    """

    def __init__(self, pieces: int, samples: Sequence[int] = ()) -> None:
        self._pool: list[int] = []
        self._suspects = list(range(pieces))
        self._alone: list[int] = []
        self._group: list[int] = []
        self._group_is_fresh = False
        self._size = max(1, pieces // 2)
        self._most = pieces
        self._samples = list(dict.fromkeys(samples))
        self._sampled_bad: list[int] = []
        self.culprits: list[int] = []
        self.oversized = False
        self.largest_passed = 0
        self.probes = 0

    @property
    def group(self) -> Sequence[int]:
        """The pieces sent last."""
        return self._group

    def next_group(self) -> list[int]:
        """Return the pieces to send next; empty: all are settled."""
        self.oversized = False
        self._group_is_fresh = False
        if self._samples:
            self._group = [self._samples[0]]
        elif len(self._suspects) > 1:
            self._group = self._suspects[: len(self._suspects) // 2]
        elif self._suspects:
            self._group = list(self._suspects)
        else:
            self._group = self._pool[: self._size]
            self._group_is_fresh = True
        self.probes += bool(self._group)
        return self._group

    def passed(self) -> None:
        """Record that the group was stored."""
        group = self._group
        self.largest_passed = max(self.largest_passed, len(group))
        if self._samples:
            self._leave_out(group)
            del self._samples[0]
            self._end_sampling()
        elif self._group_is_fresh:
            del self._pool[: len(group)]
            self._size = min(self._most, len(group) * 2)
        else:
            self.oversized = len(group) == len(self._suspects)
            self._suspects = self._suspects[len(group) :]
            if self.oversized:
                self._size = self._most = self.largest_passed

    def refused(self) -> list[int]:
        """Record that the group was refused; return the pieces that are now known to be culprits."""
        group = self._group
        if self._samples:
            self._leave_out(group)
            self._sampled_bad += group
            del self._samples[0]
            return [*group, *self._end_sampling()]
        if self._group_is_fresh:
            del self._pool[: len(group)]
            self._size = max(1, len(group) // 2)
        else:
            self._pool = self._suspects[len(group) :] + self._pool
        self._suspects = [] if len(group) == 1 else group
        return list(group) if len(group) == 1 else []

    def unsettled(self) -> list[int]:
        """Return all pieces that are not settled, including the group in flight."""
        return self._suspects + self._pool

    def _leave_out(self, group: list[int]) -> None:
        self._suspects = [piece for piece in self._suspects if piece not in group]

    def _end_sampling(self) -> list[int]:
        if self._samples:
            return []
        rest = self._suspects
        if self.largest_passed == 0:
            self._suspects = []
            return rest
        if self._sampled_bad:
            self._suspects, self._pool = [], rest  # the culprit may have been among the samples
            self._size = max(1, len(rest))
        return []


@attrs.define(eq=False)
class Family:
    """A refused batch, or a refused item, under search.

    Attributes:
        payload: its pieces are the items, or the rows of the only one.
        by_rows: whether rows are searched.
        search: the search.
        error: what the last refusal said.
        parent: the family of the batch that the item was found in.
        open: this search and the searches of its items that are not finished.
        any_passed: whether any of its readings was stored.
        whole_items: items found in it that were refused as a whole.
        mixed_items: items found in it that had good rows as well.
        doubtful: pieces in probes whose answer was lost: they may be stored.
    """

    payload: Payload
    by_rows: bool
    search: Search
    error: BesmartError
    parent: Family | None = None
    open: int = 1
    any_passed: bool = False
    whole_items: int = 0
    mixed_items: int = 0
    doubtful: set[int] = attrs.field(factory=set[int])

    @classmethod
    def of_items(cls, payload: Payload, error: BesmartError) -> Family:
        """Return a search among the items of a refused batch."""
        return cls(payload, by_rows=False, search=Search(len(payload)), error=error)

    @classmethod
    def of_rows(cls, item: Payload, error: BesmartError, parent: Family | None) -> Family:
        """Return a search among the rows of an item that was refused alone."""
        rows = item.rows
        samples = [0, rows - 1, rows // 2]
        if parent is not None and parent.whole_items >= _ENOUGH_WHOLE_ITEMS and not parent.mixed_items:
            samples = [rows // 2]
        return cls(item, by_rows=True, search=Search(rows, samples), error=error, parent=parent)

    def pieces(self, chosen: Sequence[int]) -> Payload:
        """Return the chosen pieces."""
        if not self.by_rows:
            return self.payload.part(chosen)
        return self.payload.piece(np.array(chosen, np.intp))


class Bisection:
    """Splits batches that are refused or too large, until everything in them is settled.

    Args:
        outcomes: records final outcomes.
        accumulator: whose signals are released, and whose limits learn.
        guard: counts what is refused.
        dispatcher: splits and numbers batches.
    """

    def __init__(
        self, outcomes: Outcomes, accumulator: Accumulator, guard: RefusalGuard, dispatcher: Dispatcher
    ) -> None:
        self._outcomes = outcomes
        self._accumulator = accumulator
        self._guard = guard
        self._dispatcher = dispatcher
        self._cases: dict[Family, Batch] = {}

    def stored(self, batch: Batch, now: float) -> Sequence[Batch]:
        """Record a batch that was stored; return what to send next of the same family."""
        family, payload = batch.family, batch.payload
        self._outcomes.deliver(payload)
        if family is None or not family.by_rows:
            self._accumulator.release(payload)
        self._accumulator.limits.passed(len(payload), payload.rows, len(batch.body))
        self._guard.stored(payload.keys, now)
        if family is None:
            return ()
        family.any_passed = True
        family.search.passed()
        if family.search.oversized:
            self._learn_size(family)
        return self._next(family)

    def refused(self, batch: Batch, error: BesmartError, now: float) -> Sequence[Batch]:
        """Record a batch whose content was refused; return what to send next to find the culprits."""
        family, payload = batch.family, batch.payload
        if family is not None:
            family.error = error
            culprits = family.search.refused()
            if culprits and family.by_rows:
                self._outcomes.lose(family.pieces(sorted(culprits)), error, "rejected")
                return self._next(family)
            more = [
                part
                for piece in culprits
                for part in self._culprit(batch, family.payload.item(piece), error, family, now)
            ]
            return [*more, *self._next(family)]
        self._guard.batch_refused()
        if len(payload) == 1:
            return self._culprit(batch, payload, error, None, now)
        return self._opened(Family.of_items(payload, error), batch)

    def too_large(self, batch: Batch, error: BesmartError, now: float) -> Sequence[Batch]:
        """Record a batch that is too large; return its parts, or what to send next if it cannot be split."""
        size, limit = len(batch.body), self._accumulator.limits.bytes
        limit.refused(size)
        if batch.family is not None or batch.rows == 1:
            return self.refused(batch, error, now)
        self._note_split(batch, error)
        return self._dispatcher.cut(batch, batch.payload.fitted(min(limit.value, size - 1)))

    def give_up(self, batch: Batch, error: BesmartError, outcome: Outcome) -> None:
        """Give up a batch and the search it belongs to."""
        family = batch.family
        if family is None or family not in self._cases:
            self._outcomes.give_up(batch.payload, error, outcome)
            if family is None or not family.by_rows:
                self._accumulator.release(batch.payload)
            return
        self._abandon(family, error, outcome, keep=())

    def give_up_all(self, error: BesmartError, flying: Sequence[Batch]) -> None:
        """Give up every search, except for the probes in flight."""
        for family, origin in list(self._cases.items()):
            keep = tuple(family.search.group) if any(probe.family is family for probe in flying) else ()
            self._abandon(family, error, "in_doubt" if origin.maybe_applied else "rejected", keep=keep)

    def pending(self) -> Iterator[Payload]:
        """Yield the pieces of searches that have no outcome."""
        for family in self._cases:
            if unsettled := sorted(family.search.unsettled()):
                yield family.pieces(unsettled)

    def _abandon(self, family: Family, error: BesmartError, outcome: Outcome, keep: Sequence[int]) -> None:
        pieces = [piece for piece in family.search.unsettled() if piece not in keep]
        del self._cases[family]
        certain = sorted(piece for piece in pieces if piece not in family.doubtful)
        doubtful = sorted(piece for piece in pieces if piece in family.doubtful)
        outcomes: tuple[tuple[list[int], Outcome], ...] = ((certain, outcome), (doubtful, "in_doubt"))
        for chosen, final in outcomes:
            if chosen:
                payload = family.pieces(chosen)
                self._outcomes.give_up(payload, error, final)
                if not family.by_rows:
                    self._accumulator.release(payload)
        if family.by_rows and not keep:
            self._accumulator.release(family.payload)

    def _culprit(
        self, batch: Batch, item: Payload, error: BesmartError, family: Family | None, now: float
    ) -> Sequence[Batch]:
        if item.rows > 1:
            return self._opened(Family.of_rows(item, error, family), batch)
        self._outcomes.lose(item, error, "rejected")
        self._accumulator.release(item)
        self._guard.refused(item.keys[0], now)
        if family is not None:
            family.whole_items += 1
        return ()

    def _opened(self, family: Family, origin: Batch) -> Sequence[Batch]:
        if family.parent is not None:
            family.parent.open += 1
        self._cases[family] = origin
        self._note_split(origin, family.error)
        return self._next(family)

    def _next(self, family: Family) -> Sequence[Batch]:
        origin = self._cases.get(family)
        if origin is None:
            return ()  # given up in the meantime
        group = family.search.next_group()
        if group:
            return [origin.part(self._dispatcher.new_number(), family.pieces(group), family)]
        del self._cases[family]
        if family.by_rows:
            self._accumulator.release(family.payload)
            self._note_item(family)
        return ()

    def _note_item(self, family: Family) -> None:
        """Record that all rows of an item are settled."""
        if family.parent is not None:
            family.parent.mixed_items += family.any_passed
            family.parent.whole_items += not family.any_passed
            family.parent.any_passed = family.parent.any_passed or family.any_passed
        if not family.any_passed:
            self._guard.refused(family.payload.keys[0])

    def _learn_size(self, family: Family) -> None:
        """Learn from a refused group whose parts all passed: it had too many items, or too many readings."""
        limits, passed = self._accumulator.limits, family.search.largest_passed
        items, readings = len(family.payload), family.payload.rows
        if family.by_rows:
            limits.readings.refused(readings, passed)
        elif items / limits.items.value >= readings / limits.readings.value:
            limits.items.refused(items, passed)  # the one nearer to its limit is taken as the reason
        else:
            limits.readings.refused(readings, max(1, readings * passed // items))

    def _note_split(self, batch: Batch, error: BesmartError) -> None:
        self._outcomes.ledger.splits += 1
        self._outcomes.events.append(BatchSplit(batch=batch.number, items=batch.items, error=error))
