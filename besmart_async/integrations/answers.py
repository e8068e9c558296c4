"""What an error of this package means to the caller of an application: status, words and headers of its answer."""

from __future__ import annotations

import attrs

from besmart_async.errors import (
    ApiError,
    BesmartError,
    ConflictError,
    ConnectError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    RequestTimeoutError,
    TransportError,
    UnprocessableError,
)
from besmart_async.logs import logger

_ANSWERS: tuple[tuple[type[BesmartError], int, str], ...] = (
    # What the caller of the application can do something about.
    (InvalidInputError, 422, "not valid"),
    (NotFoundError, 404, "besmart knows no such resource"),
    (ConflictError, 409, "it contradicts what besmart holds"),
    (PayloadTooLargeError, 413, "too much at once for besmart"),
    (UnprocessableError, 422, "besmart refuses the content"),
    # What it cannot, other than to try again later. A refused login or right is the application's, not its caller's.
    (RateLimitError, 503, "besmart is busy"),
    (ConnectError, 503, "besmart cannot be reached"),
    (RequestTimeoutError, 504, "besmart did not answer in time"),
    (TransportError, 502, "the connection to besmart broke"),
    (DecodeError, 502, "besmart's answer is not understood"),
    (ApiError, 502, "besmart failed"),
    (BesmartError, 500, "this application cannot use besmart"),
)


@attrs.frozen
class Answer:
    """An HTTP answer.

    Attributes:
        status: 404, 409, 413 and 422 pass on; everything else is 502, 503 or 504, and 500 where the application itself
            is at fault.
        body: `detail`, in fixed words that hold nothing of the service's; after writes `outcome` (`"in_doubt"`: do not
            just repeat); for refused input `field` and `problem`.
        headers: `Retry-After`, if the service gave it.
    """

    status: int
    body: dict[str, str]
    headers: dict[str, str]

    @classmethod
    def to(cls, error: BesmartError) -> Answer:
        """Return the answer that an error means."""
        status, detail = _status_and_detail(error)
        body = {"detail": detail}
        if error.outcome is not None:
            body["outcome"] = error.outcome
        if isinstance(error, InvalidInputError):
            body |= {"field": error.field, "problem": error.problem}
        wait_s = error.retry_after_s if isinstance(error, ApiError) else None
        headers = {"Retry-After": f"{-(-wait_s // 1):.0f}"} if status == 503 and wait_s is not None else {}
        return cls(status, body, headers)

    def log(self, error: BesmartError) -> None:
        """Log the error: as an error where no caller is at fault."""
        if self.status >= 500:
            logger.error("answered %d, since a besmart call failed: %s", self.status, error, exc_info=error)
        else:
            logger.info("answered %d: %s", self.status, error)


def _status_and_detail(error: BesmartError) -> tuple[int, str]:
    status, detail = next((status, detail) for kind, status, detail in _ANSWERS if isinstance(error, kind))
    if isinstance(error, InvalidInputError):
        detail = f"{error.field}: {detail}"
    if isinstance(error, ApiError) and error.status in {503, 504}:
        return error.status, "besmart is not available"
    return status, detail
