"""The table in a sample: its delimiter, its header, its rows, and lines that are not rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import attrs

from besmart_async.ingest.mapping.signals import unit_of
from besmart_async.ingest.sources.header import DELIMITERS, cells
from besmart_async.ingest.sources.layout import clock_times, counted, plain_cell
from besmart_async.ingest.suggest.cells import is_number, is_time
from besmart_async.ingest.suggest.sample import Sample

_JUDGED = 2_000
"""Lines by which the delimiter is chosen."""
_MOST_HEADERS = 3
_MOMENT = re.compile(r"[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}[T ]+[0-9]{1,2}:[0-9]{2}.*")


@attrs.frozen
class FoundTable:
    """A table.

    Attributes:
        delimiter: the delimiter; None for Parquet and sheets.
        header: the rows of its header, counted from 1; empty if it has none.
        titles: the titles of its columns, or their numbers.
        rows: the cells of its rows.
        numbers: the number of each row in the file.
        above: cells of the lines above the header.
        odd: (number, text) of lines below the header that are not rows.
    """

    delimiter: str | None
    header: tuple[int, ...]
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...]
    above: tuple[tuple[str, ...], ...] = ()
    odd: tuple[tuple[int, str], ...] = ()

    def column(self, index: int) -> list[str]:
        """The texts of a column."""
        return [row[index] if index < len(row) else "" for row in self.rows]


def table_of(sample: Sample) -> FoundTable | None:
    """Return the table in a sample; None if no lines look like readings."""
    if sample.kind == "parquet":
        rows = tuple(zip(*sample.columns, strict=True))
        return FoundTable(None, (1,), sample.titles, rows, tuple(range(1, len(rows) + 1))) if rows else None
    marks = "," if sample.kind == "excel" else DELIMITERS
    best: tuple[tuple[int, int], str] | None = None
    for mark in marks:
        rows_of = [_split(line, mark) for line in sample.lines[:_JUDGED]]
        good = [len(row) for row in rows_of if _is_row(row)]
        if not good:
            good = [len(row) for row in _below_moments(rows_of)]
        score = (len(good), max(good, default=0))
        if good and (best is None or score > best[0]):
            best = score, mark
    return None if best is None else _table(sample, best[1])


def _split(line: str, mark: str) -> list[str]:
    try:
        return [plain_cell(cell.strip()) for cell in cells(line, mark)]
    except ValueError:
        return line.split(mark)


def _is_row(row: Sequence[str]) -> bool:
    """Whether one cell is a date and another one a number, or empty."""
    times = [index for index, cell in enumerate(row) if is_time(cell)]
    return bool(times) and any(is_number(cell) for index, cell in enumerate(row) if index not in times)


def _below_moments(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The rows below a header whose titles are dates with times."""
    for number, row in enumerate(rows):
        if sum(_MOMENT.fullmatch(cell) is not None for cell in row) > 1:
            return [after for after in rows[number + 1 :] if len(after) == len(row)]
    return []


def _table(sample: Sample, mark: str) -> FoundTable:
    split = [_split(line, mark) for line in sample.lines]
    flags = [_is_row(row) for row in split]
    if not any(flags):
        inside = {id(row) for row in _below_moments(split)}
        flags = [id(row) in inside for row in split]
    width = Counter(len(row) for row, good in zip(split, flags, strict=True) if good).most_common(1)[0][0]
    flags = [good and abs(len(row) - width) <= max(4, width // 24) for row, good in zip(split, flags, strict=True)]
    first = flags.index(True)
    header = _header(split, first, width)
    titles = _titles([split[row - 1] for row in header]) or [str(number + 1) for number in range(width)]
    start = header[-1] if header else first
    repeated = {sample.lines[row - 1].strip() for row in header}
    odd: list[tuple[int, str]] = []
    rows: list[tuple[str, ...]] = []
    numbers: list[int] = []
    for number in range(start, len(split)):
        text = sample.lines[number].strip()
        if flags[number] or _partly(split[number], width):
            rows.append(tuple(split[number]))
            numbers.append(number + 1)
        elif text.strip(f'{mark} "') and text not in repeated:
            odd.append((number + 1, text))
    above = tuple(tuple(row) for row in split[: (header[0] - 1 if header else first)])
    delimiter = None if sample.kind == "excel" else mark
    return FoundTable(delimiter, header, tuple(titles), tuple(rows), tuple(numbers), above, tuple(odd))


def _partly(row: Sequence[str], width: int) -> bool:
    """Whether a line is a row without its number: its date is there, and the width fits."""
    return len(row) == width and any(is_time(cell) for cell in row)


def _header(split: Sequence[Sequence[str]], first: int, width: int) -> tuple[int, ...]:
    """The rows of the header above the first row, counted from 1."""
    found: list[int] = []
    for number in range(first, 0, -1):
        row = [cell for cell in split[number - 1] if cell]
        if not row:
            if found:
                break
            continue
        fits = len(split[number - 1]) > 1 and abs(len(split[number - 1]) - width) <= max(4, width // 24)
        if not fits or len(found) == _MOST_HEADERS or not (found or _may_be_titles(split[number - 1])):
            break
        found.insert(0, number)
        if not _needs_more(split[found[0] - 1], width):
            break
    return tuple(found)


def _may_be_titles(row: Sequence[str]) -> bool:
    slots = [cell for cell in row if clock_times([cell]) or _MOMENT.fullmatch(cell) or counted([cell])]
    return len(slots) > 1 or not any(is_number(cell) and "." in cell for cell in row)


def _needs_more(titles: Sequence[str], width: int) -> bool:
    """Whether the row above says more: these are units, or the same few words again and again."""
    texts = [title for title in titles if title]
    if clock_times(texts[1:]) or len(texts) < 2:
        return False
    units = sum(unit_of(text.strip("[]()")) is not None for text in texts)
    return units * 2 > len(texts) or (len(texts) > 2 and len(set(texts)) * 2 <= len(texts))


def _titles(rows: Sequence[Sequence[str]]) -> list[str]:
    """The titles of several rows joined, as ingest joins them."""
    if len(rows) < 2:
        return [cell.strip() for row in rows for cell in row]
    filled: list[list[str]] = []
    for number, row in enumerate(rows):
        texts: list[str] = []
        for cell in row:
            texts.append(cell or (texts[-1] if texts and number < len(rows) - 1 else ""))
        filled.append(texts)
    width = max(map(len, filled))
    return [" | ".join(row[n] for row in filled if n < len(row) and row[n]) for n in range(width)]
