"""Gathering single calls into bulk calls: pure cores that decide, thin async shells that send."""

from besmart_async.batching.read.core.coalescer import ReadReport
from besmart_async.batching.read.events import (
    ReadBatchAnswered,
    ReadBatchFailed,
    ReadBatchSent,
    ReadBatchSplit,
    ReadEvent,
    ReadHook,
)
from besmart_async.batching.read.reader import Reader
from besmart_async.batching.write.core.events import (
    BatchAcknowledged,
    BatchRetried,
    BatchSent,
    BatchSplit,
    SendingPaused,
    SendingResumed,
    WriterEvent,
)
from besmart_async.batching.write.sender import WriterHook
from besmart_async.batching.write.writer import Writer
from besmart_async.models.delivery import DeliveryReport, Rejection

__all__ = [
    "BatchAcknowledged",
    "BatchRetried",
    "BatchSent",
    "BatchSplit",
    "DeliveryReport",
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
