"""Signals to files, and the last reading of each.

`await ExportJob(client.reader, queries, Path("readings.csv.gz")).run()` is all of it.
"""

from besmart_async.export.files import ExportError, Format
from besmart_async.export.job import ExportJob, OpenReader
from besmart_async.export.latest import latest
from besmart_async.export.report import ExportProgress, ExportReport
from besmart_async.export.rows import Times
from besmart_async.export.signals import SensorSignals, signals_of

__all__ = [
    "ExportError",
    "ExportJob",
    "ExportProgress",
    "ExportReport",
    "Format",
    "OpenReader",
    "SensorSignals",
    "Times",
    "latest",
    "signals_of",
]
