"""Reading SQLite's write-ahead log as a file: is it whole, and which pages does it hold?

SQLite stops reading its log at the first frame with a wrong checksum, without a word: that is how it forgets a commit
that a crash cut off. A bit that flipped in the middle looks the same to it, and makes it forget everything after. So
the log is looked at first. Frames of the present log carry its two salts; what is left of an earlier one does not.

Source: "WAL Format" in SQLite's file format document (https://www.sqlite.org/fileformat2.html#walformat).

Getting records out of a journal that SQLite cannot read any more, page by page.

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

from besmart_async.batching.journal.records import MAGIC, VERSIONS, DamagedRecordError, Record, decode
from besmart_async.batching.journal.recovery import Remainder, survey

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_MAGIC = (0x377F0682, 0x377F0683)
_WORD = 0xFFFFFFFF


@attrs.frozen
class Frame:
    """One page as the log holds it. `commit`: the last one of a commit."""

    page_number: int
    commit: bool
    page: bytes = attrs.field(repr=False)


@attrs.frozen
class Log:
    """A write-ahead log.

    Attributes:
        page_bytes: size of a page.
        frames: the frames of the present log, sound or not, in the order in which they were written.
        sound: how many of them, from the first, SQLite would read.
        header_sound: whether the header's checksum is right; if not, SQLite reads none of it.
        resalted: a frame has the right checksum, which goes on from the frame before, and other salts: they changed.
    """

    page_bytes: int
    frames: list[Frame]
    sound: int
    header_sound: bool
    resalted: bool

    @property
    def damaged(self) -> bool:
        """Whether more is wrong than a last frame that was being written when the process died."""
        if not self.header_sound:
            return bool(self.frames)
        return self.resalted or len(self.frames) > self.sound + 1

    @property
    def torn(self) -> bool:
        """Whether the last frame, and nothing but that, is not whole."""
        return not self.damaged and len(self.frames) > self.sound


def read_log(content: bytes) -> Log | None:
    """Read a write-ahead log; None: there is none, or too little of it to hold anything."""
    if len(content) < _HEADER_BYTES + _FRAME_HEADER_BYTES:
        return None
    magic, _, page_bytes, _ = struct.unpack_from(">IIII", content)
    order = ">" if magic & 1 else "<"
    checksum = _checksum(order, content[: _HEADER_BYTES - 8], (0, 0))
    header_sound = magic in _MAGIC and checksum == struct.unpack_from(">II", content, _HEADER_BYTES - 8)
    if not header_sound:
        page_bytes = page_bytes if page_bytes in {1 << n for n in range(9, 17)} else 4096
    salts = content[16:24] if header_sound else content[_HEADER_BYTES + 8 : _HEADER_BYTES + 16]
    frames: list[Frame] = []
    sound = last = 0
    intact = header_sound
    resalted = False
    for number, (head, page) in enumerate(_pieces(content, page_bytes)):
        page_number, size = struct.unpack_from(">II", head)
        if intact:
            checksum = _checksum(order, head[:8] + page, checksum)
            right = checksum == struct.unpack_from(">II", head, 16)
            intact = right and head[8:16] == salts
            resalted = right and not intact
            sound += intact
        if head[8:16] == salts or (resalted and number == sound):
            last = number + 1
        frames.append(Frame(page_number, size > 0, page))
    return Log(page_bytes, frames[:last], sound, header_sound, resalted)


def _pieces(content: bytes, page_bytes: int) -> Iterator[tuple[bytes, bytes]]:
    step = _FRAME_HEADER_BYTES + page_bytes
    for start in range(_HEADER_BYTES, len(content) - step + 1, step):
        yield content[start : start + _FRAME_HEADER_BYTES], content[start + _FRAME_HEADER_BYTES : start + step]


def _checksum(order: str, content: bytes, seed: tuple[int, int]) -> tuple[int, int]:
    first, second = seed
    words = iter(struct.unpack(f"{order}{len(content) // 4}I", content))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & _WORD
        second = (second + odd + first) & _WORD
    return first, second


_LEAF = 0x0D
_FILE_HEADER_BYTES = 100
_LARGEST = 1 << 30


@attrs.frozen
class Salvage:
    """What was found in a damaged journal.

    Attributes:
        left: records with readings to deliver, in order of acceptance.
        top: the position after the last reading that is known.
        lost: readings known to be missing among them.
        unreadable: pieces of records that could not be read; what the last ones held is not known.
    """

    left: list[Remainder]
    top: int
    lost: int
    unreadable: int

    @property
    def readings(self) -> int:
        """How many readings without an outcome were found."""
        return sum(remainder.readings for remainder in self.left)


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
    surveyed = survey(found)
    return Salvage(surveyed.left, surveyed.top, sum(stop - start for start, stop in surveyed.missing), len(unreadable))


def holds_records(content: bytes) -> bool:
    """Tell whether these bytes come from a journal of ours."""
    return any(MAGIC + bytes([version]) in content for version in VERSIONS)


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
            start = payload.find(MAGIC)
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
