"""Files of readings to the service: read, parse, map, send in bulk, verify and report.

`await IngestJob(client.signals, client.writer, sources_of(["readings.csv.gz"])).run()` does all of it. Needs pyarrow
(extra `files`).
"""

from besmart_async.ingest.check.job import CheckJob
from besmart_async.ingest.check.report import CheckReport, Finding
from besmart_async.ingest.checkpoint.resume import ResumePoint, Start
from besmart_async.ingest.checkpoint.store import Checkpoint, CheckpointError
from besmart_async.ingest.cuts import PART_BYTES, partitions_of
from besmart_async.ingest.job import PAGE_TIMEOUT_S, IngestJob
from besmart_async.ingest.mapping.file import FileMapping, MappingError, MeterRules, read_mapping
from besmart_async.ingest.mapping.meters import (
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
from besmart_async.ingest.parse.parser import ParseOptions, Reading
from besmart_async.ingest.parse.zones import DstRule
from besmart_async.ingest.partition import (
    FilePart,
    PartitionError,
    PartitionReport,
    PartitionSettings,
    ingest_partition,
)
from besmart_async.ingest.report import (
    Difference,
    IngestReport,
    Progress,
    Reject,
    RejectLimit,
    TooManyRejectsError,
    Verification,
)
from besmart_async.ingest.send.sender import OpenWriter, SignalService, SignalSummary, SignalTally
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
from besmart_async.ingest.sources.columns import Chunk, Coder
from besmart_async.ingest.sources.layout import ROLES, TOLD, FileForm
from besmart_async.ingest.workers import WorkerPool

__all__ = [
    "PAGE_TIMEOUT_S",
    "PART_BYTES",
    "ROLES",
    "TOLD",
    "CheckJob",
    "CheckReport",
    "Checkpoint",
    "CheckpointError",
    "Chunk",
    "Coder",
    "CreatedMeters",
    "CsvSource",
    "Difference",
    "DstRule",
    "EidMeters",
    "FileForm",
    "FileMapping",
    "FilePart",
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
    "ParseOptions",
    "PartitionError",
    "PartitionReport",
    "PartitionSettings",
    "Progress",
    "Reading",
    "Reject",
    "RejectLimit",
    "ResumePoint",
    "SensorService",
    "SignalService",
    "SignalSummary",
    "SignalTally",
    "Source",
    "SourceError",
    "Start",
    "TelegramSource",
    "TooManyRejectsError",
    "Verification",
    "WorkerPool",
    "ingest_partition",
    "partitions_of",
    "read_mapping",
    "read_meter_table",
    "sources_of",
]
