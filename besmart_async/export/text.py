"""CSV and JSON lines."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from itertools import repeat
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

import orjson

from besmart_async.export.rows import RowBlock, Times, blocks, header
from besmart_async.models.series import SignalData

if TYPE_CHECKING:
    from _csv import Writer


class _RowsTo:
    """Ends each row with a line feed. The writer itself ends it with both characters, and so quotes both in texts."""

    def __init__(self, text: TextIO) -> None:
        self._write = text.write

    def write(self, row: str) -> object:
        return self._write(row[:-2] + "\n")


def rows_to(text: TextIO, delimiter: str = ",") -> Writer:
    r"""Return a CSV writer whose rows end with a line feed; texts with one, or with `\r`, are quoted."""
    return csv.writer(_RowsTo(text), delimiter=delimiter, lineterminator="\r\n")


class CsvSink:
    """Comma-separated, UTF-8, with a header; texts are quoted where they must be.

    Numbers are written so that reading them gives the same double. Truth values are `true` and `false`, structures
    their JSON. With `escape_formulas` an apostrophe is put before texts that a spreadsheet would run.
    """

    def __init__(self, stream: BinaryIO, times: Times, *, escape_formulas: bool = False) -> None:
        self._times: Times = times
        self._cells = escaped if escape_formulas else list[Any]
        self._text = TextIOWrapper(stream, encoding="utf-8", newline="")
        self._writer = rows_to(self._text)
        self._writer.writerow(header(times))

    def write(self, data: SignalData) -> Iterator[int]:
        """Write readings block by block; yields the rows of each block."""
        for block in blocks(data, self._times):
            count = len(block)
            self._writer.writerows(
                zip(
                    *(repeat(part, count) for part in block.ids),
                    *block.times,
                    self._cells(_plain(block.value)),
                    repeat(self._cells([block.unit])[0], count),
                    self._cells(block.type),
                    block.origin,
                    strict=True,
                )
            )
            yield count

    def finish(self) -> None:
        """Write what is buffered, and detach from the stream."""
        self._text.flush()
        self._text.detach()


class JsonLinesSink:
    """One JSON object per reading and line, with the columns as names."""

    def __init__(self, stream: BinaryIO, times: Times) -> None:
        self._times: Times = times
        self._stream = stream

    def write(self, data: SignalData) -> Iterator[int]:
        """Write readings block by block; yields the rows of each block."""
        names = header(self._times)
        for block in blocks(data, self._times):
            self._stream.write(b"".join(_line(names, row) for row in _rows(block)))
            yield len(block)

    def finish(self) -> None:
        """Write what is buffered."""
        self._stream.flush()


def _line(names: tuple[str, ...], row: tuple[Any, ...]) -> bytes:
    return orjson.dumps(dict(zip(names, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE)


def _rows(block: RowBlock) -> Iterator[tuple[Any, ...]]:
    count = len(block)
    return zip(
        *(repeat(part, count) for part in block.ids),
        *block.times,
        block.value,
        repeat(block.unit, count),
        block.type,
        block.origin,
        strict=True,
    )


def _plain(values: list[Any]) -> list[Any]:
    """Return values for the CSV writer: it writes numbers exactly, and nothing for None."""
    if set(map(type, values)) <= {float, int, str, type(None)}:
        return values
    return [
        value if isinstance(value, str | None) or type(value) in (int, float) else orjson.dumps(value).decode()
        for value in values
    ]


def escaped(cells: Iterable[Any]) -> list[Any]:
    """Put an apostrophe before each text that a spreadsheet would run; texts that are numbers stay."""
    return [f"'{cell}" if isinstance(cell, str) and _is_formula(cell) else cell for cell in cells]


def _is_formula(text: str) -> bool:
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return False
    return text[0] not in "+-" or _NUMBER.fullmatch(text) is None


_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?")
