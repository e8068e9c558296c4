"""The outcome of written readings: the report of a writer, and readings that could not be delivered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import attrs

from besmart_async.errors import BesmartError, Outcome
from besmart_async.models.series import SignalData

WriterState = Literal["open", "paused", "stopped"]


@attrs.frozen(kw_only=True)
class DeliveryReport:
    """The counters of a writer. Always: `accepted == delivered + rejected + in_doubt + pending` (readings).

    Attributes:
        accepted: readings accepted from callers.
        delivered: readings the service acknowledged; one replaced while queued counts when its replacement does.
        rejected: readings that will not be delivered: refused by the service, or never sent.
        in_doubt: readings that may or may not be stored; they are not sent again.
        pending: readings without a final outcome yet.
        kept: pending readings that a stopped or closed writer leaves in its journal for the next one.
        requests: bulk calls sent, retries and parts included.
        retries: calls that repeated an earlier call unchanged.
        splits: batches that were split.
        bytes: request bodies sent.
        in_flight: bulk calls in flight now.
        max_in_flight: how many may be in flight at present.
        max_items: how many signals a call may hold at present.
        refused_signals: signals whose recent readings were all refused.
        memory_bytes: estimate of what is buffered and in flight.
        oldest_pending_s: seconds since the oldest of the pending readings was accepted or first sent; 0 without any.
        state: `"paused"` while the service is down, throttles or refuses the credentials; `"stopped"` permanently.
    """

    accepted: int = 0
    delivered: int = 0
    rejected: int = 0
    in_doubt: int = 0
    pending: int = 0
    kept: int = 0
    requests: int = 0
    retries: int = 0
    splits: int = 0
    bytes: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    max_items: int = 0
    refused_signals: int = 0
    memory_bytes: int = 0
    oldest_pending_s: float = 0.0
    state: WriterState = "open"


@attrs.frozen
class Rejection:
    """Readings that were accepted and will not be delivered.

    Attributes:
        data: the readings; where one replaced another while queued, only the last.
        error: the reason.
        outcome: `"rejected"` (the service refused them), `"not_sent"` (they never reached it) or `"in_doubt"`.
        readings: how many accepted readings they stand for.
        refs: which calls of `deliver` they came from.
        numbers: numbers of those accepted readings, as half-open ranges, ascending. `Writer.write_data` returns the
            numbers of its readings.
    """

    data: SignalData
    error: BesmartError
    outcome: Outcome
    readings: int
    refs: frozenset[int] = frozenset()
    numbers: Sequence[tuple[int, int]] = ()
