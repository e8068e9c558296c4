"""Dividing files into parts for engines: row groups of Parquet, lines of CSV, whole files of everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from besmart_async.ingest.partition import FilePart, PartitionSettings
from besmart_async.ingest.sources import CsvSource, ParquetSource, SourceError, file_of, sources_of

PART_BYTES = 64 << 20
"""Bytes of a part: one to two million rows of CSV, some ten seconds of sending."""
_PIECE_BYTES = 4 << 20


def partitions_of(files: Iterable[str], settings: PartitionSettings, *, max_bytes: int = PART_BYTES) -> list[FilePart]:
    """Divide files into parts. Each row is in exactly one part, and keeps its number.

    A Parquet file is divided between row groups, a CSV file between lines; for that it is read once. A file stays whole
    if its rows depend on each other or cannot be told apart without reading all before: compressed, with quoted line
    breaks, in UTF-16, with a footer that is left out, or where local times are inferred from their order.

    Args:
        files: files, folders and patterns, as for `sources_of`; each worker must be able to open them by that name.
        settings: how they will be read.
        max_bytes: about the size of a part; a row group is never divided.

    Raises:
        SourceError: a file cannot be read, or is no file by itself (a sheet, a part of an archive).
        ValueError: `max_bytes` is less than 1.
    """
    if max_bytes < 1:
        raise ValueError(f"max_bytes={max_bytes}: give at least 1")
    found: list[FilePart] = []
    mapping = settings.mapping
    ordered = mapping.reading.dst == "infer"
    for source in sources_of(files, mapping.form):
        path = file_of(source)
        if path is None or not path.is_file() or len(sources_of([str(path)], mapping.form)) != 1:
            raise SourceError(source.name, "workers need a file of its own; unpack archives, save sheets as CSV")
        source.check()
        whole = FilePart(path=str(path))
        parts: list[FilePart] = []
        if isinstance(source, ParquetSource) and not ordered:
            parts = list(_row_groups(source, max_bytes))
        elif isinstance(source, CsvSource) and not ordered and mapping.form.footer is None:
            parts = list(_line_ranges(source, max_bytes))
        found += parts if len(parts) > 1 else [whole]
    return found


def _row_groups(source: ParquetSource, max_bytes: int) -> Iterator[FilePart]:
    first, first_row, row, start, stop = 0, 1, 1, None, 0
    groups = source.row_groups()
    for number, group in enumerate(groups):
        if start is not None and group.stop - start > max_bytes:
            yield FilePart(
                path=source.name, kind="row_groups", start=start, stop=stop, groups=(first, number), first_row=first_row
            )
            first, first_row, start = number, row, None
        start = group.start if start is None else start
        row, stop = row + group.rows, group.stop
    if start is not None:
        last = (first, len(groups))
        yield FilePart(path=source.name, kind="row_groups", start=start, stop=stop, groups=last, first_row=first_row)


def _line_ranges(source: CsvSource, max_bytes: int) -> Iterator[FilePart]:
    """Yield the parts; none if the file cannot be divided."""
    size = source.size_bytes or 0
    begin = source.divisible_from()
    if begin is None or size - begin.start <= max_bytes or source.path is None:
        return
    cuts: list[tuple[int, int]] = [(begin.start, begin.first_row)]  # (byte, row) where parts begin
    row, place = begin.first_row, begin.start
    quotes_open = False
    with source.path.open("rb") as file:
        file.seek(begin.start)
        while piece := file.read(_PIECE_BYTES):
            if piece.endswith(b"\r"):
                piece += file.read(1)
            text = np.frombuffer(piece, np.uint8)
            ends = np.flatnonzero(text == ord("\n"))
            if piece.count(b"\r") != piece.count(b"\r\n"):
                return  # a carriage return alone ends a line too: the numbers of rows would not be these
            quotes = np.flatnonzero(text == ord('"'))
            odd = (np.searchsorted(quotes, ends) + quotes_open) % 2
            if odd.any():
                return  # a record of several lines, or a quote that is never closed
            quotes_open = bool((len(quotes) + quotes_open) % 2)
            for index in np.flatnonzero(place + ends + 1 - cuts[-1][0] >= max_bytes).tolist():
                at = place + int(ends[index]) + 1
                if at - cuts[-1][0] >= max_bytes and at < size:
                    cuts.append((at, row + index + 1))
            row, place = row + len(ends), place + len(piece)
    for (start, first_row), (stop, _) in zip(cuts, [*cuts[1:], (size, 0)], strict=True):
        yield FilePart(path=source.name, kind="bytes", start=start, stop=stop, first_row=first_row)
