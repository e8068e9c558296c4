"""Taking batches apart: the search for what is refused, and smaller parts of what is too large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from besmart_async.batching.write.core.accounts import Accounts
from besmart_async.batching.write.core.credit import Credit
from besmart_async.batching.write.core.events import BatchSplit
from besmart_async.batching.write.core.intake import Intake
from besmart_async.batching.write.core.isolation import Family, FloodGuard
from besmart_async.batching.write.core.packing import Shipment, fitted
from besmart_async.batching.write.core.segments import Segment
from besmart_async.errors import BesmartError, Outcome
from besmart_async.models.keys import SignalKey


class Salvage:
    """Turns refused and too large shipments into smaller ones, until everything in them is settled.

    Args:
        accounts: where outcomes are booked.
        intake: whose lanes are released, and whose limits learn.
        number: gives a new shipment its number.
    """

    def __init__(self, accounts: Accounts, intake: Intake, number: Callable[[], int]) -> None:
        self._accounts = accounts
        self._intake = intake
        self._number = number
        self._cases: dict[Family, Shipment] = {}
        self.guard = FloodGuard()

    def stored(self, shipment: Shipment) -> Sequence[Shipment]:
        """Note a shipment that was stored; return what to send next of the same family."""
        family = shipment.family
        self._accounts.deliver(shipment.items)
        if family is None or not family.by_rows:
            self._intake.release(shipment.items)
        self._intake.limits.items.passed(len(shipment.items))
        self._intake.limits.readings.passed(shipment.readings)
        self._intake.limits.bytes.passed(shipment.body_bytes)
        if family is None:
            self.guard.answered(len(shipment.items))
            self.guard.ended(len(shipment.items), any_passed=True)
            return ()
        family.any_passed = True
        family.search.passed()
        if family.search.oversized:
            self._learn_size(family)
        return self._next(family)

    def refused(self, shipment: Shipment, error: BesmartError) -> Sequence[Shipment]:
        """Note a shipment whose content was refused; return what to send next to find out why."""
        family = shipment.family
        if family is not None:
            family.error = error
            culprits = family.search.refused()
            if culprits and family.by_rows:
                rows = np.array(sorted(culprits))
                item = family.items[0]
                self._accounts.lose(item.take(rows), error, "rejected")
                return self._next(family)
            more = [part for piece in culprits for part in self._culprit(shipment, family.items[piece], error, family)]
            return [*more, *self._next(family)]
        self.guard.answered(len(shipment.items))
        if len(shipment.items) == 1:
            return self._culprit(shipment, shipment.items[0], error, None)
        return self._opened(Family.of_batch(shipment.items, error), shipment)

    def too_large(self, shipment: Shipment, error: BesmartError) -> Sequence[Shipment]:
        """Note a shipment that is too large; return its parts, or what to send next if it cannot be cut."""
        size = shipment.body_bytes
        self._intake.limits.bytes.refused(size)
        if shipment.family is not None or shipment.readings == 1:
            return self.refused(shipment, error)
        bodies = fitted(shipment.items, min(self._intake.limits.bytes.value, size - 1))
        pieces = Counter(item.lane for body in bodies for item in body)
        pieces.subtract(item.lane for item in shipment.items)
        for lane, more in pieces.items():
            lane.busy += more
        self._note_split(shipment, error)
        return [shipment.part(self._number(), body) for body in bodies]

    def give_up(self, shipment: Shipment, error: BesmartError, outcome: Outcome) -> Sequence[Segment]:
        """Give up a shipment, and with it the search it belongs to; return the items given up."""
        family = shipment.family
        if family is None or family not in self._cases:
            items: Sequence[Segment] = shipment.items
            for item in items:
                self._accounts.give_up(item, error, outcome)
                if family is None or not family.by_rows:
                    self._intake.release([item])
            return items
        return self._abandon(family, error, outcome, keep=())

    def give_up_all(self, error: BesmartError, flying: Sequence[Shipment]) -> None:
        """Give up every search, but for the probes that are under way."""
        for family, origin in list(self._cases.items()):
            keep = tuple(family.search.group) if any(probe.family is family for probe in flying) else ()
            self._abandon(family, error, "in_doubt" if origin.maybe_applied else "rejected", keep=keep)

    def pending(self) -> Iterator[tuple[SignalKey, Credit]]:
        """Yield what is under search and has no outcome."""
        for family in self._cases:
            if family.by_rows:
                yield family.items[0].lane.key, self._unsettled(family).credit
            else:
                for piece in family.search.unsettled():
                    yield family.items[piece].lane.key, family.items[piece].credit

    def _unsettled(self, family: Family) -> Segment:
        item, rows = family.items[0], np.array(sorted(family.search.unsettled()), np.intp)
        return item.take(rows)

    def _abandon(self, family: Family, error: BesmartError, outcome: Outcome, keep: Sequence[int]) -> Sequence[Segment]:
        pieces = [piece for piece in family.search.unsettled() if piece not in keep]
        del self._cases[family]
        doubtful = [piece for piece in pieces if piece in family.doubtful]
        certain = [piece for piece in pieces if piece not in family.doubtful]
        outcomes: tuple[tuple[list[int], Outcome], ...] = ((certain, outcome), (doubtful, "in_doubt"))
        for chosen, final in outcomes:
            if family.by_rows and chosen:
                item, rows = family.items[0], np.array(sorted(chosen), np.intp)
                self._accounts.give_up(item.take(rows), error, final)
            elif not family.by_rows:
                for piece in chosen:
                    self._accounts.give_up(family.items[piece], error, final)
                    self._intake.release([family.items[piece]])
        if not family.by_rows:
            return [family.items[piece] for piece in pieces]
        if not keep:
            self._intake.release(family.items[:1])
        return (family.items[0],)

    def _culprit(
        self, shipment: Shipment, item: Segment, error: BesmartError, family: Family | None
    ) -> Sequence[Shipment]:
        if item.rows > 1:
            return self._opened(Family.of_rows(item, error, family), shipment)
        self._accounts.lose(item, error, "rejected")
        self._intake.release([item])
        self.guard.rejected()
        if family is None:
            self.guard.ended(1, any_passed=False)
        else:
            family.whole_items += 1
        return ()

    def _opened(self, family: Family, origin: Shipment) -> Sequence[Shipment]:
        if family.parent is not None:
            family.parent.open += 1
        self._cases[family] = origin
        self._note_split(origin, family.error)
        return self._next(family)

    def _next(self, family: Family) -> Sequence[Shipment]:
        origin = self._cases.get(family)
        if origin is None:
            return ()  # given up meanwhile
        group = family.search.next_group()
        if not group:
            self._close(family)
            return ()
        items = [family.items[0].piece(np.array(group))] if family.by_rows else [family.items[piece] for piece in group]
        return [origin.part(self._number(), items, family)]

    def _close(self, family: Family) -> None:
        del self._cases[family]
        if family.by_rows:
            self._intake.release(family.items[:1])
            if not family.any_passed:
                self.guard.rejected()
            if family.parent is not None:
                family.parent.mixed_items += family.any_passed
                family.parent.whole_items += not family.any_passed
                family.parent.any_passed = family.parent.any_passed or family.any_passed
        ended: Family | None = family
        while ended is not None:
            ended.open -= 1
            if ended.open:
                return
            if ended.parent is None:
                self.guard.ended(len(ended.items), any_passed=ended.any_passed)
            ended = ended.parent

    def _learn_size(self, family: Family) -> None:
        """A group was refused whose parts all passed: the number of its items, or of its readings, was the reason."""
        passed = family.search.largest_passed
        items, readings = len(family.items), sum(item.rows for item in family.items)
        if family.by_rows:
            self._intake.limits.readings.refused(readings, passed)
        elif items / self._intake.limits.items.value >= readings / self._intake.limits.readings.value:
            self._intake.limits.items.refused(items, passed)  # whichever is nearer to its limit is blamed
        else:
            self._intake.limits.readings.refused(readings, max(1, readings * passed // items))

    def _note_split(self, shipment: Shipment, error: BesmartError) -> None:
        self._accounts.ledger.splits += 1
        self._accounts.events.append(BatchSplit(batch=shipment.number, items=len(shipment.items), error=error))
