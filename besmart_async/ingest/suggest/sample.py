"""The first rows of a file as texts: lines of CSV and of sheets, or the columns of Parquet."""

from __future__ import annotations

from typing import Any

import attrs

from besmart_async.ingest.sources import CsvSource, ParquetSource, Source, SourceError
from besmart_async.ingest.sources.blocks import blocks
from besmart_async.ingest.sources.columns import pa
from besmart_async.ingest.sources.compression import opened, pieces
from besmart_async.ingest.sources.workbook import SheetSource

MOST_BYTES = 16 << 20
"""Text of a file that is looked at."""
MOST_ROWS = 50_000

_ENCODINGS = ("cp1252", "cp1250", "cp1251")
_LETTERS = {
    "cp1252": "äöüßÄÖÜéèêàâçñáíóúîôûëïãõåøæÅØÆ°³²",
    "cp1250": "ąćęłńóśźżĄĆĘŁŃÓŚŹŻčďěňřšťůžýČŘŠŽáíéúőűäöü°",
    "cp1251": "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЭЮЯ",
}


@attrs.frozen
class Sample:
    """What was read of a file.

    Attributes:
        kind: "csv", "excel" or "parquet".
        lines: the lines of text; empty for Parquet.
        titles: titles of the columns of Parquet.
        columns: the texts of the columns of Parquet.
        exact: indexes of columns of Parquet that are moments, with a time zone.
        naive: indexes of columns of Parquet that are times without one.
        encoding: the encoding that was guessed; None for Unicode.
        whole: all rows of the file are in the sample.
    """

    kind: str
    lines: tuple[str, ...] = ()
    titles: tuple[str, ...] = ()
    columns: tuple[tuple[str, ...], ...] = ()
    exact: frozenset[int] = frozenset()
    naive: frozenset[int] = frozenset()
    encoding: str | None = None
    whole: bool = True


def sample_of(source: Source) -> Sample | None:
    """Read the first rows of a source; None if its format says itself what its readings mean.

    Raises:
        SourceError: the file cannot be read.
    """
    if isinstance(source, ParquetSource):
        return _of_parquet(source)
    if isinstance(source, SheetSource):
        return Sample("excel", *_lines(source.text.split("\n")))
    return _of_text(source) if isinstance(source, CsvSource) else None


def _lines(lines: list[str]) -> tuple[tuple[str, ...]]:
    while lines and not lines[-1].strip():
        lines.pop()
    return (tuple(lines[:MOST_ROWS]),)


def _of_text(source: CsvSource) -> Sample:
    if source.path is None:
        raise SourceError(source.name, "cannot be read twice; save it to a file for --suggest")
    lines, broken, whole = _read(source, source.encoding)
    if not broken:
        return Sample("csv", tuple(lines), encoding=_said(source.encoding), whole=whole)
    encoding = _guessed(b"".join(broken))
    lines, _, whole = _read(source, encoding)
    return Sample("csv", tuple(lines), encoding=encoding, whole=whole)


def _said(encoding: str) -> str | None:
    return None if encoding.startswith("utf-8") else encoding


def _read(source: CsvSource, encoding: str) -> tuple[list[str], list[bytes], bool]:
    lines: list[str] = []
    broken: list[bytes] = []
    size, whole = 0, True
    with opened(source.path, source.name) as raw:
        for block in blocks(pieces(raw, source.path, source.name), encoding, source.name):
            lines += block.text.decode().split("\n")[:-1]
            broken += [text for text in block.broken.values() if b"\0" not in text]
            size += len(block.text)
            if size > MOST_BYTES or len(lines) > MOST_ROWS:
                whole = False
                break
    while lines and not lines[-1].strip():
        lines.pop()
    return lines, broken, whole


def _guessed(text: bytes) -> str:
    """The code page whose bytes above 127 are mostly letters of its languages."""
    high = bytes(byte for byte in text if byte > 127)

    def letters(encoding: str) -> int:
        return sum(character in _LETTERS[encoding] for character in high.decode(encoding, errors="replace"))

    return max(_ENCODINGS, key=letters)


def _of_parquet(source: ParquetSource) -> Sample:
    with source.opened() as file:
        schema = file.schema_arrow
        total = file.metadata.num_rows
        batch = next(file.iter_batches(min(MOST_ROWS, max(1, total)), use_threads=False), None)
    columns: list[tuple[str, ...]] = []
    exact: set[int] = set()
    naive: set[int] = set()
    for index, kind in enumerate(schema.types):
        if pa.types.is_timestamp(kind):
            (exact if kind.tz is not None else naive).add(index)
        columns.append(
            () if batch is None else tuple("" if text is None else text for text in _texts(batch.column(index)))
        )
    read = 0 if batch is None else batch.num_rows
    return Sample(
        "parquet", (), tuple(schema.names), tuple(columns), frozenset(exact), frozenset(naive), None, read == total
    )


def _texts(column: Any) -> list[str | None]:
    try:
        texts: list[str | None] = column.cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return [str(one) for one in column.to_pylist()]
    return texts
