"""Reading SQLite's write-ahead log as a file: is it whole, and which pages does it hold?

SQLite stops reading its log at the first frame with a wrong checksum, without a word: that is how it forgets a commit
that a crash cut off. A bit that flipped in the middle looks the same to it, and makes it forget everything after. So
the log is looked at first. Frames of the present log carry its two salts; what is left of an earlier one does not.

Source: "WAL Format" in SQLite's file format document (https://www.sqlite.org/fileformat2.html#walformat).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

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
