"""Files of readings to the service: reading, mapping, sending in bulk, comparing afterwards, reporting.

`await IngestJob(client.signals, client.writer, [CsvSource.of("readings.csv.gz")]).run()` is all of it.
"""

from besmart_async.ingest.job import IngestJob, OpenWriter, SignalService
from besmart_async.ingest.meters import KnownMeters, MadeMeters, Meter, Meters, read_meter_table
from besmart_async.ingest.parsing import Reading
from besmart_async.ingest.progress import Progress
from besmart_async.ingest.report import Difference, IngestReport, Reject, Verification
from besmart_async.ingest.sources import CsvSource, Page, Source, SourceError
from besmart_async.ingest.zones import DstRule

__all__ = [
    "CsvSource",
    "Difference",
    "DstRule",
    "IngestJob",
    "IngestReport",
    "KnownMeters",
    "MadeMeters",
    "Meter",
    "Meters",
    "OpenWriter",
    "Page",
    "Progress",
    "Reading",
    "Reject",
    "SignalService",
    "Source",
    "SourceError",
    "Verification",
    "read_meter_table",
]
