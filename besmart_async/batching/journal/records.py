"""The records of a journal as bytes: a header, what is known of the outcomes, a description as JSON, and the columns.

Every reading that was ever put into a journal has a position, counted from 0. A commit is one record: its readings have
the positions from `start` up to `stop`. What became of them is written later, in a record of the same positions without
entries. Each record also says which positions before it are done (`floor`, `since`). So a position that no record
accounts for is a reading that was lost. A checksum covers all of it; a record with a wrong checksum is not believed.
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

MAGIC = b"BSMJ"
"""Begins every record; the version of the format follows."""
VERSION = 2
VERSIONS = (1, VERSION)
OPEN, DONE, REFUSED = 0, 1, 2
"""Outcome of a reading: none yet; final; refused by the service, and nobody has been told yet."""

Entry = Reading | SignalData
"""One write, as it is read back."""
Write = PlainReading | Entry
"""One write, as it is put down."""

_HEADER = struct.Struct("<4sBIQQQQII")
_HEADER_1 = struct.Struct("<4sBIQQQI")
_CHECKED_FROM = 9
_DTYPES = {"i": np.dtype("<i8"), "f": np.dtype("<f8"), "b": np.dtype("?")}


class DamagedRecordError(ValueError):
    """These bytes are not a whole record, or a journal lacks one."""


@attrs.frozen(eq=False)
class Record:
    """A commit, or the outcomes of one, as it was written.

    Attributes:
        start: position of its first reading.
        stop: position after its last.
        floor: every reading before this position is done.
        since: every reading from this position up to `start` is done as well.
        entries: the writes, in order of acceptance, without the readings that `outcomes` says are done.
        outcomes: one byte for each position, as known when it was written; None: all `OPEN`.
    """

    start: int
    stop: int
    floor: int
    since: int
    entries: Sequence[Entry] = ()
    outcomes: bytes | None = attrs.field(default=None, repr=False)

    @property
    def readings(self) -> int:
        """How many readings it holds."""
        return count(self.entries)

    @property
    def positions(self) -> NDArray[np.int64]:
        """The position of each reading that it holds."""
        if self.outcomes is None:
            return np.arange(self.start, self.stop)
        return self.start + np.flatnonzero(np.frombuffer(self.outcomes, np.uint8) != DONE)

    def without(self, outcomes: bytes) -> list[Entry]:
        """Return the entries without the readings that are done by now."""
        kept = np.frombuffer(outcomes, np.uint8)[self.positions - self.start] != DONE
        entries: list[Entry] = []
        place = 0
        for entry in self.entries:
            mine = kept[place : place + len(entry)]
            place += len(entry)
            if mine.all():
                entries.append(entry)
            elif isinstance(entry, SignalData) and mine.any():
                entries.append(entry.take(mine))
        return entries


def count(entries: Sequence[Write]) -> int:
    """Count the readings of some writes."""
    return len(entries) + sum([len(entry) - 1 for entry in entries if isinstance(entry, SignalData)])


def encode(
    entries: Sequence[Write], start: int, stop: int, floor: int, since: int, outcomes: bytes | None = None
) -> bytes:
    """Return a record; the arguments are the attributes of `Record`."""
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
    packed = b"" if outcomes is None else zlib.compress(outcomes, 1)
    header = _HEADER.pack(MAGIC, VERSION, 0, start, stop, floor, since, len(packed), len(head))
    body = b"".join([header[_CHECKED_FROM:], packed, head, *buffers])
    return header[: _CHECKED_FROM - 4] + zlib.crc32(body, VERSION).to_bytes(4, "little") + body


def decode(body: bytes) -> Record:
    """Read a record, also one of the first version.

    Raises:
        DamagedRecordError: it is cut off, or one of its bits has changed.
    """
    if len(body) < _HEADER_1.size:
        raise DamagedRecordError("a record is cut off")
    magic, version, checksum = struct.unpack_from("<4sBI", body)
    if magic != MAGIC or version not in VERSIONS:
        raise DamagedRecordError("a record is of an unknown version")
    seed = 0 if version == 1 else version  # the checksum covers the version, too
    if zlib.crc32(memoryview(body)[_CHECKED_FROM:], seed) != checksum:
        raise DamagedRecordError("the checksum of a record is wrong")
    if version == 1:
        return _decoded_1(body)
    if len(body) < _HEADER.size:
        raise DamagedRecordError("a record is cut off")
    start, stop, floor, since, packed_bytes, head_bytes = _HEADER.unpack_from(body)[3:]
    offset = _HEADER.size + packed_bytes
    outcomes = zlib.decompress(memoryview(body)[_HEADER.size : offset]) if packed_bytes else None
    return Record(start, stop, floor, since, _entries(body, offset, head_bytes), outcomes)


def _decoded_1(body: bytes) -> Record:
    """Read a record of the first version, where it covers more positions than it holds readings if others were done."""
    start, stop, floor, head_bytes = _HEADER_1.unpack_from(body)[3:]
    entries = _entries(body, _HEADER_1.size, head_bytes)
    done = stop - start - count(entries)
    return Record(
        start, stop, floor, start, entries, bytes([DONE]) * done + bytes(stop - start - done) if done else None
    )


def _entries(body: bytes, offset: int, head_bytes: int) -> list[Entry]:
    entries: list[Entry] = []
    head = orjson.loads(memoryview(body)[offset : offset + head_bytes])
    offset += head_bytes
    for described in head:
        if isinstance(described, list):
            entries.append(Reading(SignalKey(*described[:3]), *described[3:]))
        else:
            entry, offset = _columns(described, body, offset)
            entries.append(entry)
    return entries


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
