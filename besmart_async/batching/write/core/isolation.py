"""Finding what is refused in a refused batch, with few calls, each of which delivers what it may.

Theory of operation (adaptive group testing). A `Search` numbers its pieces (the items of a batch, or the rows of an
item) and says which of them to send next. A group that passes is delivered. A refused group holds a culprit: half of it
is sent next; if that passes, the culprit is in the other half, which need not be sent as a whole; if it is refused, the
other half goes back to the pool of the untested. So each culprit costs about log2(group) calls, and the good pieces
ride along. Groups taken fresh from the pool halve when refused and double when passed, and so settle at a size that is
refused half the time. Nothing is a culprit unless it was refused alone.

If all parts of a refused group pass, the group was refused for its size: `oversized` says so, and `largest_passed` what
may be sent. Rows of an item are asked one by one first, at both ends and in the middle: if all three are refused, the
item as such is, and its other rows are not asked. Where a batch has shown four such items and none with good rows in
it, the middle alone is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from besmart_async.errors import BesmartError

if TYPE_CHECKING:
    from besmart_async.batching.write.core.segments import Segment


_ENOUGH_WHOLE_ITEMS = 4


class Search:
    """A search among `pieces` pieces that were refused together.

    `samples` are asked alone first; if all are refused, so is everything.

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
        """The pieces asked for last."""
        return self._group

    def next_group(self) -> list[int]:
        """Return the pieces to send next; none: all are settled."""
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
        """Note that the group was stored."""
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
        """Note that the group was refused; return the pieces that are settled as culprits by that."""
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
        """Return all pieces that are not settled, the group under way included."""
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
        items: its pieces, or the one item whose rows are the pieces.
        by_rows: whether rows are searched.
        search: the search.
        error: what the last refusal said.
        parent: the family of the batch that the item was found in.
        open: this search and those of items found in it, as far as they go on.
        any_passed: whether any of its readings was stored.
        whole_items: items found in it that were refused as such.
        mixed_items: items found in it that held good rows as well.
        doubtful: pieces in probes whose answer was lost: they may be stored.
    """

    items: tuple[Segment, ...]
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
    def of_batch(cls, items: tuple[Segment, ...], error: BesmartError) -> Family:
        """Search among the items of a refused batch."""
        return cls(items, by_rows=False, search=Search(len(items)), error=error)

    @classmethod
    def of_rows(cls, item: Segment, error: BesmartError, parent: Family | None) -> Family:
        """Search among the rows of an item that was refused alone."""
        rows = item.rows
        samples = [0, rows - 1, rows // 2]
        if parent is not None and parent.whole_items >= _ENOUGH_WHOLE_ITEMS and not parent.mixed_items:
            samples = [rows // 2]
        return cls((item,), by_rows=True, search=Search(rows, samples), error=error, parent=parent)


class FloodGuard:
    """Notices when the service refuses nearly everything, so that millions are not rejected for one mistake.

    It trips when `BATCHES` whole batches in a row were refused to the last reading (and held at least `FEW_ITEMS` items
    together: a writer of two signals may well write to a wrong one), or when more than `SHARE` of the items were (and
    at least `MANY_ITEMS`).
    """

    BATCHES = 3
    FEW_ITEMS = 20
    SHARE = 0.2
    MANY_ITEMS = 100
    _MEMORY = 20_000

    def __init__(self) -> None:
        self._seen = self._rejected = 0
        self._batches = self._batch_items = 0

    def answered(self, items: int) -> None:
        """Note a batch that was stored or refused for the first time."""
        self._seen += items
        if self._seen > self._MEMORY:
            self._seen //= 2
            self._rejected //= 2

    def rejected(self) -> None:
        """Note an item of which nothing could be stored."""
        self._rejected += 1

    def ended(self, items: int, *, any_passed: bool) -> None:
        """Note that all of a batch has its outcome."""
        self._batches = 0 if any_passed else self._batches + 1
        self._batch_items = 0 if any_passed else self._batch_items + items

    def tripped(self) -> str | None:
        """Say why to stop, None if all is well."""
        if self._batches >= self.BATCHES and self._batch_items >= self.FEW_ITEMS:
            return f"the service refused {self._batches} whole batches in a row ({self._batch_items} items)"
        if self._rejected >= self.MANY_ITEMS and self._rejected > self.SHARE * self._seen:
            return f"the service refused {self._rejected} of the last {self._seen} items"
        return None
