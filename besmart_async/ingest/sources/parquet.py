"""Parquet files, long or wide."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from besmart_async.ingest.sources.base import CHUNK_ROWS, Page, SourceError, is_stream
from besmart_async.ingest.sources.columns import ChunkBuilder, as_column, as_texts, pa
from besmart_async.ingest.sources.header import said_by_name
from besmart_async.ingest.sources.layout import CODED, FileForm, Layout
from besmart_async.ingest.sources.stored import StoredFile, seekable, size_of

_BUFFER_BYTES = 128 << 10


@attrs.frozen
class ParquetSource:
    """A Parquet file. Its rows are counted from 1.

    Memory: one page, not a whole row group: each column is read through a buffer of 128 KiB.

    Attributes:
        path: the file.
        chunk_rows: approximate readings per page.
        form: roles of columns that their names do not show.
    """

    path: Path | StoredFile
    chunk_rows: int = CHUNK_ROWS
    form: FileForm = attrs.field(factory=FileForm)

    @property
    def name(self) -> str:
        """The path as given."""
        return str(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Size of the file."""
        return size_of(self.path)

    def check(self) -> tuple[str, ...]:
        """Check the schema; see `Source`."""
        with self._opened() as file:
            return self._layout(file).unused

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        with self._opened() as file:
            layout = self._layout(file)
        names = [file.schema_arrow.names[index] for index in layout.used]
        dictionaries = [file.schema_arrow.names[layout.positions[role]] for role in CODED if role in layout.positions]
        chunks = ChunkBuilder(self.name, layout)
        size, total = self.size_bytes or 0, max(1, file.metadata.num_rows)
        row = 1
        with self._opened(dictionaries) as file:
            batches = file.iter_batches(chunks.rows_at_a_time(self.chunk_rows), columns=names, use_threads=False)
            for batch in batches:
                rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
                row += batch.num_rows
                columns = {index: _plain(batch.column(name)) for index, name in zip(layout.used, names, strict=True)}
                yield Page(chunks.chunk(rows, columns), (), size * (row - 1) // total)

    def _layout(self, file: Any) -> Layout:
        if self.form.preamble:
            problem = "has no lines above a header, which [preamble] names; say file.meter or --meter"
            raise SourceError(self.name, problem)
        try:
            return Layout.of(file.schema_arrow.names, self.form, said_by_name(self.form, self.name))
        except ValueError as error:
            raise SourceError(self.name, str(error)) from None

    @contextmanager
    def _opened(self, dictionaries: list[str] | None = None) -> Generator[Any, None, None]:
        import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import, and CSV does not need it

        if is_stream(self.path):
            raise SourceError(self.name, "cannot be Parquet, which is read from its end; name a file")
        try:
            with pq.ParquetFile(
                seekable(self.path), read_dictionary=dictionaries, pre_buffer=False, buffer_size=_BUFFER_BYTES
            ) as file:
                yield file
        except FileNotFoundError:
            raise SourceError(self.name, "no such file") from None
        except (OSError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise SourceError(self.name, f"cannot be read as Parquet: {reason}") from None


def _plain(column: Any) -> Any:
    """Convert decimals to doubles, and times of day and large texts to plain texts."""
    column = as_column(column)
    kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_time(kind):
        return as_texts(column)
    if pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    return column
