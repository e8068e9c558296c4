"""What brokers and `consume` hand each other: batches of messages, dead letters, settings, counters.

A broker's own module (`besmart_async.streams.kafka`, `besmart_async.streams.nats`) makes batches; so can you, for any
other broker: an async iterator of objects with the four parts of `MessageBatch`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import attrs

from besmart_async.errors import BesmartConfigError, BesmartError

Payload = bytes | None
"""The raw content of a message; None where the broker has a message without one (a tombstone of Kafka)."""


class MessageBatch(Protocol):
    """Messages that were received together and are acknowledged together."""

    @property
    def payloads(self) -> Sequence[Payload]:
        """The raw content of each message."""
        ...

    def identity(self, index: int) -> str:
        """Return what names a message of the batch to people, such as `"readings[3]@1042"`."""
        ...

    async def commit(self) -> None:
        """Acknowledge all messages to the broker. Called once, after everything in them has its final outcome.

        If the broker has given the messages to somebody else in the meantime, this must do nothing.
        """
        ...

    async def release(self) -> None:
        """Give the messages back to the broker, which delivers them again. Called instead of `commit`."""
        ...


@attrs.frozen
class DeadLetter:
    """A message that will never be stored as it is.

    Attributes:
        batch: the batch it came with.
        index: its place in `batch.payloads`.
        reason: what is wrong with it.
        error: the error behind it.
    """

    batch: MessageBatch
    index: int
    reason: str
    error: Exception

    @property
    def payload(self) -> Payload:
        """The content of the message, unchanged."""
        return self.batch.payloads[self.index]

    @property
    def identity(self) -> str:
        """What names the message."""
        return self.batch.identity(self.index)


DeadLetterSink = Callable[[Sequence[DeadLetter]], Awaitable[object]]
"""Keeps dead letters. When it returns they must be safe, since their messages are acknowledged then."""


class StreamError(BesmartError):
    """A stream cannot be consumed any further: the broker refuses, or the service does for longer than allowed."""


class PoisonMessageError(StreamError):
    """A message that cannot be stored, and no place for dead letters. Nothing from it on is acknowledged.

    Attributes:
        letter: the message and the reason.
    """

    def __init__(self, letter: DeadLetter) -> None:
        """Name the message and the reason."""
        super().__init__(letter)
        self.letter = letter

    def __str__(self) -> str:
        return (
            f"message {self.letter.identity}: {self.letter.reason}; it was not acknowledged -- give a place for dead"
            " letters to go on past such messages"
        )


def _positive(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None and not value > 0:
        raise BesmartConfigError(f"{attribute.name}={value!r}: give a number above 0")


def _finite(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < math.inf:
        raise BesmartConfigError(f"{attribute.name}={value!r}: give a number above 0")


@attrs.frozen(kw_only=True)
class StreamPolicy:
    """How messages are consumed.

    Attributes:
        batch_messages: messages in one batch at most. 5,000: one commit for each is cheap, and decoding one takes
            some 10 ms.
        linger_s: how long a batch waits to become full. 0.2 s.
        max_uncommitted: messages received and not acknowledged at a time; beyond that nothing more is pulled, and
            partitions are paused. 10,000: two batches, so that one is written while the other is on its way; more
            helps only where the service is far away, and costs where it is near (more objects, two threads at once).
        retry_wait_s: how long to wait before what the service could not take is written again. 5 s; the writer has
            retried it for `BatchPolicy.delivery_timeout_s` before.
        give_up_after_s: raise the last error when the service has taken nothing for so long; None: never.
        drain_timeout_s: how long a stop, and the loss of a partition, wait for what was received. 20 s: less than the
            30 s that Kubernetes leaves after SIGTERM.
    """

    batch_messages: int = attrs.field(default=5_000, validator=_positive)
    linger_s: float = attrs.field(default=0.2, validator=_finite)
    max_uncommitted: int = attrs.field(default=10_000, validator=_positive)
    retry_wait_s: float = attrs.field(default=5.0, validator=_finite)
    give_up_after_s: float | None = attrs.field(default=None, validator=_positive)
    drain_timeout_s: float = attrs.field(default=20.0, validator=_finite)


@attrs.frozen(kw_only=True)
class StreamReport:
    """Counters of `consume`.

    Attributes:
        received: messages that came from the broker.
        committed: messages that were acknowledged: stored, or kept as dead letters.
        dead: messages that were kept as dead letters.
        readings: readings of the messages that were acknowledged, without those of dead letters.
        uncommitted: messages received and not acknowledged yet; at the end, those given back to the broker.
        rewrites: how often messages were written again since the service could not take them.
        waiting: why nothing proceeds at present; empty while it does.
    """

    received: int = 0
    committed: int = 0
    dead: int = 0
    readings: int = 0
    uncommitted: int = 0
    rewrites: int = 0
    waiting: str = ""
