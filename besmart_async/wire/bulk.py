"""The body of a bulk write (`PUT /sensors/signals/data`) from columns that hold the readings of many signals.

Theory of operation. A body is joined from prepared pieces: the head of an item (its key), the texts of its times and
values, and its tail (types, origins, unit). Texts of numbers are made by orjson, of a whole column at once where items
are short, and then cut at the commas; of each item where items are long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.models.keys import SignalKey

_SHORT = 8
"""Items with fewer readings than this, on average, are cut out of one text."""
_FEW = 16
"""Below this many rows a list encodes faster than an array, whose set-up costs orjson some 450 ns."""

_MIDDLE = b',"value":'
_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def encode_bulk(
    keys: Sequence[SignalKey],
    times: Sequence[bytes],
    values: Sequence[bytes],
    tails: Sequence[bytes],
) -> bytes:
    """Join the body.

    Args:
        keys: the signal of each item.
        times: JSON list of the times of each item.
        values: JSON list of the values of each item.
        tails: what follows the values of each item, see `tail`.
    """
    count = len(keys)
    parts: list[bytes] = [_MIDDLE] * (5 * count)
    parts[0::5] = [
        b'{"client_cid":%d,"sensor_mid":%d,"signal_type_moid":%d,"data":{"time":'
        % (key.client_cid, key.sensor_mid, key.signal_type_moid)
        for key in keys
    ]
    parts[1::5] = times
    parts[3::5] = values
    parts[4::5] = tails
    parts[0] = b"[" + parts[0]
    parts[-1] = parts[-1][:-1] + b"]"  # no comma after the last item
    return b"".join(parts)


def lists(column: NDArray[Any], bounds: Sequence[int]) -> list[bytes]:
    """Return the JSON list of each item's part of a column: item i has the rows from bounds[i] up to bounds[i + 1]."""
    items, rows = len(bounds) - 1, len(column)
    if column.dtype == object or rows >= _SHORT * items:
        return [one_list(column[start:stop]) for start, stop in pairwise(bounds)]
    text = orjson.dumps(column, option=_NUMPY)[1:-1]
    if rows == items:
        return [b"[%b]" % one for one in text.split(b",")]
    commas = np.flatnonzero(np.frombuffer(text, np.uint8) == ord(","))
    ends = [*commas[np.asarray(bounds[1:-1], np.intp) - 1].tolist(), len(text)]
    starts = [0, *[end + 1 for end in ends[:-1]]]
    return [b"[%b]" % text[start:end] for start, end in zip(starts, ends, strict=True)]


def one_list(column: NDArray[Any]) -> bytes:
    """Return the JSON list of a column."""
    if len(column) < _FEW or column.dtype == object or not column.flags.c_contiguous:
        return orjson.dumps(column.tolist())
    return orjson.dumps(column, option=_NUMPY)


@lru_cache(maxsize=1024)
def tail(type_: str | None, origin: int | None, unit: str | None, rows: int) -> bytes:
    """Return what follows the values of an item whose type and origin are the same in all rows; None is left out."""
    types = None if type_ is None else _repeated(type_, rows)
    origins = None if origin is None else _repeated(origin, rows)
    return _joined(types, origins, unit)


def mixed_tail(types: Sequence[str | None] | None, origins: Sequence[int | None] | None, unit: str | None) -> bytes:
    """Return what follows the values of an item with a type and an origin for each row; None is left out."""
    return _joined(
        None if types is None else orjson.dumps(list(types)),
        None if origins is None else orjson.dumps(list(origins)),
        unit,
    )


def _repeated(value: str | int, rows: int) -> bytes:
    text = orjson.dumps(value)
    return b"[" + (text + b",") * (rows - 1) + text + b"]"


def _joined(types: bytes | None, origins: bytes | None, unit: str | None) -> bytes:
    return b"".join(
        (
            b"" if types is None else b',"type":' + types,
            b"" if origins is None else b',"origin":' + origins,
            b"}" if unit is None else b'},"unit":' + orjson.dumps(unit),
            b"},",
        )
    )
