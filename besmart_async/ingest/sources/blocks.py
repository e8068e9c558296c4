"""Text of any encoding and line ending, cut into blocks of whole UTF-8 lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Generator, Iterable, Iterator
from functools import cached_property
from itertools import chain
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.sources.base import SourceError

BLOCK_BYTES: Final = 2 << 20
"""Text parsed at a time: about 50,000 rows of a long file."""
LONGEST_LINE: Final = 16 << 20
"""Bytes without a line ending after which a file is not taken for a table: a year of minutes in one row has 5 MB."""
LONGEST_RECORD: Final = 20
"""Lines that one quoted record may span."""
QUOTED_BYTES: Final = 32 << 10
"""Text of a block in which quotes are left open: its records are read one by one, and many may be rejects."""
MOST_BLANK: Final = 64 << 20
"""Bytes of blank lines after which a file is given up: packed, they cost nothing to send and much to unpack."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 256
_BLANK = b"\0 \t,;|"
_PADDING = re.compile(rb"^\0+|(?<=[,;|\t\"\n])\0+|\0+(?=[,;|\t\"\n]|\Z)")
"""Zero bytes at the ends of fields, which loggers leave behind; within a field they are damage."""


@attrs.frozen
class TextBlock:
    r"""Some whole lines of a text.

    Attributes:
        first_row: number of the first line, counted from 1.
        text: the lines in UTF-8, each ended by `\n`, the last line of the file too.
        broken: the bytes of rows that are not valid UTF-8, or that have zero bytes within a field; in `text` these rows
            are empty.
    """

    first_row: int
    text: bytes
    broken: dict[int, bytes]

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """Indexes of the line endings; much faster than `count` and `find`."""
        return np.flatnonzero(np.frombuffer(self.text, np.uint8) == ord("\n"))

    @property
    def lines(self) -> int:
        """The number of lines."""
        return len(self.ends)


def blocks(
    pieces: Iterable[bytes], encoding: str, name: str, size: int = BLOCK_BYTES
) -> Generator[TextBlock, None, None]:
    """Cut a text into blocks of whole lines, at a line where no quote is open.

    Args:
        pieces: the bytes of the text.
        encoding: its encoding. Broken lines of UTF-8 are reported one by one; other encodings fail as a whole.
        name: the file's name in errors.
        size: approximate bytes of a block.

    Raises:
        SourceError: the text is not in that encoding, or `pieces` failed. All lines before are yielded first.
    """
    row = 1
    rest: list[bytes] = []
    length, enough = 0, size
    blank = 0
    failure: SourceError | None = None
    source, encoding = _recognized(iter(pieces), encoding)
    utf8 = _is_utf8(encoding)
    if not utf8:
        source = _decoded(source, encoding, name)
    end = False
    while not end:
        try:
            piece = next(source, None)
        except SourceError as error:
            piece, failure = None, error
        if piece is not None:
            rest.append(piece)
            length += len(piece)
            if length < enough:
                continue
        end = piece is None
        text = b"".join(rest)
        # A line feed after this carriage return may be in the next piece.
        held = b"\r" if text.endswith(b"\r") and not end else b""
        text = _one_line_end(text.removesuffix(held))
        if end and failure is None and text and not text.endswith(b"\n"):
            text += b"\n"
        cut = _cut(text, end=end)
        if cut > QUOTED_BYTES and row > 1 and text[:1].isspace() and text[:cut].isspace():  # blank lines only
            row += text.count(b"\n", 0, cut)
            blank += cut
        elif cut:
            row, blank = (yield from _blocks(row, text[:cut], utf8=utf8)), 0
        elif not text.strip(b"\0"):  # a file that was made longer than what was written to it
            blank += len(text)
            text = b""
        if blank > MOST_BLANK:
            raise SourceError(name, f"has {blank >> 20} MiB of blank lines above row {row}; this is not a table")
        rest = [text[cut:] + held]
        length = len(rest[0])
        if length > LONGEST_LINE:
            raise SourceError(
                name, f"row {row} does not end; this is no table: it is longer than {LONGEST_LINE:,} bytes"
            )
        # Joined again only when twice as long, so that a long line costs time in proportion to its length.
        enough = max(size, 2 * length)
    if failure is not None:
        raise failure


def _recognized(source: Iterator[bytes], encoding: str) -> tuple[Iterator[bytes], str]:
    """Return the pieces without the mark of UTF-8, and the encoding: what the first bytes show overrides UTF-8."""
    start = b""
    failure: SourceError | None = None
    try:
        while len(start) < _LOOKED_AT and (piece := next(source, b"")):
            start += piece
    except SourceError as error:  # raised again after what was read
        failure = error
    for mark, marked in _MARKS:
        if start.startswith(mark):
            encoding = marked
            break
    else:
        if _is_utf8(encoding) or encoding.casefold().replace("_", "-") in ("utf-16", "utf16"):
            encoding = _unmarked_utf16(start[:_LOOKED_AT]) or encoding
    while start.startswith(codecs.BOM_UTF8):  # files that were written one after the other have several
        start = start.removeprefix(codecs.BOM_UTF8)
    return chain(_pieces(start, failure), source), encoding


def _pieces(start: bytes, failure: SourceError | None) -> Iterator[bytes]:
    if start:
        yield start
    if failure is not None:
        raise failure


def _is_utf8(encoding: str) -> bool:
    return encoding.casefold().replace("_", "-").removesuffix("-sig") in ("utf-8", "utf8")


def _unmarked_utf16(start: bytes) -> str | None:
    """Return the encoding of UTF-16 text without a mark: every second byte of most characters is 0."""
    pairs = len(start) // 2
    if pairs < 2:
        return None
    first, second = start[: 2 * pairs : 2].count(0), start[1 : 2 * pairs : 2].count(0)
    if not first and second > pairs * 2 // 3:
        return "utf-16-le"
    return "utf-16-be" if not second and first > pairs * 2 // 3 else None


def _decoded(pieces: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for piece in pieces:
            yield decoder.decode(piece).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        at = f" (byte 0x{error.object[error.start]:02x})" if isinstance(error, UnicodeDecodeError) else ""
        raise SourceError(
            name, f"is not {encoding.upper()} text{at}; say its encoding, such as --encoding cp1250"
        ) from None


def _one_line_end(text: bytes) -> bytes:
    if b"\r" not in text:
        return text
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _cut(text: bytes, *, end: bool) -> int:
    """Return where to end the block: after the last line, but before a record that may continue in the next block."""
    cut = text.rfind(b"\n") + 1
    if end or text.find(b'"', 0, cut) < 0:
        return cut
    odd = odd_lines(text[:cut])
    if len(odd) % 2 == 0:
        return cut
    ends = np.flatnonzero(np.frombuffer(text[:cut], np.uint8) == ord("\n"))
    opened = int(odd[-1])
    if len(ends) - opened > LONGEST_RECORD or opened == 0:
        return cut
    return int(ends[opened - 1]) + 1


def _blocks(row: int, text: bytes, *, utf8: bool) -> Generator[TextBlock, None, int]:
    """Yield blocks of whole lines; return the number of the row below them."""
    for part in _parts(text):
        block = _block(row, part, utf8=utf8)
        row += block.lines
        yield block
    return row


def _parts(text: bytes) -> Iterator[bytes]:
    """Cut whole lines into small pieces if quotes are open in any of them, else leave them as they are."""
    if len(text) <= QUOTED_BYTES or b'"' not in text or not len(odd_lines(text)):
        yield text
        return
    start = 0
    while len(text) - start > QUOTED_BYTES:
        size = text.find(b"\n", start + QUOTED_BYTES) + 1 - start
        cut = _cut(text[start : start + size], end=False)
        yield text[start : start + cut]
        start += cut
    if start < len(text):
        yield text[start:]


def odd_lines(text: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the indexes of lines with an odd number of quotes; each line ends with a line feed."""
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    if not len(ends):
        return ends
    starts = np.append(0, ends[:-1] + 1)
    return np.flatnonzero(np.bitwise_xor.reduceat(characters == ord('"'), starts))


def _block(row: int, text: bytes, *, utf8: bool) -> TextBlock:
    broken: dict[int, bytes] = {}
    if b"\0" in text:
        text = _PADDING.sub(b"", text)
        lines = text.split(b"\n")
        broken = {row + place: line for place, line in enumerate(lines) if b"\0" in line.strip(_BLANK)}
        text = b"\n".join(b"" if row + place in broken else line for place, line in enumerate(lines))
    if not utf8 or text.isascii():
        return TextBlock(row, text, broken)
    try:
        text.decode()
    except UnicodeDecodeError:
        pass
    else:
        return TextBlock(row, text, broken)
    lines = text.split(b"\n")
    for place, line in enumerate(lines):
        try:
            line.decode()
        except UnicodeDecodeError:
            broken[row + place] = line
            lines[place] = b""
    return TextBlock(row, b"\n".join(lines), broken)


def emptied(block: TextBlock, lines: Iterable[int]) -> TextBlock:
    """Return a block in which these lines, counted from 0, are empty, and their bytes are not broken either."""
    texts = block.text.split(b"\n")
    broken = dict(block.broken)
    for line in lines:
        texts[line] = b""
        broken.pop(block.first_row + line, None)
    return TextBlock(block.first_row, b"\n".join(texts), broken)
