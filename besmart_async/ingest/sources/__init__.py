"""Where readings come from: CSV, Parquet and P1 telegrams, and the formats that other packages add.

A source gives chunks of uninterpreted columns with row numbers; what the columns mean is decided behind it (`parsing`,
`mapping`). A package adds a format with an entry point of the group `besmart_async.sources`, see `Format`.
"""

from besmart_async.ingest.sources.csv_files import CsvSource
from besmart_async.ingest.sources.formats import GROUP, format_names, format_of, sources_of
from besmart_async.ingest.sources.parquet_files import ParquetSource
from besmart_async.ingest.sources.source import CHUNK_ROWS, Format, Page, Source, SourceError
from besmart_async.ingest.sources.telegrams import TelegramSource

__all__ = [
    "CHUNK_ROWS",
    "GROUP",
    "CsvSource",
    "Format",
    "Page",
    "ParquetSource",
    "Source",
    "SourceError",
    "TelegramSource",
    "format_names",
    "format_of",
    "sources_of",
]
