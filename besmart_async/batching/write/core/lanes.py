"""Where accepted readings wait: one lane per signal, holding segments in the order of acceptance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.segments import SEGMENT_BYTES, Segment, Tail, origins_of
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData

Part = Segment | Tail


class Lane:
    """What waits for one signal, and what is being done about it.

    Attributes:
        key: the signal.
        tail: the open part, None if there is none.
        sealed_rows: readings in sealed parts.
        since: when the first of them was accepted.
        busy: frozen items of this signal without an outcome; while there are any, the lane sends nothing new.
        flying: whether one of them is under way.
        queued: whether it is in the queue of lanes that may send.
        urgent: whether a flush waits for it.
        holds: readings that must wait, since an old request may still store older values for them.
        withheld: parts that wait for the holds; older than `parts`.
    """

    __slots__ = (
        "_first",
        "_others",
        "busy",
        "flying",
        "holds",
        "key",
        "queued",
        "sealed_rows",
        "since",
        "tail",
        "urgent",
        "withheld",
    )

    def __init__(self, key: SignalKey, since: float = 0.0) -> None:
        self.key = key
        self._first: Part | None = None  # the oldest sealed part
        self._others: list[Part] | tuple[()] = ()  # no list is kept where there are none, since there are many lanes
        self.tail: Tail | None = None
        self.sealed_rows = 0
        self.since = since
        self.busy = 0
        self.flying = False
        self.queued = False
        self.urgent = False
        self.holds: Sequence[Hold] = ()
        self.withheld: Sequence[Segment] = ()

    @property
    def rows(self) -> int:
        """Readings that wait, those withheld left out."""
        return self.sealed_rows if self.tail is None else self.sealed_rows + len(self.tail.times)

    @property
    def parts(self) -> list[Part]:
        """The sealed parts in order of acceptance."""
        return [] if self._first is None else [self._first, *self._others]

    @parts.setter
    def parts(self, parts: Sequence[Part]) -> None:
        self._first = parts[0] if parts else None
        self._others = list(parts[1:]) if len(parts) > 1 else ()

    def seal(self) -> None:
        """Let no more readings be appended to the open part."""
        if self.tail is not None:
            tail, self.tail = self.tail, None
            self.add(tail, len(tail.times))

    def add(self, part: Part, rows: int) -> None:
        """Append a part with so many readings."""
        if self.tail is not None:
            self.seal()
        if self._first is None:
            self._first = part
        elif self._others:
            self._others.append(part)
        else:
            self._others = [part]
        self.sealed_rows += rows

    def put_back(self, segments: Sequence[Segment]) -> None:
        """Put what was taken, and could not be sent, to the front again."""
        self.seal()
        self.parts = [*segments, *self.parts]
        self.sealed_rows += sum(segment.rows for segment in segments)

    def take(self, rows: int) -> list[Segment]:
        """Take parts from the front: all that waits, or at most `rows`; recovered ones by themselves."""
        if self.tail is not None:
            if self._first is None and len(self.tail.times) <= rows:
                segment, self.tail = self.tail.segment(), None
                return [segment]
            self.seal()
        part = self._first
        if part is not None and not self._others and self.sealed_rows <= rows:
            self._first = None
            self.sealed_rows = 0
            return [part if isinstance(part, Segment) else part.segment()]
        parts, self.parts = self.parts, []
        taken: list[Segment] = []
        left = rows
        for number, part in enumerate(parts):
            segment = part if isinstance(part, Segment) else part.segment()
            if taken and segment.recovered is not taken[0].recovered:
                self.parts = [segment, *parts[number + 1 :]]
                break
            size = segment.rows
            if size <= left:
                taken.append(segment)
                left -= size
                continue
            if left:
                taken.append(segment.take(slice(None, left)))
                segment = segment.take(slice(left, None))
            self.parts = [segment, *parts[number + 1 :]]
            break
        self.sealed_rows -= sum(segment.rows for segment in taken)
        return taken

    def release(self, now: float) -> None:
        """Forget the holds that are over; if any were, what waited for them may be taken again."""
        kept = [hold for hold in self.holds if hold.until > now]
        if len(kept) < len(self.holds):
            self.holds = kept
            withheld, self.withheld = self.withheld, ()
            self.put_back(withheld)


@attrs.frozen(eq=False)
class Hold:
    """Readings (time, origin) of one signal whose newer values must wait until `until`."""

    until: float
    time: NDArray[Any]
    origin: int | NDArray[Any] | None

    @property
    def cost(self) -> int:
        """Bytes it is accounted with."""
        return SEGMENT_BYTES + self.time.nbytes

    def covers(self, data: SignalData) -> NDArray[Any]:
        """Return a mask of the rows that are held."""
        mask: NDArray[Any] = np.isin(data.time, self.time)
        if not mask.any():
            return mask
        ours = origins_of(data.origin, len(data))
        if not isinstance(self.origin, np.ndarray):
            exact: NDArray[Any] = mask & (ours == (1 if self.origin is None else self.origin))
            return exact
        held = set(zip(self.time.tolist(), self.origin.tolist(), strict=True))
        for row in np.flatnonzero(mask).tolist():
            mask[row] = (data.time[row].item(), int(ours[row])) in held
        return mask
