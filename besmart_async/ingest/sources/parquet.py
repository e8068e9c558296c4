"""Parquet files, long or wide."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from besmart_async.ingest.sources.base import CHUNK_ROWS, LONGEST_TEXT, Page, SourceError, is_stream
from besmart_async.ingest.sources.columns import ChunkBuilder, as_column, pa, pc
from besmart_async.ingest.sources.header import said_by_name
from besmart_async.ingest.sources.layout import CODED, FileForm, Layout
from besmart_async.ingest.sources.stored import StoredFile, seekable, size_of

_BUFFER_BYTES = 128 << 10
_DICTIONARIES = {"PLAIN_DICTIONARY", "RLE_DICTIONARY"}
ROWS_PER_BYTE = 5_000
"""Most rows that a byte of a file is believed to hold: constant columns and regular times pack to almost nothing."""


@attrs.frozen
class RowGroup:
    """Where a row group is: its first byte, the byte after the last one, and the number of its rows."""

    start: int
    stop: int
    rows: int


@attrs.frozen
class ParquetSource:
    """A Parquet file. Its rows are counted from 1.

    Memory: one page, not a whole row group: each column is read through a buffer of 128 KiB.

    Attributes:
        path: the file.
        chunk_rows: approximate readings per page.
        form: roles of columns that their names do not show.
        groups: (first, after the last) row group to read; None for all.
        first_row: the number of the first row that is read.
    """

    path: Path | StoredFile
    chunk_rows: int = CHUNK_ROWS
    form: FileForm = attrs.field(factory=FileForm)
    groups: tuple[int, int] | None = None
    first_row: int = 1

    @property
    def name(self) -> str:
        """The path as given."""
        return str(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Size of the file."""
        return size_of(self.path)

    def check(self) -> tuple[str, ...]:
        """Check the schema, and the sizes that the file declares; see `Source`."""
        with self.opened() as file:
            return self._layout(file).unused

    def pages(self) -> Generator[Page, None, None]:
        """Read the file from the start; see `Source`."""
        with self.opened() as file:
            layout = self._layout(file)
            schema = file.schema_arrow
            names = [schema.names[index] for index in layout.used]
            texts = {name for name, index in zip(names, layout.used, strict=True) if _is_text(schema.types[index])}
            packed = self._packed(file.metadata, texts)
        coded = {schema.names[layout.positions[role]] for role in CODED if role in layout.positions}
        dictionaries = sorted(texts & (coded | packed))
        chunks = ChunkBuilder(self.name, layout)
        size, total = self.size_bytes or 0, max(1, file.metadata.num_rows)
        row = self.first_row
        groups = None if self.groups is None else list(range(*self.groups))
        with self.opened(dictionaries) as file:
            if groups and groups[-1] >= file.num_row_groups:
                raise SourceError(self.name, "has fewer row groups than when it was divided; divide it again")
            batches = file.iter_batches(
                chunks.rows_at_a_time(self.chunk_rows), row_groups=groups, columns=names, use_threads=False
            )
            for batch in batches:
                rows = np.arange(row, row + batch.num_rows, dtype=np.int64)
                row += batch.num_rows
                columns = {
                    index: self._plain(_of_batch(batch, schema, index), row, coded=name in coded)
                    for index, name in zip(layout.used, names, strict=True)
                }
                yield Page(chunks.chunk(rows, columns), (), size * (row - 1) // total)

    def row_groups(self) -> list[RowGroup]:
        """Return where the row groups are; see `Source` for errors."""
        with self.opened() as file:
            found: list[RowGroup] = []
            for group in map(file.metadata.row_group, range(file.num_row_groups)):
                columns = [group.column(number) for number in range(group.num_columns)]
                starts = [min(filter(None, (one.dictionary_page_offset, one.data_page_offset))) for one in columns]
                ends = [start + one.total_compressed_size for start, one in zip(starts, columns, strict=True)]
                found.append(RowGroup(min(starts), max(ends), group.num_rows))
            return found

    def _layout(self, file: Any) -> Layout:
        if self.form.preamble:
            problem = "has no lines above a header, which [preamble] names; say file.meter or --meter"
            raise SourceError(self.name, problem)
        schema, rows = file.schema_arrow, file.metadata.num_rows
        if not 0 <= rows <= ROWS_PER_BYTE * (self.size_bytes or 0):
            raise SourceError(
                self.name,
                f"declares {rows:,} rows in {self.size_bytes or 0:,} bytes; it is damaged, or made to use up memory",
            )
        try:
            layout = Layout.of(schema.names, self.form, said_by_name(self.form, self.name))
        except ValueError as error:
            raise SourceError(self.name, str(error)) from None
        for role, index in layout.positions.items():
            self._check_type(role, schema.names[index], schema.types[index])
        for index in layout.slots.positions if layout.slots else ():
            self._check_type("value", schema.names[index], schema.types[index])
        for column in layout.series:
            for role, index in {**column.beside, "value": column.position}.items():
                self._check_type(role, schema.names[index], schema.types[index])
        return layout

    def _check_type(self, role: str, title: str, kind: Any) -> None:
        """Refuse a column whose type cannot hold what its role needs."""
        fitting, wanted = _FITTING.get(role, (_fits_name, "texts or numbers"))
        if not fitting(_stored(kind)):
            raise SourceError(
                self.name,
                f"column {title!r} holds {_type_name(kind)}, and the {role} needs {wanted}; write that column with"
                " another type",
            )

    def _packed(self, metadata: Any, names: set[str]) -> set[str]:
        """Return the columns among `names` that hold a dictionary: they stay one, however long the texts in it are.

        Raises:
            SourceError: one of them has more text than its rows can hold.
        """
        columns = [number for number in range(metadata.num_columns) if metadata.schema.column(number).path in names]
        found: set[str] = set()
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for chunk in map(group.column, columns):
                if chunk.total_uncompressed_size > group.num_rows * (LONGEST_TEXT + 16) + _BUFFER_BYTES:
                    raise SourceError(
                        self.name,
                        f"column {chunk.path_in_schema!r} has {chunk.total_uncompressed_size:,} bytes for"
                        f" {group.num_rows:,} rows, and texts of at most {LONGEST_TEXT:,} bytes are read",
                    )
                if _DICTIONARIES.intersection(chunk.encodings):
                    found.add(chunk.path_in_schema)
        return found

    def _plain(self, column: Any, end: int, *, coded: bool) -> Any:
        """Convert decimals to doubles, and times of day and other texts to plain texts."""
        column = as_column(column)
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        kind = column.type
        texts = column.dictionary if pa.types.is_dictionary(kind) else column
        if _is_text(texts.type) and len(texts):
            longest = pc.max(pc.binary_length(texts.cast(pa.large_string()))).as_py() or 0
            if longest > LONGEST_TEXT:
                raise SourceError(
                    self.name, f"a text above row {end:,} has {longest:,} bytes, and at most {LONGEST_TEXT:,} are read"
                )
        if pa.types.is_time(kind) or (_is_text(texts.type) and not coded and not pa.types.is_string(kind)):
            return column.cast(pa.string())  # binary too: some tools do not mark texts as such
        if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
            return column.cast(pa.float64())
        return column

    @contextmanager
    def opened(self, dictionaries: list[str] | None = None) -> Generator[Any, None, None]:
        """Open the file; `dictionaries` are columns that stay dictionaries."""
        import pyarrow.parquet as pq  # noqa: PLC0415 - slow to import, and CSV does not need it

        if is_stream(self.path):
            raise SourceError(self.name, "cannot be Parquet, which is read from its end; name a file")
        try:
            with (
                _openable(self.path) as opened,
                pq.ParquetFile(
                    opened, read_dictionary=dictionaries, pre_buffer=False, buffer_size=_BUFFER_BYTES
                ) as file,
            ):
                yield file
        except FileNotFoundError:
            raise SourceError(self.name, "no such file") from None
        except (OSError, pa.ArrowException, MemoryError, KeyError, OverflowError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise SourceError(self.name, f"cannot be read as Parquet: {reason}") from None


def _openable(path: Path | StoredFile) -> AbstractContextManager[Any]:
    """Give a path, or the open file if it is inside another or its name is not UTF-8, which pyarrow cannot pass on."""
    if not isinstance(path, Path):
        return nullcontext(seekable(path))
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return path.open("rb")
    return nullcontext(path)


def _of_batch(batch: Any, schema: Any, index: int) -> Any:
    """Return a column of the file from a batch that holds some of them; several columns may have one name."""
    name = schema.names[index]
    alike = batch.schema.get_all_field_indices(name)
    return batch.column(alike[schema.names[:index].count(name)])


def _stored(kind: Any) -> Any:
    """The type of the values of a dictionary or an extension."""
    if isinstance(kind, pa.BaseExtensionType):
        return _stored(kind.storage_type)
    return _stored(kind.value_type) if pa.types.is_dictionary(kind) else kind


def _is_text(kind: Any) -> bool:
    types = pa.types
    strings = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(strings or types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _fits_name(kind: Any) -> bool:
    return _is_text(kind) or pa.types.is_null(kind) or _is_number(kind)


def _fits_time(kind: Any) -> bool:
    dated = pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_time(kind)
    return dated or _fits_name(kind)


_FITTING: dict[str, tuple[Callable[[Any], bool], str]] = {
    "time": (_fits_time, "timestamps, dates, texts, or unix milliseconds"),
    "date": (_fits_time, "dates, timestamps or texts"),
    "value": (_fits_name, "numbers, or texts with numbers"),
}
"""Which types of columns a role can be, and how a message names them; other roles are names."""


def _type_name(kind: Any, longest: int = 60) -> str:
    text = str(kind)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
