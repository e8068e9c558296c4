"""Sources of readings: CSV, Parquet and P1 telegrams, and formats that other packages add.

A source yields chunks: columns with row numbers, not yet parsed. A package adds a format with an entry point of the
group `besmart_async.sources`; see `Format`.
"""

from besmart_async.ingest.sources.base import CHUNK_ROWS, Format, Page, Source, SourceError, file_of, is_stream
from besmart_async.ingest.sources.csv import CsvSource
from besmart_async.ingest.sources.dsmr import TelegramSource
from besmart_async.ingest.sources.parquet import ParquetSource
from besmart_async.ingest.sources.registry import GROUP, format_names, format_of, sources_of, tables_of_meters

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
    "file_of",
    "format_names",
    "format_of",
    "is_stream",
    "sources_of",
    "tables_of_meters",
]
