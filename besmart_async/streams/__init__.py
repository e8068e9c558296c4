"""Messages of a broker to the service: at least once, acknowledged after the service stored them.

`consume` works with any broker. `besmart_async.streams.kafka` (extra `kafka`) and `besmart_async.streams.nats` (extra
`nats`) have the sources and sinks of these two; they are not imported here, since each needs its library.
"""

from besmart_async.streams.batches import (
    DeadLetter,
    DeadLetterSink,
    MessageBatch,
    Payload,
    PoisonMessageError,
    StreamError,
    StreamPolicy,
    StreamReport,
)
from besmart_async.streams.consuming import consume
from besmart_async.streams.decoding import Decode, Encoding

__all__ = [
    "DeadLetter",
    "DeadLetterSink",
    "Decode",
    "Encoding",
    "MessageBatch",
    "Payload",
    "PoisonMessageError",
    "StreamError",
    "StreamPolicy",
    "StreamReport",
    "consume",
]
