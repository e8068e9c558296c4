"""What one commit of the journal holds, as bytes: a header, a description as JSON, and the columns as they are.

Positions count all readings that were ever put into the journal: a record covers those from `start` up to `stop`, and
says in `done` that everything before that position has had its outcome. So a gap between two records tells how many
readings are missing. A checksum covers all of it; no record is believed without.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import orjson
from numpy.typing import NDArray

from besmart_async.batching.write.validation import PlainReading, Reading
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData

MAGIC = b"BSMJ\x01"
"""Begins every record; the last byte is the version of the format."""

Entry = Reading | SignalData
"""One write, as it is read back."""
Write = PlainReading | Entry
"""One write, as it is put down."""

_HEADER = struct.Struct("<5sIQQQI")
_CHECKED_FROM = 9
_DTYPES = {"i": np.dtype("<i8"), "f": np.dtype("<f8"), "b": np.dtype("?")}


class DamagedRecordError(ValueError):
    """These bytes are no whole record."""


@attrs.frozen
class Record:
    """A commit as it was written.

    Attributes:
        start: position of its first reading.
        stop: position after its last; the difference may be more than it still holds, where others had their outcome.
        done: everything before this position has had its outcome.
        entries: the writes in it, in order of acceptance.
    """

    start: int
    stop: int
    done: int
    entries: list[Entry]

    @property
    def readings(self) -> int:
        """How many readings it holds."""
        return count(self.entries)


def count(entries: Sequence[Write]) -> int:
    """Count the readings of some writes."""
    return len(entries) + sum([len(entry) - 1 for entry in entries if isinstance(entry, SignalData)])


def encode(entries: Sequence[Write], start: int, stop: int, done: int) -> bytes:
    """Return a record."""
    buffers: list[bytes] = []
    described = [
        [(key := entry[0]).client_cid, key.sensor_mid, key.signal_type_moid, *entry[1:]]
        if isinstance(entry, tuple)
        else [*_ids(entry.key), entry.time, entry.value, entry.type, entry.origin, entry.unit]
        if isinstance(entry, Reading)
        else _described(entry, buffers)
        for entry in entries
    ]
    head = orjson.dumps(described)
    body = b"".join([_HEADER.pack(MAGIC, 0, start, stop, done, len(head))[_CHECKED_FROM:], head, *buffers])
    return MAGIC + zlib.crc32(body).to_bytes(4, "little") + body


def decode(body: bytes) -> Record:
    """Read a record.

    Raises:
        DamagedRecordError: it is cut off, or one of its bits has changed.
    """
    if len(body) < _HEADER.size:
        raise DamagedRecordError("cut off")
    magic, checksum, start, stop, done, head_bytes = _HEADER.unpack_from(body)
    if magic != MAGIC:
        raise DamagedRecordError("no record of this version")
    if zlib.crc32(memoryview(body)[_CHECKED_FROM:]) != checksum:
        raise DamagedRecordError("the checksum is wrong")
    offset = _HEADER.size + head_bytes
    entries: list[Entry] = []
    for described in orjson.loads(memoryview(body)[_HEADER.size : offset]):
        if isinstance(described, list):
            entries.append(Reading(SignalKey(*described[:3]), *described[3:]))
        else:
            entry, offset = _columns(described, body, offset)
            entries.append(entry)
    return Record(start, stop, done, entries)


def _ids(key: SignalKey) -> tuple[int, int, int]:
    return key.client_cid, key.sensor_mid, key.signal_type_moid


def _described(data: SignalData, buffers: list[bytes]) -> dict[str, Any]:
    columns = {"time": data.time, "value": data.value, "type": data.type, "origin": data.origin}
    described: dict[str, Any] = {"key": _ids(data.key), "rows": len(data), "unit": data.unit}
    for name, column in columns.items():
        if not isinstance(column, np.ndarray):
            described[name] = {"all": column}
        elif column.dtype == object:
            described[name] = {"each": column.tolist()}
        else:
            described[name] = {"as": column.dtype.kind}
            buffers.append(column.astype(_DTYPES[column.dtype.kind], copy=False).tobytes())
    return described


def _columns(described: dict[str, Any], body: bytes, offset: int) -> tuple[SignalData, int]:
    rows = described["rows"]
    columns: dict[str, Any] = {}
    for name in ("time", "value", "type", "origin"):
        how = described[name]
        if "all" in how:
            columns[name] = how["all"]
        elif "each" in how:
            columns[name] = _objects(how["each"])
        else:
            dtype = _DTYPES[how["as"]]
            columns[name] = np.frombuffer(body, dtype, rows, offset).copy()
            offset += rows * dtype.itemsize
    data = SignalData.trusted(
        SignalKey(*described["key"]),
        columns["time"],
        columns["value"],
        columns["type"],
        columns["origin"],
        described["unit"],
    )
    return data, offset


def _objects(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), object)
    column[:] = values
    return column
