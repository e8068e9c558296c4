"""Filling batches: lanes from the intake's queue, frozen one by one until a limit is reached, and encoded together.

How wide a reading is in bytes is learned on the way, so that seldom more is frozen than fits. What turns out not to fit
is carried: it begins the next batch.
"""

from __future__ import annotations

from collections.abc import Iterator

from besmart_async.batching.write.core.credit import Credit
from besmart_async.batching.write.core.intake import Intake
from besmart_async.batching.write.core.lane_queue import ITEM_BYTES
from besmart_async.batching.write.core.lanes import Lane
from besmart_async.batching.write.core.segments import Segment
from besmart_async.models.keys import SignalKey
from besmart_async.wire.columns import Form, encode_items, join_items


class Packer:
    """Packs batches from an intake's queue, within its limits."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._carried: list[Segment] = []
        self._forms: list[Form] = []  # as many as a batch has had items

    def pack(self, now: float) -> tuple[list[Segment], bytes]:
        """Freeze one batch of lanes in the order of the queue, and encode it; empty if all that is due is withheld."""
        limits = self._intake.limits
        items = self._frozen(now)
        if not items:
            return [], b""
        body = self._encoded(items)
        limits.learn_width(len(body), len(items), sum([item.rows for item in items]))
        if len(body) > limits.bytes.value:
            items, body = self._cut(items, limits.bytes.value)
        self._intake.queue.carried = bool(self._carried)
        self._charge(items, len(body))
        return items, body

    def _frozen(self, now: float) -> list[Segment]:
        """Take from the queue what fills a batch, going by the width of readings so far."""
        intake, queue, limits = self._intake, self._intake.queue, self._intake.limits
        intake.reconcile()
        items, self._carried = self._carried, []
        width = 1.01 * limits.bytes_per_row
        max_items = limits.items.value
        rows = sum([item.rows for item in items])
        rows_left = limits.readings.value - rows
        bytes_left = limits.bytes.value - len(items) * ITEM_BYTES - width * rows
        while (first := queue.first) is not None and len(items) < max_items:
            bytes_left -= ITEM_BYTES
            taken = first.rows
            if taken > rows_left or width * taken > bytes_left:
                if items:
                    break
                taken = max(1, min(rows_left, int(bytes_left / width)))
            lane, segments = intake.take_first(taken, now)
            rows_left -= taken
            bytes_left -= width * taken
            for segment in segments:
                lane.busy += 1
                segment.lane = lane
                items.append(segment)
        if len(items) > max_items:
            items = self._kept(items, max_items)
        return items

    def _encoded(self, items: list[Segment]) -> bytes:
        forms = self._forms
        while len(forms) < len(items):
            forms.append(Form())
        body = encode_items([item.item(form) for item, form in zip(items, forms, strict=False)])
        for form in forms[: len(items)]:
            form.clear()
        return body

    def _charge(self, items: list[Segment], size: int) -> None:
        """Account for a body: each item bears its share."""
        per_row = size / sum([item.rows for item in items])
        charged = 0
        for item in items:
            share = int(per_row * item.rows)
            item.cost += share
            charged += share
        self._intake.used += charged

    def _cut(self, items: list[Segment], max_bytes: int) -> tuple[list[Segment], bytes]:
        """Set aside the last items, since the readings are wider than expected; of one item, its last rows."""
        encoded = [items[0].encoded()]
        while len(encoded[0]) + 2 > max_bytes and items[0].rows > 1:
            item = items[0]
            keep = max(1, int(0.97 * item.rows * max_bytes / len(encoded[0])))
            self._intake.put_back(item.lane, item.take(slice(keep, None)))
            items[0] = item.piece(slice(None, keep))
            encoded = [items[0].encoded()]
        size = len(encoded[0]) + 2
        for item in items[1:]:
            one = item.encoded()
            size += len(one) + 1
            if size > max_bytes:
                break
            encoded.append(one)
        return self._kept(items, len(encoded)), join_items(encoded)

    def _kept(self, items: list[Segment], count: int) -> list[Segment]:
        """Keep the first items and carry the others; but one call per signal: what has company of its lane, thaws."""
        kept, others = items[:count], items[count:]
        for item in reversed(others):
            if item.lane is kept[-1].lane or any(other.lane is item.lane for other in others if other is not item):
                item.lane.busy -= 1
                self._intake.put_back(item.lane, item)
            else:
                self._carried.insert(0, item)
        return kept

    def drain(self) -> list[tuple[Lane, Segment]]:
        """Give up what was carried."""
        carried, self._carried = self._carried, []
        self._intake.queue.carried = False
        return [(item.lane, item) for item in carried]

    def pending(self) -> Iterator[tuple[SignalKey, Credit]]:
        """Yield what is carried."""
        return ((item.lane.key, item.credit) for item in self._carried)
