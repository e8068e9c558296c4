"""Gathering single calls into bulk calls: pure cores that decide, thin async shells that send."""

from besmart_async.batching.engine import WriterHook
from besmart_async.batching.outcomes import (
    BatchAcknowledged,
    BatchRetried,
    BatchSent,
    BatchSplit,
    LabelsStored,
    Rejection,
    SendingPaused,
    SendingResumed,
    WriterEvent,
)
from besmart_async.batching.read_events import (
    ReadBatchAnswered,
    ReadBatchFailed,
    ReadBatchSent,
    ReadBatchSplit,
    ReadEvent,
    ReadHook,
)
from besmart_async.batching.read_report import ReadReport
from besmart_async.batching.reader import Reader
from besmart_async.batching.report import DeliveryReport
from besmart_async.batching.writer import Writer

__all__ = [
    "BatchAcknowledged",
    "BatchRetried",
    "BatchSent",
    "BatchSplit",
    "DeliveryReport",
    "LabelsStored",
    "ReadBatchAnswered",
    "ReadBatchFailed",
    "ReadBatchSent",
    "ReadBatchSplit",
    "ReadEvent",
    "ReadHook",
    "ReadReport",
    "Reader",
    "Rejection",
    "SendingPaused",
    "SendingResumed",
    "Writer",
    "WriterEvent",
    "WriterHook",
]
