"""What becomes of written readings, as frozen values, and what a failed attempt of a batch means for the next step."""

from __future__ import annotations

from enum import Enum

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.errors import (
    ApiError,
    BesmartError,
    DecodeError,
    Outcome,
    PayloadTooLargeError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    TransportError,
)
from besmart_async.models.series import SignalData

_CREDENTIALS = frozenset({401, 403})
_PASSING = frozenset({408, 425})
_GATEWAY = frozenset({502, 504})
"""A gateway gave up on the service, which may still be working on the request."""


@attrs.frozen
class Rejection:
    """Readings that were accepted and will not be delivered.

    Attributes:
        data: the readings; where one replaced another while queued, only the last.
        error: why.
        outcome: `"rejected"` (the service refused them), `"not_sent"` (they never reached it) or `"in_doubt"`.
        readings: how many accepted readings they stand for.
        refs: which accepted writes they came from, where the writes were given refs; or the labels of the readings.
    """

    data: SignalData
    error: BesmartError
    outcome: Outcome
    readings: int
    refs: frozenset[int] = frozenset()


@attrs.frozen
class Settled:
    """Some readings of one ref (one `deliver`, one commit of the journal) have their final outcome.

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
    """The service stored a batch; `elapsed_s` since this attempt was sent."""

    batch: int
    items: int
    readings: int
    elapsed_s: float


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


@attrs.frozen(kw_only=True, eq=False)
class LabelsStored:
    """The service stored labelled readings. `labels`: those of the readings, and of those that they replaced."""

    labels: NDArray[np.int64]


WriterEvent = (
    BatchSent
    | BatchAcknowledged
    | BatchRetried
    | BatchSplit
    | SendingPaused
    | SendingResumed
    | Rejection
    | LabelsStored
)
"""What the hooks of a writer are told."""

CoreEvent = WriterEvent | Settled


class Verdict(Enum):
    """What a failed attempt means for its batch."""

    REFUSED = "refused"
    """The content (or the request as such) is refused: find the culprits."""
    TOO_LARGE = "too large"
    """Send it in smaller pieces."""
    UNAVAILABLE = "unavailable"
    """The service is in trouble: send the same bytes again, later."""
    THROTTLED = "throttled"
    """The service is well and wants less."""
    FORBIDDEN = "forbidden"
    """The credentials are refused: wait until they work again."""
    FATAL = "fatal"
    """Nothing that could be sent again: a closed client, missing credentials, a defect."""


def verdict(error: BaseException) -> Verdict:
    """Tell what a failed attempt means for its batch."""
    if isinstance(error, PayloadTooLargeError):
        return Verdict.TOO_LARGE
    if isinstance(error, RateLimitError):
        return Verdict.THROTTLED
    if isinstance(error, ApiError):
        if error.status in _CREDENTIALS or error.operation.startswith("users."):
            return Verdict.UNAVAILABLE if error.status >= 500 else Verdict.FORBIDDEN
        return Verdict.UNAVAILABLE if error.status >= 500 or error.status in _PASSING else Verdict.REFUSED
    if isinstance(error, TransportError | DecodeError):
        return Verdict.UNAVAILABLE
    return Verdict.FATAL


def may_have_applied(error: BaseException) -> bool:
    """Tell whether the attempt that failed so may have stored its readings."""
    if isinstance(error, BesmartError) and error.outcome is not None:
        return error.outcome == "in_doubt"
    return isinstance(error, TransportError) and error.reached


def may_still_apply(error: BaseException) -> bool:
    """Tell whether the attempt that failed so may store its readings even later: its answer was lost on the way."""
    if isinstance(error, ApiError):
        return error.status in _GATEWAY and may_have_applied(error)
    return isinstance(error, TransportError) and may_have_applied(error)


def stale(error: BaseException) -> bool:
    """Tell whether an idle connection was found dead, which says nothing about the service's health."""
    return isinstance(error, ProtocolError) and error.reused


def strain(error: BaseException) -> int:
    """Weigh a failure as evidence that going on is of no use for now: a 5xx weighs less than no answer."""
    if verdict(error) is Verdict.FORBIDDEN:
        return 4  # the transport has tried a new token already
    return 1 if isinstance(error, ApiError | DecodeError) else 2


def congested(error: BaseException) -> bool:
    """Tell whether a failure asks for fewer calls at a time."""
    return isinstance(error, RequestTimeoutError) or (isinstance(error, ApiError) and error.status in {429, 503})


def is_403(error: BaseException | None) -> bool:
    """Tell whether it is a 403 of the call itself: of the credentials, or of something in the batch."""
    return isinstance(error, ApiError) and error.status == 403 and not error.operation.startswith("users.")


def told(error: BesmartError, outcome: Outcome) -> BesmartError:
    """Return an error instance of its own that says `outcome`."""
    own = error.clone()
    own.outcome = outcome
    return own
