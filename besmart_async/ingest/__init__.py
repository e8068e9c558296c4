"""Files of readings to the service: reading, mapping, checking, sending in bulk, comparing afterwards, reporting.

`await IngestJob(client.signals, client.writer, sources_of(["readings.csv.gz"])).run()` is all of it. Needs pyarrow
(extra `files`).
"""

from besmart_async.ingest.check import CheckJob
from besmart_async.ingest.checkpoint import Checkpoint, CheckpointError
from besmart_async.ingest.findings import CheckReport, Finding
from besmart_async.ingest.job import IngestJob
from besmart_async.ingest.layout import FileForm
from besmart_async.ingest.limits import RejectLimit, TooManyRejectsError
from besmart_async.ingest.mapping_file import FileMapping, MeterRules, read_mapping
from besmart_async.ingest.meters import (
    CreatedMeters,
    EidMeters,
    KnownMeters,
    MadeMeters,
    Meter,
    Meters,
    NewSensors,
    SensorService,
    read_meter_table,
)
from besmart_async.ingest.parsing import Reading
from besmart_async.ingest.progress import Progress
from besmart_async.ingest.rejected_rows import ROLES, TOLD
from besmart_async.ingest.report import Difference, IngestReport, Reject, Verification
from besmart_async.ingest.service import OpenWriter, SignalService
from besmart_async.ingest.sources import (
    CsvSource,
    Format,
    Page,
    ParquetSource,
    Source,
    SourceError,
    TelegramSource,
    sources_of,
)
from besmart_async.ingest.starts import Start
from besmart_async.ingest.tally import SignalTally
from besmart_async.ingest.toml_tables import MappingError
from besmart_async.ingest.workers import WorkerPool
from besmart_async.ingest.zones import DstRule

__all__ = [
    "ROLES",
    "TOLD",
    "CheckJob",
    "CheckReport",
    "Checkpoint",
    "CheckpointError",
    "CreatedMeters",
    "CsvSource",
    "Difference",
    "DstRule",
    "EidMeters",
    "FileForm",
    "FileMapping",
    "Finding",
    "Format",
    "IngestJob",
    "IngestReport",
    "KnownMeters",
    "MadeMeters",
    "MappingError",
    "Meter",
    "MeterRules",
    "Meters",
    "NewSensors",
    "OpenWriter",
    "Page",
    "ParquetSource",
    "Progress",
    "Reading",
    "Reject",
    "RejectLimit",
    "SensorService",
    "SignalService",
    "SignalTally",
    "Source",
    "SourceError",
    "Start",
    "TelegramSource",
    "TooManyRejectsError",
    "Verification",
    "WorkerPool",
    "read_mapping",
    "read_meter_table",
    "sources_of",
]
