"""What a failed attempt of a bulk call means for what happens next. Pure: errors in, answers out."""

from __future__ import annotations

from enum import Enum

import orjson

from besmart_async.errors import (
    ApiError,
    BesmartError,
    DecodeError,
    Outcome,
    PayloadTooLargeError,
    RateLimitError,
    RequestTimeoutError,
    TransportError,
)

_CREDENTIALS = frozenset({401, 403})
_PASSING = frozenset({408, 425})
_GATEWAY = frozenset({502, 504})
"""A gateway gave up on the service, which may still be working on the request."""


_BULK = frozenset({"signals.write_bulk", "signals.read_bulk"})
_DOCUMENTED = frozenset({422})
"""What the API document lists for bulk calls as a refusal of their content; its body may be any JSON, or empty."""


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
        passing = error.status >= 500 or error.status in _PASSING or not from_service(error)
        return Verdict.UNAVAILABLE if passing else Verdict.REFUSED
    if isinstance(error, TransportError | DecodeError):
        return Verdict.UNAVAILABLE
    return Verdict.FATAL


def from_service(error: BesmartError) -> bool:
    """Tell whether an answer is recognisably the service's: only that may refuse a reading.

    A proxy, a gateway, a portal or a maintenance page in between answers with HTML, plain text, JSON of its own or
    nothing, or redirects somewhere. The service refuses a bulk call with 422, or says why in a form of its own: a JSON
    string, an object with `detail`, or problem+json. Of other calls an answer with any JSON, or none, is the service's.
    """
    if not isinstance(error, ApiError) or error.status < 400:
        return False
    content = error.response.content
    if error.status in _DOCUMENTED or error.operation not in _BULK:
        return _json_or_nothing(content)
    return _in_its_form(content)


def _in_its_form(content: bytes) -> bool:
    try:
        said = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    if isinstance(said, dict):
        return "detail" in said or {"title", "status"} <= said.keys()
    return isinstance(said, str)


def is_page(error: BaseException) -> bool:
    """Tell whether something else answered in place of the service: a proxy's or portal's page, or a redirect.

    A 5xx, 408, 425 or 429 is none: whoever sends it says that the service is away or busy. Of the credentials' 401 and
    403 only HTML is a page, since a service may say these in plain text.
    """
    if isinstance(error, DecodeError):
        if error.response is None:  # of a login, whose answer is not kept
            return error.problem.startswith("not JSON but text/html")
        return not _json_or_nothing(error.response.content)
    if not isinstance(error, ApiError) or error.status >= 500 or error.status in _PASSING | {429}:
        return False
    if error.status in _CREDENTIALS:
        return error.response.content.lstrip()[:1] == b"<"
    return not from_service(error)


def _json_or_nothing(content: bytes) -> bool:
    content = content.strip()
    return not content or content[:1] in b'{["'


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
