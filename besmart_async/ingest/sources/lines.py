"""Which lines of a table are rows: not its footer, not a header again, not what the user leaves out."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.sources.base import SourceError
from besmart_async.ingest.sources.blocks import LONGEST_RECORD, TextBlock, emptied, odd_lines
from besmart_async.ingest.sources.columns import Column, as_numpy, pa, pc
from besmart_async.ingest.sources.header import Header, is_preamble
from besmart_async.ingest.sources.layout import plain_title

_MARKER_LENGTH = 3
_MOST_HITS = 100
"""A title that stands in very many rows is no sign of a header."""


class LineFilter:
    """Empties the lines of a table that are not rows: those that the user names, blank ones, and repeated headers.

    Args:
        name: the file's name.
        header: the file's header, and what the user said about the file.
        width: fields of a row, with those without a title at its end.
    """

    def __init__(self, name: str, header: Header, width: int) -> None:
        self._name = name
        self._header = header
        self._width = width
        self._form = header.form
        self._titles = {line.strip().encode() for line in header.lines}
        self._widths = {len(line.encode()) for line in header.lines} | {len(line.encode()) + 3 for line in header.lines}
        self._broken_titles = any(line.count('"') % 2 for line in header.lines)
        self._blank = b' \t\0\x1a"' + header.delimiter.encode()  # 1A is the end of a file of DOS
        self._may_begin_blank = np.zeros(256, np.bool_)
        self._may_begin_blank[np.frombuffer(self._blank.replace(b'"', b""), np.uint8)] = True
        begins = "".join(f"{title.strip() or header.delimiter}"[0] for title in header.titles)
        self._may_begin_header = np.zeros(256, np.bool_)  # looked up first: searching a block for a word takes longer
        for character in f'"{begins.upper()}{begins.lower()}\ufeff':
            self._may_begin_header[character.encode()[0]] = True
        self._footer_row: int | None = None
        self._unannounced: int | None = None
        roles = [title for index in header.layout.positions.values() if (title := header.titles[index].strip())]
        longest = max(roles, key=len, default="")
        self._roles = set(map(plain_title, roles))
        self._marker = longest.encode() if len(longest) >= _MARKER_LENGTH and header.lines else b""
        self._values = {plain_title(column.title) for column in header.layout.series}
        if len(self._roles) + len(self._values) < 2:
            self._marker = b""

    def rows(self, blocks: Iterator[TextBlock]) -> Iterator[TextBlock]:
        """Yield the blocks with these lines empty; they keep their numbers.

        Raises:
            SourceError: the file holds several tables, so that it is not certain whose the rows are.
        """
        if isinstance(self._form.footer, int):
            blocks = _without_last_lines(blocks, self._form.footer)
        for block in blocks:
            skipped = self._matching(block, self._form.skip)
            left_out = self._repeated(block, skipped) | skipped
            if isinstance(self._form.footer, str):
                left_out |= self._from_footer(block)
            if self._unannounced is not None:
                raise SourceError(
                    self._name,
                    f"row {self._unannounced} is the header again, and the rows do not name their meter: if those below"
                    " are of the same meter, name this line with file.skip; else cut the file",
                )
            yield emptied(block, left_out) if left_out else block

    def _quoted(self, block: TextBlock, starts: NDArray[np.int64]) -> list[int]:
        """The lines within a quoted field of a record that spans several lines."""
        odd = odd_lines(block.text).tolist() if b'"' in block.text else []
        found: list[int] = []
        place = 0
        while place + 1 < len(odd):
            first, last = odd[place], odd[place + 1]
            place += 1
            if last - first >= LONGEST_RECORD:
                continue
            lines = block.text[starts[first] : block.ends[last] + 1].decode().split("\n")
            with contextlib.suppress(csv.Error):
                records = list(
                    csv.reader([f"{line}\n" for line in lines[:-1]], delimiter=self._header.delimiter, strict=True)
                )
                if [len(record) for record in records] == [self._width]:
                    found += range(first + 1, last + 1)
                    place += 1
        return found

    def _repeated(self, block: TextBlock, skipped: set[int]) -> set[int]:
        """The lines that are a header again, or have no text but delimiters."""
        starts = np.append(0, block.ends[:-1] + 1) if block.lines else block.ends
        first = np.frombuffer(block.text, np.uint8)[starts]
        candidate = self._may_begin_blank[first]
        lengths = block.ends - starts
        of_titles = np.zeros(block.lines, np.bool_)
        for width in self._widths:
            of_titles |= lengths == width
        candidate |= of_titles
        if not self._broken_titles:
            of_titles[:] = False
        within = self._quoted(block, starts)
        candidate[within] = of_titles[within]
        found: set[int] = set()
        for line in np.flatnonzero(candidate).tolist():
            text = block.text[starts[line] : block.ends[line]]
            if not text.strip(self._blank):
                found.add(line)
            elif text.removeprefix(_MARK).strip() in self._titles:
                self._check_again(block.first_row + line)
                if not self._is_announced(block, line, found, skipped):
                    self._unannounced = self._unannounced or block.first_row + line
                found.add(line)
        if self._form.preamble:
            self._check_preamble(block)
        if self._marker and self._may_begin_header[first].any():
            self._check_other_header(block, found)
        return found

    def _check_other_header(self, block: TextBlock, known: set[int]) -> None:
        """Refuse a header with other columns, or in another order: the rows below it would be taken for others."""
        place, hits = block.text.find(self._marker), 0
        while place >= 0 and hits < _MOST_HITS:
            line = int(np.searchsorted(block.ends, place))
            start = int(block.ends[line - 1]) + 1 if line else 0
            text = block.text[start : block.ends[line]].decode()
            titles = set(map(plain_title, text.split(self._header.delimiter)))
            if line not in known and self._roles <= titles and (not self._values or self._values & titles):
                raise SourceError(
                    self._name,
                    f"row {block.first_row + line}, {text[:60]!r}, is a header with other columns: the file holds"
                    " several tables; cut it into one file for each",
                )
            place, hits = block.text.find(self._marker, int(block.ends[line])), hits + 1

    def _is_announced(self, block: TextBlock, line: int, known: set[int], skipped: set[int]) -> bool:
        """Whether the user named a header that comes again, or the line above it; or the rows name their meter.

        Raises:
            SourceError: a text above it may be about another meter.
        """
        if "meter" not in self._header.layout.said or line in skipped:
            return True
        lines = block.text.split(b"\n", line)[:line]
        above = [place for place in range(line) if lines[place].strip() and place not in known - skipped]
        if not above or above[-1] in skipped:
            return bool(above)
        text = lines[above[-1]].decode()
        if len(text.split(self._header.delimiter)) < self._header.layout.width:
            raise SourceError(
                self._name,
                f"row {block.first_row + line} is the header again, below row {block.first_row + above[-1]},"
                f" {text[:60]!r}: if the rows below are of the same meter, name such lines with file.skip;"
                " else cut the file",
            )
        return False

    def _check_again(self, row: int) -> None:
        if self._footer_row is not None:
            raise SourceError(
                self._name,
                f"row {row} is the header again, after file.footer = {self._form.footer!r} in row {self._footer_row}:"
                " the file holds several tables; name the lines between them with file.skip instead",
            )

    def _check_preamble(self, block: TextBlock) -> None:
        places = self._form.preamble.values()
        labels = [place.label or "" if place.pattern is None else place.pattern.start for place in places]
        for label in filter(None, labels):
            for line in sorted(self._matching(block, [rf"(?i){_escaped(label.strip())}"])):
                text = block.text.split(b"\n", line + 1)[line].decode()
                if is_preamble(text, self._header.delimiter, self._form):
                    row = block.first_row + line
                    problem = f"row {row}, {text[:60]!r}, is about the whole file like a row above the header: the file"
                    raise SourceError(self._name, f"{problem} holds several tables; cut it into one file for each")

    def _matching(self, block: TextBlock, patterns: Sequence[str]) -> set[int]:
        """The lines that match one of the regular expressions; lines in another encoding as far as they can be read."""
        found: set[int] = set()
        if not patterns or not block.lines:
            return found
        lines = _lines(block)
        broken = list(block.broken)
        unread = pa.array([text.decode(errors="replace") for text in block.broken.values()], pa.string())
        for pattern in patterns:
            found |= set(np.flatnonzero(as_numpy(pc.match_substring_regex(lines, pattern))).tolist())
            for place in np.flatnonzero(as_numpy(pc.match_substring_regex(unread, pattern))).tolist():
                found.add(broken[place] - block.first_row)
        return found

    def _from_footer(self, block: TextBlock) -> set[int]:
        if self._footer_row is None:
            found = self._matching(block, [str(self._form.footer)])
            if not found:
                return set()
            self._footer_row = block.first_row + min(found)
            starts = np.append(0, block.ends[:-1] + 1)
            for line in range(min(found), block.lines):
                if block.text[starts[line] : block.ends[line]].strip() in self._titles:
                    self._check_again(block.first_row + line)
        return set(range(max(0, self._footer_row - block.first_row), block.lines))


_MARK = "\ufeff".encode()


def _escaped(text: str) -> str:
    return "".join(f"\\{one}" if one in r"\.+*?()[]{}|^$" else one for one in text)


def _lines(block: TextBlock) -> Column:
    """The lines of a block as an arrow array of texts."""
    offsets = np.append(0, block.ends + 1).astype(np.int32)
    whole = pa.StringArray.from_buffers(block.lines, pa.py_buffer(offsets), pa.py_buffer(block.text))
    return pc.ascii_rtrim(whole, "\n")


def _without_last_lines(blocks: Iterator[TextBlock], count: int) -> Iterator[TextBlock]:
    """Empty the last lines that are not blank. As many lines are held back until more follow."""
    held: TextBlock | None = None
    for block in blocks:
        if held is not None and sum(bool(line.strip()) for line in block.text.split(b"\n")) < count:
            held = TextBlock(held.first_row, held.text + block.text, held.broken | block.broken)
            continue
        if held is not None:
            yield held
        held = block
    if held is not None:
        lines = held.text.split(b"\n")
        texts = [place for place, line in enumerate(lines) if line.strip() or held.first_row + place in held.broken]
        yield emptied(held, texts[len(texts) - count :] if count < len(texts) else texts)
