"""Filling batches: lanes from the intake's queue, frozen and encoded one by one until a limit is reached.

Each item is encoded once. One that turns out not to fit is carried: it begins the next batch. How wide a reading is in
bytes is learned on the way, so that seldom much is encoded in vain.
"""

from __future__ import annotations

from collections.abc import Iterator

from besmart_async.batching.credit import Credit
from besmart_async.batching.intake import Intake
from besmart_async.batching.lane_queue import ITEM_BYTES
from besmart_async.batching.lanes import Lane, Segment
from besmart_async.batching.packing import Item, frozen_item
from besmart_async.models.keys import SignalKey


class Packer:
    """Packs batches from an intake's queue, within its limits."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._carried: list[Item] = []

    def pack(self, now: float) -> list[Item]:
        """Freeze one batch of lanes in the order of the queue; empty if all that is due is withheld."""
        intake = self._intake
        intake.reconcile()
        frozen, self._carried = self._carried, []
        items: list[Item] = []
        rows, size = 0, 1
        limits = intake.limits
        max_items, max_rows, max_bytes = limits.items.value, limits.readings.value, limits.bytes.value
        while frozen or (intake.queue.first is not None and len(items) < max_items and not self._carried):
            if not frozen:
                lane = intake.queue.first
                assert lane is not None  # noqa: S101 - the loop's condition
                room = min(max_rows - rows, int((max_bytes - size - ITEM_BYTES) / (1.01 * limits.bytes_per_row)))
                if items and lane.rows > room:
                    break
                lane, segments = intake.take_first(max(1, room), now)
                frozen = [self._encode(lane, segment) for segment in segments]
            for number, item in enumerate(frozen):
                rows, size = rows + item.rows, size + len(item.encoded) + 1
                if items and (len(items) >= max_items or rows > max_rows or size > max_bytes):
                    self._set_aside(items, frozen[number:])
                    intake.queue.carried = bool(self._carried)
                    return items
                items.append(item)
            frozen = []
        intake.queue.carried = bool(self._carried)
        return items

    def _set_aside(self, items: list[Item], frozen: list[Item]) -> None:
        """Carry what did not fit; but one call per signal: what has company in this batch, or among these, thaws."""
        lanes = {items[-1].lane}
        for item in reversed(frozen):
            if item.lane in lanes or any(other.lane is item.lane for other in frozen if other is not item):
                item.lane.busy -= 1
                self._intake.put_back(item.lane, Segment(item.data, item.credit))
            else:
                self._carried.insert(0, item)

    def drain(self) -> list[tuple[Lane, Segment]]:
        """Give up what was carried."""
        carried, self._carried = self._carried, []
        self._intake.queue.carried = False
        return [(item.lane, Segment(item.data, item.credit)) for item in carried]

    def pending(self) -> Iterator[tuple[SignalKey, Credit]]:
        """Yield what is carried."""
        return ((item.lane.key, item.credit) for item in self._carried)

    def _encode(self, lane: Lane, segment: Segment) -> Item:
        item = frozen_item(lane, segment)
        max_bytes = self._intake.limits.bytes.value
        self._intake.limits.learn_width(len(item.encoded), item.rows)
        while len(item.encoded) + 2 > max_bytes and item.rows > 1:
            keep = max(1, int(0.97 * item.rows * max_bytes / len(item.encoded)))
            self._intake.put_back(lane, segment.take(slice(keep, None)))
            segment = segment.take(slice(None, keep))
            item = frozen_item(lane, segment)
        self._intake.used += len(item.encoded)
        lane.busy += 1
        return item
