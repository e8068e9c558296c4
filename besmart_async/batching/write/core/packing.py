"""From what waits in a lane to the encoded items of one bulk call.

Theory of operation: what is taken from a lane is merged per form (unit; whether type and origin are told), later
readings of the same (time, origin) replacing earlier ones across all forms; what no hold covers is encoded, all items
of a batch at once. `Shipment`s are what goes out in one call, with the history of that call. Only when a shipment is
taken apart, which is rare, its parts are encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.credit import Credit
from besmart_async.batching.write.core.isolation import Family
from besmart_async.batching.write.core.segments import Segment, origins_of
from besmart_async.errors import BesmartError
from besmart_async.models.series import SignalData
from besmart_async.wire.columns import Form, encode_items


@attrs.define(eq=False)
class Shipment:
    """What goes out in one call, and what that call has been through.

    Attributes:
        number: identifies it in events and outcomes.
        items: what is in it.
        body: the body of the call.
        family: the search for refused readings it is a probe of.
        readings: rows in it.
        attempts: calls so far.
        first_sent_at: when the first of them (or of the shipment it is a part of) left.
        sent_at: when the last one left.
        maybe_applied: whether any may have stored it.
        lost_at: when the last answer was lost of a call that may yet be applied.
        retry_at: when it may be sent again.
        error: what the last one failed with.
        forbidden_after: how many batches had been stored when it was first refused with 401 or 403.
        stale: how many of the calls met an idle connection that had died.
    """

    number: int
    items: tuple[Segment, ...]
    body: bytes = attrs.field(repr=False)
    family: Family | None = None
    readings: int = attrs.field(init=False)
    attempts: int = 0
    first_sent_at: float | None = None
    sent_at: float = 0.0
    maybe_applied: bool = False
    lost_at: float | None = None
    retry_at: float = 0.0
    error: BesmartError | None = None
    forbidden_after: int | None = None
    stale: int = 0

    def __attrs_post_init__(self) -> None:
        self.readings = sum([item.rows for item in self.items])

    @property
    def body_bytes(self) -> int:
        """Size of the body."""
        return len(self.body)

    @property
    def free(self) -> bool:
        """Whether no other part of the same signals is under way."""
        return not any(item.lane.flying for item in self.items)

    def fly(self, flying: bool) -> None:
        """Note whether it is under way."""
        for item in self.items:
            item.lane.flying = flying

    def part(self, number: int, items: Sequence[Segment], family: Family | None = None) -> Shipment:
        """Return a shipment of some of the items that inherits this one's history."""
        return Shipment(
            number,
            tuple(items),
            encode_items([item.item(Form()) for item in items]),
            family,
            first_sent_at=self.first_sent_at,
            maybe_applied=self.maybe_applied,
            lost_at=self.lost_at,
            error=self.error,
            forbidden_after=self.forbidden_after,
        )


def merge(parts: Sequence[Segment]) -> list[Segment]:
    """Join parts of one lane, in order of acceptance: one segment per form, each (time, origin) once, the last wins."""
    if len(parts) == 1:
        if parts[0].distinct:
            return list(parts)
        winner = last_wins(parts[0].data.time, parts[0].data.origin)
        if winner is None:
            return list(parts)
    else:
        time, origin = _identities(parts)
        winner = last_wins(time, origin)
    forms: dict[tuple[str | None, bool, bool], list[int]] = {}
    for number, part in enumerate(parts):
        data = part.data
        forms.setdefault((data.unit, data.type is None, data.origin is None), []).append(number)
    credit, cost = Credit.concat([part.credit for part in parts]), sum(part.cost for part in parts)
    starts = np.cumsum([0, *(part.rows for part in parts)])
    merged: list[Segment] = []
    for numbers in forms.values():
        data = SignalData.concat([parts[number].data for number in numbers])
        if winner is None and len(forms) == 1:
            merged.append(Segment(data, credit, cost))
            continue
        rows = np.concatenate([np.arange(starts[number], starts[number + 1]) for number in numbers])
        if winner is None:
            ours = credit.take(rows)
        else:
            wins = winner[rows] == rows
            data, ours = data.take(wins), _credit_of_winners(credit, winner, rows[wins])
        if ours.rows:
            merged.append(Segment(data, ours, cost * ours.readings // credit.readings))
    return merged


def _identities(parts: Sequence[Segment]) -> tuple[NDArray[Any], int | NDArray[Any] | None]:
    time = np.concatenate([part.data.time for part in parts])
    first = parts[0].data.origin
    if not isinstance(first, np.ndarray) and all(
        not isinstance(part.data.origin, np.ndarray) and part.data.origin == first for part in parts
    ):
        return time, first
    return time, np.concatenate([origins_of(part.data.origin, len(part.data)) for part in parts])


def last_wins(time: NDArray[Any], origin: int | NDArray[Any] | None) -> NDArray[Any] | None:
    """Return for each row the last row of the same time and origin; None if no two rows share both."""
    if len(time) < 2 or bool((time[1:] > time[:-1]).all()):
        return None
    if isinstance(origin, np.ndarray):
        order = np.lexsort((origin, time))
        sorted_time, sorted_origin = time[order], origin[order]
        fresh = (sorted_time[1:] != sorted_time[:-1]) | (sorted_origin[1:] != sorted_origin[:-1])
    else:
        order = np.argsort(time, kind="stable")
        sorted_time = time[order]
        fresh = sorted_time[1:] != sorted_time[:-1]
    if bool(fresh.all()):
        return None
    group = np.concatenate([[0], np.cumsum(fresh)])
    last = order[np.flatnonzero(np.concatenate([fresh, [True]]))]
    winner = np.empty(len(time), np.intp)
    winner[order] = last[group]
    return winner


def _credit_of_winners(credit: Credit, winner: NDArray[Any], kept: NDArray[Any]) -> Credit:
    """Move the credit of replaced rows to the rows in `kept`, which replaced them."""
    row_of = winner if credit.row_of is None else winner[credit.row_of]
    return attrs.evolve(credit, row_of=row_of).take(kept)


def halves(item: Segment, pieces: int = 2) -> list[Segment]:
    """Cut an item by its rows into about equal pieces, at most one per row."""
    rows = item.rows
    cuts = np.linspace(0, rows, min(pieces, rows) + 1).astype(int).tolist()
    return [item.piece(slice(start, stop)) for start, stop in pairwise(cuts)]


def fitted(items: Sequence[Segment], max_bytes: int) -> list[list[Segment]]:
    """Distribute items over bodies of at most `max_bytes`, cutting those that are too large alone down to one row."""
    bodies: list[list[Segment]] = []
    size = max_bytes + 1
    todo = list(reversed(items))
    while todo:
        item = todo.pop()
        bytes_ = len(item.encoded()) + 1
        if bytes_ + 1 > max_bytes and item.rows > 1:
            todo += reversed(halves(item, bytes_ // max_bytes + 1))
        elif size + bytes_ > max_bytes:
            bodies.append([item])
            size = 1 + bytes_
        else:
            bodies[-1].append(item)
            size += bytes_
    return bodies
