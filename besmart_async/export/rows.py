"""Readings as the columns of an exported row.

| column | what it holds |
|---|---|
| `client_cid`, `sensor_mid` | the sensor's ids; many programs would take `12.120` in one for a number |
| `signal_type_moid` | the signal type's id |
| `time` | UTC, ISO 8601 with `Z`; unix milliseconds where these are asked for |
| `unix_ms` | the same in unix milliseconds; only where both are asked for |
| `value` | the value; empty (null) for a reading that is marked as removed (type `RM`) |
| `unit` | the unit the service answered in |
| `type` | the type name, `DBL` for doubles |
| `origin` | 1 measured, 2 predicted, 3 calculated, 4 estimated, 5 corrected |

`besmart ingest` reads them back (it does not need `type` and `unix_ms`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from besmart_async.models.times import to_microseconds
from besmart_async.models.values import REMOVED

Times = Literal["iso", "ms", "both"]
"""How times are written."""

IDS = ("client_cid", "sensor_mid", "signal_type_moid")
"""The columns of a signal's key."""

BLOCK_ROWS = 50_000
"""Rows that become text at a time: few, so that other tasks run between two blocks."""


def header(times: Times) -> tuple[str, ...]:
    """Return the names of the columns."""
    both = ("unix_ms",) if times == "both" else ()
    return (*IDS, "time", *both, "value", "unit", "type", "origin")


@attrs.frozen(eq=False)
class RowBlock:
    """Some rows of one signal, as plain Python values; columns of one length.

    Attributes:
        key: the signal, the same in every row, like `unit`.
        iso: the times as texts; None if not requested.
        unix_ms: the times as numbers; None if not requested.
        value: any JSON value; None for null.
        type: type names; None if the answer has none.
        origin: origins; None if the answer has none.
    """

    key: SignalKey
    iso: list[str] | None
    unix_ms: list[int | float] | None
    value: list[Any]
    unit: str | None
    type: list[str | None]
    origin: list[int | None]

    def __len__(self) -> int:
        return len(self.value)

    @property
    def ids(self) -> tuple[int, int, int]:
        """The three ids of the signal."""
        return self.key.client_cid, self.key.sensor_mid, self.key.signal_type_moid

    @property
    def times(self) -> list[list[Any]]:
        """The one or two columns of times."""
        return [column for column in (self.iso, self.unix_ms) if column is not None]


def blocks(data: SignalData, times: Times, size: int = BLOCK_ROWS) -> Iterator[RowBlock]:
    """Split readings into blocks, sorted by time."""
    data = data.sorted()
    for start in range(0, len(data), size):
        part = data.take(slice(start, start + size))
        yield RowBlock(
            part.key,
            iso_times(part.time) if times != "ms" else None,
            part.time.tolist() if times != "iso" else None,
            values(part),
            part.unit,
            _spread(part.type, len(part)),
            _spread(part.origin, len(part)),
        )


def iso_times(time: NDArray[Any]) -> list[str]:
    """Return UTC unix milliseconds as ISO 8601 texts, with as many digits as the finest of them needs."""
    if time.dtype.kind == "f":
        moments, unit = to_microseconds(time).astype("datetime64[us]"), "us"
    else:
        moments, unit = time.astype("datetime64[ms]"), "ms" if (time % 1000).any() else "s"
    return [f"{text}Z" for text in np.datetime_as_string(moments, unit=unit).tolist()]  # type: ignore[call-overload]


def values(data: SignalData) -> list[Any]:
    """Return the values; None where the reading is marked as removed, since its value has no meaning."""
    found: list[Any] = data.value.tolist()
    if data.type is None or isinstance(data.type, str):
        return [None] * len(found) if data.type == REMOVED else found
    return [None if kind == REMOVED else value for kind, value in zip(data.type.tolist(), found, strict=True)]


def _spread(column: object, rows: int) -> list[Any]:
    return column.tolist() if isinstance(column, np.ndarray) else [column] * rows
