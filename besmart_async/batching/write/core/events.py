"""Events of a writer, as frozen values: for its hooks, and for callers that wait for an outcome."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from besmart_async.errors import (
    BesmartError,
)
from besmart_async.models.delivery import Rejection


@attrs.frozen
class Settled:
    """Some readings of one ref (one `deliver`) have their final outcome.

    `kept` readings have none: the writer has stopped and leaves them in its journal.
    """

    ref: int
    delivered: int = 0
    rejected: int = 0
    in_doubt: int = 0
    kept: int = 0
    error: BesmartError | None = None


@attrs.frozen(kw_only=True)
class BatchSent:
    """A batch is sent. `attempt` is 1 for the first call; `body_bytes` is the size of the request body."""

    batch: int
    items: int
    readings: int
    body_bytes: int
    attempt: int


@attrs.frozen(kw_only=True)
class BatchAcknowledged:
    """The service stored a batch.

    Attributes:
        batch: its number.
        items: signals in it.
        readings: readings in it.
        elapsed_s: seconds since this attempt was sent.
        numbers: numbers of the accepted readings that are stored now, as half-open ranges, ascending: those in the
            batch, and those that they replaced while queued. `Writer.write_data` says how readings are numbered.
    """

    batch: int
    items: int
    readings: int
    elapsed_s: float
    numbers: Sequence[tuple[int, int]] = ()


@attrs.frozen(kw_only=True)
class BatchRetried:
    """A batch failed and will be sent again unchanged, after at least `wait_s` seconds."""

    batch: int
    wait_s: float
    error: BesmartError


@attrs.frozen(kw_only=True)
class BatchSplit:
    """A batch is sent again in parts: it is too large, or contains something refused, which is searched for."""

    batch: int
    items: int
    error: BesmartError


@attrs.frozen(kw_only=True)
class SendingPaused:
    """Only single probes are sent: the service is down, asks to wait, or refuses the credentials."""

    seconds: float
    error: BesmartError


@attrs.frozen(kw_only=True)
class SendingResumed:
    """The service answers again."""


WriterEvent = BatchSent | BatchAcknowledged | BatchRetried | BatchSplit | SendingPaused | SendingResumed | Rejection
"""Every event that the hooks of a writer get."""

CoreEvent = WriterEvent | Settled
