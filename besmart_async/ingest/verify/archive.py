"""Delivered readings on disk, until they are read back and compared: memory does not grow with the files.

Readings are partitioned into temporary files by their signal. In the end these are sorted one after the other. So of
repeated readings (signal, time, origin) the last in the order of the sources is found, and repeats are counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.send.items import Items
from besmart_async.ingest.spill import Spill, SpillError
from besmart_async.models.keys import SignalKey

FILES = 64
"""Number of temporary files: one holds 5 MB of ten million readings, and 500 MB of a billion."""
IN_MEMORY = 50_000
"""Readings gathered before they are written: 2 MB."""
SAMPLE = 100
"""A sample is one in this many days of a signal."""

_ROW = np.dtype([("signal", "i4"), ("unit", "i4"), ("origin", "i8"), ("time", "f8"), ("value", "f8"), ("turn", "i8")])
_DAY_MS = 86_400_000
_SOURCE = 1 << 40
"""The most rows of a source: a turn is `source * _SOURCE + row`."""


@attrs.frozen(eq=False)
class Delivered:
    """The distinct delivered readings of one signal, with the last value of each.

    Attributes:
        key: the signal.
        time: UTC unix milliseconds, ascending within an origin, shape (n,).
        origin: shape (n,), ascending.
        value: doubles, shape (n,).
        unit: index into `units` of each value, shape (n,).
        units: unit symbols; None for no unit.
        repeats_equal: repeats with the same value as the reading before.
        repeats_conflicting: repeats with another value.
    """

    key: SignalKey
    time: NDArray[Any]
    origin: NDArray[np.int64]
    value: NDArray[np.float64]
    unit: NDArray[np.int64]
    units: tuple[str | None, ...]
    repeats_equal: int = 0
    repeats_conflicting: int = 0

    def __len__(self) -> int:
        return len(self.time)


class Archive:
    """Readings in a temporary folder; use it as a context manager, which removes the folder.

    Args:
        sample: keep a sample only.
        in_memory: readings gathered before they are written.

    Attributes:
        readings: the number of readings held.
        distinct: distinct readings that `signals` has found.
        repeats_equal: repeats with the same value that `signals` has found.
        repeats_conflicting: repeats with another value that `signals` has found.
    """

    def __init__(self, *, sample: bool = False, in_memory: int = IN_MEMORY) -> None:
        self.sample = sample
        self.readings = self.distinct = self.repeats_equal = self.repeats_conflicting = 0
        self._spill = Spill(in_memory, FILES, record=_ROW, by="signal", prefix="besmart-ingest-")
        self._failure: SpillError | None = None
        self._keys: dict[int, SignalKey] = {}
        self._units: dict[str | None, int] = {}
        self._first: tuple[int, int] | None = None

    def add(self, source: int, items: Items, arrived: NDArray[np.bool_] | None = None) -> None:
        """Keep the readings of a page.

        Args:
            source: index of their source: the last source wins.
            items: what was written.
            arrived: which of the readings were stored; None for all.
        """
        self._keys |= {target.number: target.key for target in items.targets}
        sizes = items.sizes
        rows = np.empty(len(items.rows), _ROW)
        units = np.array([self._units.setdefault(unit, len(self._units)) for unit in items.units])
        rows["signal"] = np.repeat(items.signals, sizes)
        rows["unit"] = np.repeat(units[items.unit], sizes)
        rows["origin"], rows["time"], rows["value"] = items.origin, items.time, items.value
        rows["turn"] = items.rows + source * _SOURCE
        if arrived is not None and not arrived.all():
            rows = rows[arrived]
        if self.sample:
            rows = rows[self._sampled(rows)]
        self.readings += len(rows)
        if self._failure is not None:
            return
        try:
            self._spill.add(rows)
        except SpillError as error:  # readings are delivered all the same: only comparing them has become impossible
            self._failure = error

    def signals(self) -> Iterator[Delivered]:
        """Yield what was delivered, signal by signal, in any order.

        Raises:
            SpillError: the temporary files could not hold all readings, or cannot be read.
        """
        if self._failure is not None:
            raise self._failure
        units = tuple(self._units)
        for part in self._spill.parts():
            rows = part[np.lexsort((part["turn"], part["time"], part["origin"], part["signal"]))]
            cuts = np.flatnonzero(np.diff(rows["signal"])) + 1
            for one in np.split(rows, cuts):
                if len(one):
                    found = _delivered(self._keys[int(one["signal"][0])], one, units)
                    self.distinct += len(found)
                    self.repeats_equal += found.repeats_equal
                    self.repeats_conflicting += found.repeats_conflicting
                    yield found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spill.__exit__(kind, error, trace)

    def _sampled(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Choose one in `SAMPLE` days of a signal, and the first day seen; repeats are chosen or left out together."""
        day = (rows["time"] // _DAY_MS).astype(np.int64)
        signal = rows["signal"].astype(np.int64)
        if self._first is None and len(rows):
            self._first = int(signal[0]), int(day[0])
        chosen: NDArray[np.bool_] = (signal * 7_919 + day * 104_729) % SAMPLE == 0  # neither has a factor of 2 or 5
        if self._first is not None:
            chosen |= (signal == self._first[0]) & (day == self._first[1])
        return chosen


def _delivered(key: SignalKey, rows: NDArray[Any], units: tuple[str | None, ...]) -> Delivered:
    time, origin, value, unit = rows["time"], rows["origin"], rows["value"], rows["unit"]
    last = np.append((time[1:] != time[:-1]) | (origin[1:] != origin[:-1]), True)
    same = np.append((value[1:] == value[:-1]) & (unit[1:] == unit[:-1]), False)
    whole = time.astype(np.int64)
    return Delivered(
        key,
        (whole if (whole == time).all() else time)[last],
        origin[last],
        value[last],
        unit[last].astype(np.int64),
        units,
        int((~last & same).sum()),
        int((~last & ~same).sum()),
    )
