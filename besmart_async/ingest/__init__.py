"""Files of readings to the service: reading, mapping, sending in bulk, comparing afterwards, reporting.

`await IngestJob(client.signals, client.writer, [CsvSource.of("readings.csv.gz")]).run()` is all of it.
"""

from besmart_async.ingest.checkpoint import Checkpoint, CheckpointError
from besmart_async.ingest.job import REJECT_PREFIX, IngestJob
from besmart_async.ingest.limits import RejectLimit, TooManyRejectsError
from besmart_async.ingest.meters import KnownMeters, MadeMeters, Meter, Meters, read_meter_table
from besmart_async.ingest.pages import ROLES
from besmart_async.ingest.parsing import Reading
from besmart_async.ingest.progress import Progress
from besmart_async.ingest.report import Difference, IngestReport, Reject, Verification
from besmart_async.ingest.service import OpenWriter, SignalService
from besmart_async.ingest.sources import CsvSource, Page, Source, SourceError
from besmart_async.ingest.starts import Start
from besmart_async.ingest.tally import SignalTally
from besmart_async.ingest.times import DstRule
from besmart_async.ingest.workers import WorkerPool

__all__ = [
    "REJECT_PREFIX",
    "ROLES",
    "Checkpoint",
    "CheckpointError",
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
    "RejectLimit",
    "SignalService",
    "SignalTally",
    "Source",
    "SourceError",
    "Start",
    "TooManyRejectsError",
    "Verification",
    "WorkerPool",
    "read_meter_table",
]
