"""Getting records out of a journal that SQLite cannot read any more, page by page.

Theory of operation. A row lies on a leaf page of its table, with the rest of a large one on a chain of overflow pages.
Neither the table's root nor its inner pages are needed to find it: every page that looks like a leaf is searched. First
the pages of the database, then what each commit in the log put in their place. A record found so is believed if its own
checksum is right, whatever the page looks like. What counts is the union: a page that was damaged later was whole once.

Source: "B-tree Pages" and "Cell Payload Overflow Pages" in https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

import attrs

from besmart_async.batching.journal.records import MAGIC, DamagedRecordError, Record, decode
from besmart_async.batching.journal.wal import Log

_LEAF = 0x0D
_FILE_HEADER_BYTES = 100
_LARGEST = 1 << 30


@attrs.frozen
class Salvage:
    """What was found in a damaged journal.

    Attributes:
        records: whole records whose readings may not have had their outcome, in order of acceptance.
        lost: readings known to be missing among them.
        unreadable: pieces of records that could not be read; what the last ones held is not known.
    """

    records: list[Record]
    lost: int
    unreadable: int

    @property
    def readings(self) -> int:
        """How many readings were found."""
        return sum(record.readings for record in self.records)


def salvage(database: bytes, log: Log | None) -> Salvage:
    """Find what can still be read."""
    page_bytes = log.page_bytes if log is not None else _page_bytes(database)
    found: list[Record] = []
    unreadable: set[bytes] = set()
    for body in _bodies(database, log, page_bytes):
        try:
            found.append(decode(body))
        except DamagedRecordError:
            unreadable.add(body[:64])
    return _in_order(found, len(unreadable))


def holds_records(content: bytes) -> bool:
    """Tell whether these bytes come from a journal of ours."""
    return MAGIC in content


def _in_order(found: list[Record], unreadable: int) -> Salvage:
    done = max((record.done for record in found), default=0)
    records: list[Record] = []
    # Of records that overlap, those written later hold: they cover more, with less in them.
    for record in sorted({(r.start, r.stop): r for r in found}.values(), key=lambda r: (r.start, -r.stop)):
        if record.stop > done and (not records or record.start >= records[-1].stop):
            records.append(record)
    lost, position = 0, done
    for record in records:
        lost += max(0, record.start - position)
        position = record.stop
    return Salvage([record for record in records if record.entries], lost, unreadable)


def _bodies(database: bytes, log: Log | None, page_bytes: int) -> Iterator[bytes]:
    pages = {
        number + 1: database[number * page_bytes : (number + 1) * page_bytes]
        for number in range(-(-len(database) // page_bytes))
    }
    yield from _on_leaves(pages, pages, page_bytes)
    changed: set[int] = set()
    for frame in log.frames if log is not None else ():
        pages[frame.page_number] = frame.page
        changed.add(frame.page_number)
        if frame.commit:
            yield from _on_leaves(changed, pages, page_bytes)
            changed.clear()
    yield from _on_leaves(changed, pages, page_bytes)


def _on_leaves(numbers: Iterable[int], pages: Mapping[int, bytes], page_bytes: int) -> Iterator[bytes]:
    for number in sorted(numbers):
        page = pages[number]
        at = _FILE_HEADER_BYTES if number == 1 else 0
        if len(page) < page_bytes or page[at] != _LEAF:
            continue
        (cells,) = struct.unpack_from(">H", page, at + 3)
        for cell in range(min(cells, (page_bytes - at - 8) // 2)):
            (offset,) = struct.unpack_from(">H", page, at + 8 + 2 * cell)
            payload = _payload(page, offset, pages, page_bytes)
            start = payload.find(MAGIC[:4])
            if start >= 0:
                yield payload[start:]


def _payload(page: bytes, offset: int, pages: Mapping[int, bytes], page_bytes: int) -> bytes:
    """Return what a cell of a leaf holds, as much of it as can be found."""
    size, offset = _varint(page, offset)
    _, offset = _varint(page, offset)
    if size > _LARGEST:
        return b""
    most = page_bytes - 35
    if size <= most:
        return page[offset : offset + size]
    least = (page_bytes - 12) * 32 // 255 - 23
    here = least + (size - least) % (page_bytes - 4)
    here = here if here <= most else least
    parts = [page[offset : offset + here]]
    following, left = _page_number(page, offset + here), size - here
    while left > 0 and (overflow := pages.get(following)) is not None and len(parts) <= len(pages):
        parts.append(overflow[4 : 4 + min(left, page_bytes - 4)])
        left -= page_bytes - 4
        following = _page_number(overflow, 0)
    return b"".join(parts)


def _varint(page: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for place in range(9):
        if offset >= len(page):
            return 0, offset
        byte = page[offset]
        offset += 1
        if place == 8:
            return (value << 8) | byte, offset
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            break
    return value, offset


def _page_number(page: bytes, offset: int) -> int:
    return int.from_bytes(page[offset : offset + 4], "big") if offset + 4 <= len(page) else 0


def _page_bytes(database: bytes) -> int:
    size = int.from_bytes(database[16:18], "big")
    return size if size in {1 << n for n in range(9, 16)} else 4096
