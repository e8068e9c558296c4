"""What a rejected row holds, for whoever mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources.columns import Chunk, DaySlots
from besmart_async.ingest.sources.layout import FileForm

ROLES = ("meter", "signal", "time", "value", "unit", "origin", "zone")
"""What the columns of a reject's record are, in their order. In a row of a day, `time` is the day; `slot`s follow."""

TOLD = tuple(f"rejected_{name}" for name in ("file", "row", "column", "value", "reason", "line"))
"""The first columns of a file of rejects: what was wrong where. `ROLES` follow, then the slots of a row of a day."""

_DAY_ROLES = tuple(role for role in ROLES if role != "value")


def form_of_rejects(form: FileForm, columns: int) -> FileForm:
    """The form of a file of rejects.

    Args:
        form: of the files whose rejects it has.
        columns: how many it has.
    """
    wide = columns != len(TOLD) + len(ROLES)
    roles = [("date" if role == "time" else role) for role in _DAY_ROLES] if wide else ROLES
    return attrs.evolve(
        form,
        kind="wide" if wide else "long",
        columns={role: (place,) for place, role in enumerate(roles, start=len(TOLD) + 1)},
        first_slot=len(TOLD) + len(roles) + 1 if wide else None,
        last_slot=columns if wide else None,
    )


class Places:
    """Finds rejects in the chunk that they are of. Rows of a chunk need not ascend, and may have many readings."""

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._told: set[int] = set()

    def of(self, reject: Reject) -> int:
        """The place of the reading that was rejected; the first of its row where no column tells which it is."""
        places = self._all(reject.row)
        return next((place for place in places if self._chunk.title("value", place) == reject.column), places[0])

    def _all(self, row: int) -> Sequence[int]:
        rows, order = self._ascending
        first = int(np.searchsorted(rows, row))
        if order is None:
            return (first,)
        end = int(np.searchsorted(rows, row, side="right"))
        places: list[int] = order[first:end].tolist()
        return places

    @cached_property
    def _ascending(self) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """The rows in ascending order, and their places if that is another one; few pages have rejects to look up."""
        rows = self._chunk.rows
        if (rows[1:] > rows[:-1]).all():
            return rows, None
        order = np.argsort(rows, kind="stable")
        return rows[order], order

    def recorded(self, reject: Reject) -> Reject:
        """The reject with what its row holds, as written; a row of a day is told with the first of its rejects."""
        if not isinstance(self._chunk.time, DaySlots):
            return attrs.evolve(reject, record=tuple(_named(self._chunk, ROLES, self.of(reject))))
        if reject.row in self._told:
            return reject
        self._told.add(reject.row)
        named = _named(self._chunk, _DAY_ROLES, self.of(reject))
        return attrs.evolve(reject, record=(*named, *self._slots(reject.row)))

    def _slots(self, row: int) -> list[tuple[str, str, str]]:
        slots = self._chunk.time.slots
        texts = dict.fromkeys(range(len(slots)), "")
        for place in self._all(row):
            texts[int(self._chunk.time.slot[place])] = self._chunk.text("value", place)
        return [("slot", title, texts[slot]) for slot, title in enumerate(slots.titles)]


def recorded(rejects: Sequence[Reject], chunk: Chunk) -> list[Reject]:
    """Rejects of one chunk with what their rows hold."""
    return list(map(Places(chunk).recorded, rejects)) if rejects else []


def titled(misfit: Reject, chunk: Chunk) -> Reject:
    """A row that is no reading, with the titles of the columns that it ought to have and its line."""
    slots = chunk.time.slots.titles if isinstance(chunk.time, DaySlots) else ()
    roles = _DAY_ROLES if slots else ROLES
    named = [(role, chunk.titles[role], "") for role in roles if role in chunk.titles]
    held = misfit.record or (("line", "", misfit.value),)
    return attrs.evolve(misfit, record=(*named, *(("slot", title, "") for title in slots), *held))


def _named(chunk: Chunk, roles: Sequence[str], place: int) -> Iterator[tuple[str, str, str]]:
    return (
        (role, chunk.titles.get(role, role), chunk.text(role, place))
        for role in roles
        if getattr(chunk, role) is not None
    )
