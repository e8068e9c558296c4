"""What happens in a writer, as frozen values: for its hooks, and for those who wait for an outcome."""

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

    `kept` ones have none: the writer has stopped and leaves them in its journal.
    """

    ref: int
    delivered: int = 0
    rejected: int = 0
    in_doubt: int = 0
    kept: int = 0
    error: BesmartError | None = None


@attrs.frozen(kw_only=True)
class BatchSent:
    """A batch leaves. `attempt` is 1 for the first; `body_bytes` the size of the request body."""

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
            batch, and those that they replaced while queued. The writer counts readings from 0 as it accepts them.
    """

    batch: int
    items: int
    readings: int
    elapsed_s: float
    numbers: Sequence[tuple[int, int]] = ()


@attrs.frozen(kw_only=True)
class BatchRetried:
    """A batch failed and will be sent again as it is, in `wait_s` seconds at the earliest."""

    batch: int
    wait_s: float
    error: BesmartError


@attrs.frozen(kw_only=True)
class BatchSplit:
    """A batch is sent again in parts: too large, or something in it is refused (which is then searched for)."""

    batch: int
    items: int
    error: BesmartError


@attrs.frozen(kw_only=True)
class SendingPaused:
    """Nothing but a probe now and then is sent: the service is down, asks for patience, or refuses the credentials."""

    seconds: float
    error: BesmartError


@attrs.frozen(kw_only=True)
class SendingResumed:
    """The service answers again."""


WriterEvent = BatchSent | BatchAcknowledged | BatchRetried | BatchSplit | SendingPaused | SendingResumed | Rejection
"""What the hooks of a writer are told."""

CoreEvent = WriterEvent | Settled
