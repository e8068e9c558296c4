"""Dividing the meters of files between workers, so that no two of them send readings of one signal.

Each worker reads all files and sends its own meters. So the order of a signal's readings is that of the files, whatever
the files are and however they are cut; and no row is of two workers.
"""

from __future__ import annotations

from zlib import crc32

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import InvalidInputError
from besmart_async.ingest.columns import Coded
from besmart_async.ingest.meters import MeterTable
from besmart_async.models.keys import SensorKey


@attrs.define(eq=False)
class Share:
    """The meters of one worker.

    Attributes:
        number: which worker, from 0.
        of: how many workers there are.
        table: sensors of meters by name: names of one sensor go to one worker.
    """

    number: int
    of: int
    table: MeterTable = attrs.field(factory=dict)
    _names: list[str] = attrs.field(init=False, factory=list[str])
    _own: NDArray[np.bool_] = attrs.field(init=False, factory=lambda: np.empty(0, np.bool_))

    def other(self, number: int) -> Share:
        """The share of another worker."""
        return Share(number, self.of, self.table)

    def own(self, meters: Coded) -> NDArray[np.bool_]:
        """For each name of a column whether it is of this share, shape (len(meters.names),)."""
        if meters.names is not self._names:
            self._names, self._own = meters.names, np.empty(0, np.bool_)
        added = [self.owns(name) for name in meters.names[len(self._own) :]]
        if added:
            self._own = np.append(self._own, np.array(added, np.bool_))
        return self._own

    def owns(self, name: str) -> bool:
        """Whether a meter is of this share."""
        return crc32(self._sensor(name).encode()) % self.of == self.number

    def owns_row(self, row: int) -> bool:
        """Whether a row without a meter is."""
        return row % self.of == self.number

    def _sensor(self, name: str) -> str:
        meter = self.table.get(name)
        if meter is not None:
            return str(meter.sensor)
        try:
            return str(SensorKey.parse(name))
        except InvalidInputError:
            return name
