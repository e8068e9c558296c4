"""From entries of the log to the items of one bulk call: readings are grouped by signal once, when a batch is formed.

Theory of operation. A `Grouping` takes entries until its limits are reached. Signals get codes in the order of their
first reading. Readings that must wait are set aside: those of fenced signals, and those that a hold covers. The rest
becomes a `Payload`. When there is no room for more signals, further readings of those it has are taken while they are
frequent. If no signal occurs twice, its columns stay as they are. Otherwise rows are sorted by code, and of
several readings with the same signal, time and origin the last one wins. An item has the readings of one signal in one
unit.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import count, islice, pairwise
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.write.core.batch import Payload, joined, plain
from besmart_async.batching.write.core.fences import Fences
from besmart_async.batching.write.core.grids import Grid, all_true
from besmart_async.batching.write.core.log import Block, Entry, Form, Run, Singles, Strip, strip_cost
from besmart_async.batching.write.core.provenance import NO_REF, Provenance, numbers_at, refs_at
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData

ITEM_BYTES = 110
"""Estimate of an encoded item without its readings."""

_SAMPLE = 256
"""So many readings show whether further readings of the signals taken are frequent."""

Forms = Form | list[Form]
"""The form of all rows, or of each."""


@attrs.frozen
class Room:
    """The most that a batch may hold.

    Attributes:
        items: signals.
        rows: readings.
        bytes: size of the body.
        bytes_per_row: size of an encoded reading, as far as known.
    """

    items: int
    rows: int
    bytes: float
    bytes_per_row: float


@attrs.define(eq=False)
class Piece:
    """Readings that were taken together: single ones of a run, or columns of a strip or block.

    Attributes:
        keys: the signal of each entry (a reading, or a column).
        codes: the code of each entry's signal.
        sizes: how many readings each entry has; None: one.
        times: the times: one column for all entries of a run, else one per entry.
        values: the values, likewise.
        forms: the form of all readings, or of each.
        numbers: numbers of the readings; an int where they are consecutive from it.
        refs: refs of the readings, or of all.
        rows: how many readings.
    """

    keys: Sequence[SignalKey]
    codes: NDArray[np.int64]
    sizes: Sequence[int] | None
    times: Sequence[NDArray[Any] | Grid]
    values: Sequence[NDArray[Any]]
    forms: Forms
    numbers: int | NDArray[np.int64]
    refs: int | NDArray[np.int64]
    rows: int

    @property
    def distinct(self) -> bool:
        """Whether no two readings have the same signal, time and origin, if no two entries have the same signal."""
        return self.sizes is None or all(
            [isinstance(time, Grid) or len(time) == 1 or all_true(time[1:] > time[:-1]) for time in self.times]
        )


class Grouping:
    """Gathers the readings of one batch.

    Attributes:
        pieces: the readings taken.
        cost: bytes of memory that they count for.
        recovered: whether it holds readings of an earlier writer; None while it holds nothing.
    """

    def __init__(self, room: Room, fences: Fences) -> None:
        self.cost = 0
        self.pieces: list[Piece] = []
        self.recovered: bool | None = None
        self._room = room
        self._fences = fences
        self._index: defaultdict[SignalKey, int] = defaultdict(count().__next__)
        self._rows = 0
        self._fence_of_code = np.zeros(0, np.int64)
        self._aside = 0  # signals in the index that are fenced

    @property
    def items(self) -> int:
        """Signals taken so far."""
        return len(self._index) - self._aside

    @property
    def rows_left(self) -> int:
        """Room for more readings of the signals taken so far."""
        by_size = self._bytes_left / self._room.bytes_per_row
        return int(min(self._room.rows - self._rows, by_size))

    @property
    def _bytes_left(self) -> float:
        return self._room.bytes - self.items * ITEM_BYTES - self._rows * self._room.bytes_per_row

    @property
    def full(self) -> bool:
        """Whether there is no more room."""
        return self.items >= self._room.items or (self.rows_left <= 0 and self._rows > 0)

    def take(self, entry: Entry) -> Sequence[Entry]:
        """Take readings from the front of an entry while there is room; return the rest, in order."""
        if isinstance(entry, Run | Singles):
            return self._take_singles(entry)
        if isinstance(entry, Strip):
            return self._take_strip(entry)
        recovered = entry.recovered if self.recovered is None else self.recovered
        if entry.recovered is not recovered or not self._fits(entry.rows):
            return [entry]
        return self._take_block(entry)

    def payload(self, repeated: list[Block] | None = None) -> Payload | None:
        """Return what was taken, grouped by signal; None if all of it must wait.

        Args:
            repeated: gets the readings that share signal, time and origin with another; the payload leaves them out.
                Without it, the last of such readings wins.
        """
        if not self.pieces:
            return None
        form = _one_form(self.pieces)
        if form is not None and self._each_signal_once() and all([piece.distinct for piece in self.pieces]):
            payload = _as_it_is(self.pieces, form)
        else:
            table = Table.of(self.pieces)
            if repeated is not None:
                table = table.without_repeats(list(self._index), repeated, self.cost)
            if not len(table.codes):
                return None
            payload = table.payload(list(self._index))
        payload.cost = self.cost - (sum([block.cost for block in repeated]) if repeated else 0)
        payload.recovered = bool(self.recovered)
        return payload

    def _each_signal_once(self) -> bool:
        entries = sum([len(piece.keys) for piece in self.pieces])
        if not self._aside and not self._fences.holds:
            return entries == len(self._index)  # no signal in the index is without an entry
        codes = np.concatenate([piece.codes for piece in self.pieces])
        return len(np.unique(codes)) == entries

    # -- columns -----------------------------------------------------------------------------------------------------

    def _fits(self, rows: int) -> bool:
        return self.items < self._room.items and (rows <= self.rows_left or not self._rows)

    def _take_block(self, block: Block) -> Sequence[Block]:
        free = self._free(block)
        if free is None:
            return []
        rest: list[Block] = []
        if free.rows > (most := max(1, self.rows_left)):
            free, *rest = free.split(most)
        self._add_block(free)
        return rest

    def _free(self, block: Block) -> Block | None:
        """Let those rows wait that must; return the others, None if there are none."""
        if block.key in self._fences.fenced:
            self._fences.set_aside(block)
            return None
        return self._fences.withhold(block)

    def _add_block(self, block: Block) -> None:
        self.recovered = block.recovered
        codes = np.array([self._index[block.key]], np.int64)
        time = block.time if block.grid is None else block.grid
        forms, rows = _forms_of(block), block.rows
        piece = Piece([block.key], codes, [rows], [time], [block.value], forms, block.numbers, block.refs, rows)
        self._add(piece, block.cost)

    def _add(self, piece: Piece, cost: int) -> None:
        self.pieces.append(piece)
        self._rows += piece.rows
        self.cost += cost

    def _take_strip(self, strip: Strip) -> Sequence[Entry]:
        while strip.entries and not self.full:
            if self.recovered:
                break
            start, room = strip.start, self._room
            values = strip.values[start : start + room.items - self.items]
            ends = np.cumsum([len(value) for value in values])
            sizes = ends * room.bytes_per_row + np.arange(1, len(ends) + 1) * ITEM_BYTES
            fitting = min(
                np.searchsorted(ends, room.rows - self._rows, "right"), np.searchsorted(sizes, self._bytes_left)
            )
            if not fitting:
                if self._rows:
                    break
                rest = self._take_block(strip.pop())  # larger than a batch
                return [*rest, strip] if strip.entries else rest
            codes = self._codes(strip.keys, start, int(fitting))
            self._add_columns(strip, codes)
        return [strip] if strip.entries else []

    def _add_columns(self, strip: Strip, codes: NDArray[np.int64]) -> None:
        start, number, since = strip.start, strip.number, strip.since
        stop = start + len(codes)
        keys, grids, values = strip.keys[start:stop], strip.grids[start:stop], strip.values[start:stop]
        sizes = [len(value) for value in values]
        rows = sum(sizes)
        strip.take(len(codes), rows)
        if self._fences_of(codes) is None and self._fences.holds.keys().isdisjoint(keys):
            self.recovered = False
            cost = sum(map(strip_cost, sizes))
            refs = strip.refs[start:stop]
            of_rows = refs[0] if refs.count(refs[0]) == len(refs) else np.repeat(np.array(refs, np.int64), sizes)
            self._add(Piece(keys, codes, sizes, grids, values, strip.form, number, of_rows, rows), cost)
            return
        for place, key in enumerate(keys):
            block = Block.plain(key, grids[place], values[place], strip.form, number, since)
            block.refs = strip.refs[start + place]
            number += block.rows
            if (free := self._free(block)) is not None:
                self._add_block(free)

    def _fences_of(self, codes: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Return the fence of each entry's signal, 0 without one; None: no signal has one."""
        if not self._fences.fenced:
            return None
        known = len(self._fence_of_code)
        if known < len(self._index):
            fences = self._fences.fences_of(islice(self._index, known, None))
            self._fence_of_code = np.concatenate([self._fence_of_code, np.array(fences, np.int64)])
            self._aside += len(fences) - fences.count(0)
        found: NDArray[np.int64] = self._fence_of_code[codes]
        return found if found.any() else None

    # -- single readings ---------------------------------------------------------------------------------------------

    def _take_singles(self, entry: Run | Singles) -> Sequence[Entry]:
        known = -1
        ahead = self._room.items
        while len(entry) and not self.full and not self.recovered:
            each = self._room.bytes_per_row + (0 if known == len(self._index) else ITEM_BYTES)
            known = len(self._index)
            rows = min(len(entry), ahead, max(1, min(self.rows_left, int(self._bytes_left / each))))
            codes = self._codes(entry.keys, entry.start, rows)
            ahead = 4 * len(codes)
            self._add_singles(entry.cut(len(codes)), codes)
        left: list[Entry] = []
        if self.items >= self._room.items and not self.recovered:
            left += self._take_known(entry)
        return [*left, entry] if len(entry) else left

    def _take_known(self, entry: Run | Singles) -> Iterator[Singles]:
        """Take readings of signals that were taken before; yield the others in between, in order."""
        index = self._index
        while (rows := min(len(entry), self.rows_left)) > 0:
            keys = entry.keys[entry.start : entry.start + rows]
            if 2 * sum([key in index for key in keys[:_SAMPLE]]) < len(keys[:_SAMPLE]):
                return
            codes = np.fromiter((index.get(key, -1) for key in keys), np.int64, rows)
            chunk, mask = entry.cut(rows), codes >= 0
            if mask.all():
                self._add_singles(chunk, codes)
                continue
            ours, others = chunk.split(mask)
            self._add_singles(ours, codes[mask])
            yield others

    def _codes(self, keys: list[SignalKey], start: int, rows: int) -> NDArray[np.int64]:
        """Return the codes of the next entries, fewer if there would be too many signals."""
        index = self._index
        codes = np.fromiter(map(index.__getitem__, keys[start : start + rows]), np.int64, rows)
        over = self.items - self._room.items
        if over <= 0:
            return codes
        first_over = len(index) - over
        for _ in range(over):
            index.popitem()
        self._index = defaultdict(count(first_over).__next__, index)
        return codes[: int(np.argmax(codes >= first_over))]

    def _add_singles(self, singles: Singles, codes: NDArray[np.int64]) -> None:
        fences = self._fences_of(codes)
        if fences is not None:
            for fence in np.unique(fences[fences > 0]).tolist():
                if (mask := fences == fence).all():
                    self._fences.set_aside(singles)
                    return
                waiting, singles = singles.split(mask)
                self._fences.set_aside(waiting)
                codes, fences = codes[~mask], fences[~mask]
        if self._fences.holds:
            held = np.array([key in self._fences.holds for key in singles.keys], np.bool_)
            if held.any():
                self._add_held(singles, codes, held)
                return
        self._add_all(singles, codes)

    def _add_held(self, singles: Singles, codes: NDArray[np.int64], held: NDArray[np.bool_]) -> None:
        """Take readings of which some may be held."""
        if not held.all():
            singles, others = singles.split(held)
            self._add_all(others, codes[~held])
        table = Table.of([_piece_of(singles, codes[held])])
        blocks = list(table.blocks(list(self._index), singles.cost // len(singles), singles.since))
        blocks[-1].cost += singles.cost - sum([block.cost for block in blocks])
        for block in blocks:
            if (free := self._fences.withhold(block)) is not None:
                self._add_block(free)

    def _add_all(self, singles: Singles, codes: NDArray[np.int64]) -> None:
        self.recovered = False
        self._add(_piece_of(singles, codes), singles.cost)


# -- pieces ----------------------------------------------------------------------------------------------------------


def _piece_of(singles: Singles, codes: NDArray[np.int64]) -> Piece:
    columns = [singles.time], [singles.value]
    return Piece(singles.keys, codes, None, *columns, singles.forms, singles.numbers, NO_REF, len(codes))


def _forms_of(block: Block) -> Forms:
    if not isinstance(block.type, np.ndarray) and not isinstance(block.origin, np.ndarray):
        return Form(block.type, block.origin, block.unit)
    types = block.type.tolist() if isinstance(block.type, np.ndarray) else [block.type] * block.rows
    origins = block.origin.tolist() if isinstance(block.origin, np.ndarray) else [block.origin] * block.rows
    return [Form(type_, origin, block.unit) for type_, origin in zip(types, origins, strict=True)]


def _one_form(pieces: Sequence[Piece]) -> Form | None:
    """Return the form of all rows, None if they differ."""
    first = pieces[0].forms
    if isinstance(first, list):
        return None
    return first if all([piece.forms is first or piece.forms == first for piece in pieces]) else None


def _row_codes(pieces: Sequence[Piece]) -> NDArray[np.int64]:
    codes = np.concatenate([piece.codes for piece in pieces])
    sizes = [size for piece in pieces for size in (piece.sizes or [1] * piece.rows)]
    return codes if len(sizes) == sum(sizes) else np.repeat(codes, sizes)


def _times(pieces: Sequence[Piece]) -> list[NDArray[Any]]:
    return [time.time if isinstance(time, Grid) else time for piece in pieces for time in piece.times]


# -- payloads --------------------------------------------------------------------------------------------------------


def _as_it_is(pieces: Sequence[Piece], form: Form) -> Payload:
    """Return a payload of entries that all have different signals."""
    keys = [key for piece in pieces for key in piece.keys]
    rows = sum([piece.rows for piece in pieces])
    provenance = Provenance(rows, None, _numbers(pieces), _refs(pieces))
    if all([piece.sizes is not None for piece in pieces]):
        times = [time for piece in pieces for time in piece.times]
        values = [value for piece in pieces for value in piece.values]
        payload = Payload.of_columns(keys, times, values, provenance)
    else:
        sizes = [size for piece in pieces for size in (piece.sizes or [1] * piece.rows)]
        bounds: Sequence[int] = range(rows + 1) if len(keys) == rows else [0, *np.cumsum(sizes).tolist()]
        values = [value for piece in pieces for value in piece.values]
        payload = Payload(keys, bounds, joined(_times(pieces)), joined(values), provenance)
    payload.type, payload.origin, payload.unit = form
    return payload


@attrs.frozen(eq=False)
class Table:
    """Readings row by row, in the order of the pieces.

    Attributes:
        codes: the code of each row's signal.
        time: the times.
        value: the values.
        forms: the form of each row, or of all.
        numbers: the number of each row; an int where they are consecutive from it.
        refs: the ref of each row, or of all.
    """

    codes: NDArray[np.int64]
    time: NDArray[Any]
    value: NDArray[Any]
    forms: Forms
    numbers: int | NDArray[np.int64]
    refs: int | NDArray[np.int64]

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> Table:
        """Return the rows of all pieces."""
        return cls(
            _row_codes(pieces),
            joined(_times(pieces)),
            joined([value for piece in pieces for value in piece.values]),
            _one_form(pieces) or _each_form(pieces),
            _numbers(pieces),
            _refs(pieces),
        )

    def take(self, rows: NDArray[np.intp]) -> Table:
        """Return a selection of the rows."""
        return Table(
            self.codes[rows],
            self.time[rows],
            self.value[rows],
            [self.forms[row] for row in rows.tolist()] if isinstance(self.forms, list) else self.forms,
            numbers_at(self.numbers, rows),
            refs_at(self.refs, rows),
        )

    def payload(self, keys: Sequence[SignalKey]) -> Payload:
        """Sort by signal (and unit), with the last row of each signal, time and origin."""
        groups, apart = self._groups()
        order = _order(groups)
        winner = self._winners()
        if winner is None:
            provenance = Provenance(len(order), None, numbers_at(self.numbers, order), refs_at(self.refs, order))
        else:
            order = order[winner[order] == order]
            place = np.empty(len(winner), np.intp)
            place[order] = np.arange(len(order))
            provenance = Provenance(len(order), place[winner], self.numbers, self.refs)
        found, sizes = np.unique(groups[order], return_counts=True)
        bounds = [0, *np.cumsum(sizes).tolist()]
        items = [keys[group // apart] for group in found.tolist()]
        payload = Payload(items, bounds, self.time[order], self.value[order], provenance)
        if isinstance(self.forms, list):
            payload.set_forms([self.forms[row] for row in order.tolist()])
        else:
            payload.type, payload.origin, payload.unit = self.forms
        return payload

    def without_repeats(self, keys: Sequence[SignalKey], repeated: list[Block], cost: int) -> Table:
        """Return the rows whose signal, time and origin occur once; the others are added to `repeated`."""
        winner = self._winners()
        if winner is None:
            return self
        mask = np.bincount(winner, minlength=len(winner))[winner] > 1
        each = cost // len(winner)
        repeated.extend(self.take(np.flatnonzero(mask)).blocks(keys, each, -math.inf, recovered=True))
        return self.take(np.flatnonzero(~mask))

    def blocks(self, keys: Sequence[SignalKey], each: int, since: float, *, recovered: bool = False) -> Iterator[Block]:
        """Yield the rows as one block per signal, in their order; a row costs `each` bytes."""
        order = _order(self.codes)
        codes, forms = self.codes[order], self.forms
        fresh = codes[1:] != codes[:-1]
        if isinstance(forms, list):
            fresh |= np.array([forms[a] != forms[b] for a, b in pairwise(order.tolist())], np.bool_)
        for start, stop in pairwise([0, *(np.flatnonzero(fresh) + 1).tolist(), len(order)]):
            part = self.take(order[start:stop])
            form = part.forms[0] if isinstance(part.forms, list) else part.forms
            data = SignalData.trusted(keys[int(part.codes[0])], plain(part.time), part.value, *form)
            yield Block(data, part.numbers, part.refs, since, each * len(data), recovered=recovered)

    def _groups(self) -> tuple[NDArray[np.int64], int]:
        """Return groups by signal, unit, and whether type and origin are given; and how many groups a signal has."""
        forms = self.forms
        if not isinstance(forms, list):
            return self.codes, 1
        shapes: defaultdict[tuple[str | None, bool, bool], int] = defaultdict(count().__next__)
        of_form = {form: shapes[form.unit, form.type is None, form.origin is None] for form in dict.fromkeys(forms)}
        shape = np.fromiter(map(of_form.__getitem__, forms), np.int64, len(forms))
        return self.codes * len(shapes) + shape, len(shapes)

    def _winners(self) -> NDArray[np.intp] | None:
        """Return for each row the last row of the same signal, time and origin; None if no two rows share all three."""
        codes, forms = self.codes, self.forms
        moment = self.time if self.time.dtype != object else self.time.astype(np.float64)
        order = _order(codes)
        if all_true((moment[order][1:] > moment[order][:-1]) | (codes[order][1:] != codes[order][:-1])):
            return None
        columns = [moment, codes]
        if isinstance(forms, list):
            columns.insert(0, np.fromiter((1 if f.origin is None else f.origin for f in forms), np.int64, len(forms)))
        order = np.lexsort(columns)
        fresh = np.zeros(len(order) - 1, np.bool_)
        for column in columns:
            fresh |= column[order][1:] != column[order][:-1]
        if all_true(fresh):
            return None
        last = order[np.flatnonzero(np.concatenate([fresh, [True]]))]
        winner = np.empty(len(order), np.intp)
        winner[order] = last[np.concatenate([[0], np.cumsum(fresh)])]
        return winner


def _order(codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return a stable order by code; numpy is faster if there are few codes."""
    return np.argsort(codes.astype(np.int16) if codes.max() < 1 << 15 else codes, kind="stable")


def _each_form(pieces: Sequence[Piece]) -> list[Form]:
    forms: list[Form] = []
    for piece in pieces:
        forms += piece.forms if isinstance(piece.forms, list) else [piece.forms] * piece.rows
    return forms


def _numbers(pieces: Sequence[Piece]) -> int | NDArray[np.int64]:
    """Return the numbers of all readings, in the order of the pieces."""
    sizes = [piece.rows for piece in pieces]
    if all([isinstance(piece.numbers, int) for piece in pieces]):
        firsts = np.array([piece.numbers for piece in pieces], np.int64)
        ends: NDArray[np.int64] = np.cumsum(np.array(sizes, np.int64))
        if (firsts[1:] == firsts[0] + ends[:-1]).all():
            return int(firsts[0])
        return np.repeat(firsts - (ends - sizes), sizes) + np.arange(ends[-1], dtype=np.int64)
    return np.concatenate(
        [
            np.arange(piece.numbers, piece.numbers + piece.rows) if isinstance(piece.numbers, int) else piece.numbers
            for piece in pieces
        ]
    )


def _refs(pieces: Sequence[Piece]) -> int | NDArray[np.int64]:
    first = pieces[0].refs
    if isinstance(first, int) and all([isinstance(piece.refs, int) and piece.refs == first for piece in pieces]):
        return first
    return np.concatenate([np.broadcast_to(piece.refs, piece.rows) for piece in pieces])


def grouped(entries: Sequence[Entry]) -> list[Payload]:
    """Group readings by signal, without limits, fences or holds."""
    payloads: list[Payload] = []
    left = deque(entries)
    while left:
        grouping = Grouping(Room(1 << 62, 1 << 62, 1e300, 1.0), Fences())
        rest: Sequence[Entry] = ()
        while left and not rest:
            rest = grouping.take(left.popleft())
        left.extendleft(reversed(rest))
        if (payload := grouping.payload()) is not None:
            payloads.append(payload)
    return payloads
