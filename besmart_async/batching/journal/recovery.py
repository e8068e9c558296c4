"""What the records of a journal mean together: which readings have no outcome yet, and which are lost.

Theory of operation. Records of commits hold readings. The other records, and the `floor` and `since` of all, only ever
claim that positions are done. A claim stays true for ever, so it does not matter which records are older, nor whether a
record is read twice. A position is lost if nothing claims it and no record holds it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.batching.journal.records import DONE, OPEN, REFUSED, Entry, Record
from besmart_async.batching.write.validation import Reading
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData

Range = tuple[int, int]
"""Positions from the first up to, and without, the second."""


@attrs.frozen(eq=False)
class Recovered:
    """Readings that an earlier writer left in its journal.

    Attributes:
        start: position of the first; those of the others follow without a gap.
        entries: the readings, in order of acceptance.
        refused: the service has refused them, and nobody has been told. To send them again could overwrite a newer
            value that was delivered since.
    """

    start: int
    entries: list[Entry]
    refused: bool = False

    @property
    def readings(self) -> int:
        """How many readings."""
        return sum(map(len, self.entries))

    def columns(self) -> list[tuple[SignalData, int]]:
        """Return each entry as columns, with the position of its first reading."""
        position, columns = self.start, list[tuple[SignalData, int]]()
        for entry in self.entries:
            columns.append((entry.columns() if isinstance(entry, Reading) else entry, position))
            position += len(entry)
        return columns


def by_signal(pieces: Iterable[Recovered]) -> list[tuple[SignalData, NDArray[np.int64]]]:
    """Join the readings of each signal (and unit), in order of acceptance; return them with their positions.

    A writer must see all readings of a signal that were left at once: of those of one time, it sends only the last.
    """
    parts: dict[SignalKey, list[tuple[SignalData, int]]] = {}
    for piece in pieces:
        for data, position in piece.columns():
            parts.setdefault(data.key, []).append((data, position))
    joined: list[tuple[SignalData, NDArray[np.int64]]] = []
    for of_signal in parts.values():
        for _, run in groupby(of_signal, key=lambda part: part[0].unit):
            columns = list(run)
            positions = [np.arange(position, position + len(data), dtype=np.int64) for data, position in columns]
            joined.append((SignalData.concat([data for data, _ in columns]), np.concatenate(positions)))
    return joined


@attrs.frozen(eq=False)
class Remainder:
    """A record with readings that have no outcome, or that nobody has been told of.

    Attributes:
        number: which one of the surveyed records it is.
        record: the record.
        outcomes: as in `Record`, with everything that is known now.
    """

    number: int
    record: Record
    outcomes: bytes | None = attrs.field(repr=False)

    @property
    def readings(self) -> int:
        """How many of its readings have no outcome."""
        return self.record.readings if self.outcomes is None else self.outcomes.count(OPEN)

    def pieces(self) -> Iterator[Recovered]:
        """Yield its readings that are not done, as runs of neighbouring positions."""
        if self.outcomes is None:
            yield Recovered(self.record.start, list(self.record.entries))
            return
        outcomes = np.frombuffer(self.outcomes, np.uint8)
        positions = self.record.positions
        piece = Recovered(-1, [])
        following = place = 0
        for entry in self.record.entries:
            mine = positions[place : place + len(entry)]
            place += len(entry)
            for first, last in _runs(mine, outcomes[mine - self.record.start]):
                state, start = outcomes[mine[first] - self.record.start], int(mine[first])
                if state == DONE:
                    continue
                if start != following or not piece.entries or piece.refused != (state == REFUSED):
                    if piece.entries:
                        yield piece
                    piece = Recovered(start, [], bool(state == REFUSED))
                following = start + last - first
                piece.entries.append(_part(entry, first, last))
        if piece.entries:
            yield piece


@attrs.frozen
class JournalSurvey:
    """What some records mean together.

    Attributes:
        left: records with readings to deliver, in order of acceptance.
        top: the position after the last reading.
        missing: positions that no record accounts for.
    """

    left: list[Remainder]
    top: int
    missing: list[Range]


def survey(records: Sequence[Record]) -> JournalSurvey:
    """Return what is left of some records, of any age and in any order."""
    floor = max((record.floor for record in records), default=0)
    top = max((record.stop for record in records), default=0)
    done, refused = _claims(records, floor)
    left: list[Remainder] = []
    missing: list[Range] = []
    position = 0
    for number in _without_copies(records):
        record = records[number]
        missing += _without(done, position, record.start)
        position = record.stop
        outcomes = _outcomes(record, done, refused)
        if outcomes is None or outcomes.count(DONE) < len(outcomes):
            left.append(Remainder(number, record, outcomes))
    return JournalSurvey(left, top, missing + _without(done, position, top))


def _claims(records: Sequence[Record], floor: int) -> tuple[list[Range], list[Range]]:
    done: list[Range] = [(0, floor)]
    refused: list[Range] = []
    for record in records:
        done.append((record.since, record.start))
        if record.outcomes is not None and not record.entries:  # of others it only says what they do not hold
            outcomes = np.frombuffer(record.outcomes, np.uint8)
            for first, last in _runs(np.arange(len(outcomes)), outcomes):
                if outcomes[first] != OPEN:
                    (done if outcomes[first] == DONE else refused).append((record.start + first, record.start + last))
    return _merged(done), _merged(refused)


def _without_copies(records: Sequence[Record]) -> list[int]:
    """Return the numbers of the records that hold readings, by position; one for each position.

    A damaged file may hold copies from before a record was rewritten: those with more readings. In the first version
    a rewritten record also covered the positions of what was left out before it.
    """
    holding = [number for number, record in enumerate(records) if record.entries]
    holding.sort(key=lambda number: (records[number].start, -records[number].stop, records[number].readings))
    chosen: list[int] = []
    for number in holding:
        if not chosen or records[number].start >= records[chosen[-1]].stop:
            chosen.append(number)
    return chosen


def _outcomes(record: Record, done: list[Range], refused: list[Range]) -> bytes | None:
    found = [(DONE, _within(done, record.start, record.stop)), (REFUSED, _within(refused, record.start, record.stop))]
    if not any(ranges for _, ranges in found):
        return record.outcomes
    outcomes = bytearray(record.outcomes or bytes(record.stop - record.start))
    for state, ranges in reversed(found):  # what is done was refused before, perhaps
        for start, stop in ranges:
            part = slice(start - record.start, stop - record.start)
            outcomes[part] = outcomes[part].translate(_NEVER_UNDONE if state == REFUSED else _ALL_DONE)
    return bytes(outcomes)


_ALL_DONE = bytes([DONE]) * 256
_NEVER_UNDONE = bytes([REFUSED, DONE, *[REFUSED] * 254])


def _part(entry: Entry, first: int, last: int) -> Entry:
    if isinstance(entry, Reading) or last - first == len(entry):
        return entry
    return entry.take(slice(first, last))


def _runs(positions: np.ndarray, states: np.ndarray) -> Iterator[Range]:
    """Yield the parts of two columns in which positions are neighbours and states equal."""
    if len(positions):
        cuts = np.flatnonzero((np.diff(positions) != 1) | (np.diff(states) != 0)) + 1
        yield from zip([0, *cuts.tolist()], [*cuts.tolist(), len(positions)], strict=True)


def _merged(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for start, stop in sorted(ranges):
        if start >= stop:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


def _within(ranges: list[Range], start: int, stop: int) -> list[Range]:
    """Return the parts of ascending ranges that lie between two positions."""
    found: list[Range] = []
    number = max(0, bisect_right(ranges, (start, start)) - 1)
    while number < len(ranges) and ranges[number][0] < stop:
        first, last = ranges[number]
        if last > start:
            found.append((max(first, start), min(last, stop)))
        number += 1
    return found


def _without(ranges: list[Range], start: int, stop: int) -> list[Range]:
    """Return what lies between two positions and in none of the ascending ranges."""
    gaps: list[Range] = []
    for first, last in _within(ranges, start, stop):
        if first > start:
            gaps.append((start, first))
        start = last
    return [*gaps, (start, stop)] if start < stop else gaps
