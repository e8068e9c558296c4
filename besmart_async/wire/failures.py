"""One pure function from an error answer to the exception it means, and what else a failed answer says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import attrs
import orjson

from besmart_async.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    Outcome,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    Response,
    ServerError,
    UnprocessableError,
)
from besmart_async.wire.found import found
from besmart_async.wire.literals import parse_literal
from besmart_async.wire.operation import Auth, Operation

_BY_STATUS: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    422: UnprocessableError,
    429: RateLimitError,
}
_SAYS_CONTENT = frozenset({400, 413, 415, 422})
"""Statuses that judge the request's content: they would have met any earlier try of it as well."""
_LONGEST_MESSAGE = 500
_DEEPEST = 8
"""Levels of an error body that are looked into for words."""
_HEAD_BYTES = 16_384
"""Where a page's title is looked for."""
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_SECRET_NAMES = ("authorization", "x-auth", "set-cookie", "cookie")


def failure(operation: Operation[Any], response: Response, *, repeated: bool = False, now_ms: float = 0.0) -> ApiError:
    """Return the error that an answer with an error status means.

    Args:
        operation: what was asked.
        response: the answer.
        repeated: whether the answer of an earlier try was lost, so that the service may have applied it.
        now_ms: this machine's clock (UTC unix ms), for a Retry-After date where the answer has no `Date`.
    """
    cls = _BY_STATUS.get(response.status, ServerError if response.status >= 500 else ApiError)
    if operation.auth is Auth.API_KEY and response.status == 404:
        cls = AuthenticationError  # the document's answer to an unknown login
    return cls(
        response.status,
        message(response),
        operation.name,
        attrs.evolve(response, headers=_without_secrets(response.headers)),
        outcome=outcome(operation, response.status, repeated=repeated),
        retry_after_s=retry_after_s(response.headers, now_ms),
    )


def outcome(operation: Operation[Any], status: int, *, repeated: bool) -> Outcome | None:
    """Return what an error status means for what the operation was to change; None if it changes nothing."""
    if not operation.writes:
        return None
    if status >= 500:
        return "in_doubt"
    if repeated and status not in _SAYS_CONTENT:
        return "in_doubt"  # the lost try may have been applied: a 404, 409 or 429 now does not say
    return "rejected"


def message(response: Response) -> str:
    """Return the service's own words.

    They may be a bare JSON string, a Python-style dict inside a string (422), `{"detail": ...}`, problem+json, an HTML
    page or plain text.
    """
    text = response.text.strip()
    if not text:
        return _redirect(response)
    try:
        said = _words(orjson.loads(response.content))
    except orjson.JSONDecodeError:
        title = _TITLE.search(response.content[:_HEAD_BYTES])
        if title:
            said = (
                f"an HTML page titled {title.group(1).decode('utf-8', 'replace').strip()!r}, not an answer of the API"
            )
        else:
            words = _words_in_text(text, 0)
            said = words if words != text else f"{text} (not JSON)"
    return said if len(said) <= _LONGEST_MESSAGE else said[:_LONGEST_MESSAGE] + "…"


def retry_after_s(headers: Mapping[str, str], now_ms: float) -> float | None:
    """Return the seconds that `Retry-After` asks for, in either of its forms; None for none or a bad one."""
    given = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", given):
        return float(given)
    until_ms = http_date_ms(given)
    if until_ms is None:
        return None
    sent_ms = http_date_ms(headers.get("date", ""))
    return max(0.0, (until_ms - (sent_ms if sent_ms is not None else now_ms)) / 1000)


def http_date_ms(text: str) -> float | None:
    """Return an HTTP date as UTC unix milliseconds; None if it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000


def _words(value: object, depth: int = 0) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return _words_in_text(value, depth)
    if depth > _DEEPEST:
        return found(value)
    if isinstance(value, list):
        return "; ".join(_words(part, depth + 1) for part in value)
    return _words_in_object(value, depth) if isinstance(value, Mapping) else str(value)


def _words_in_object(value: Mapping[str, Any], depth: int) -> str:
    said = next((value[name] for name in ("detail", "message", "msg", "error", "title") if value.get(name)), None)
    if said is None:
        return orjson.dumps(value).decode() if _is_shallow(value) else found(value)
    where = value.get("loc")
    return (_place(where) if isinstance(where, list) else "") + _words(said, depth + 1)


def _words_in_text(text: str, depth: int) -> str:
    if depth <= _DEEPEST and text.lstrip().startswith(("{", "[")):
        try:
            return _words(parse_literal(text), depth + 1)
        except ValueError:
            pass
    return text


def _place(where: list[Any]) -> str:
    return ".".join(str(part) if isinstance(part, str | int) else "?" for part in where) + ": "


def _is_shallow(value: Mapping[str, Any]) -> bool:
    return not any(isinstance(part, Mapping | list) for part in value.values())


def _redirect(response: Response) -> str:
    if 300 <= response.status < 400:
        target = response.headers.get("location", "nowhere")
        return f"redirected to {target}; set base_url to the address that answers (redirects are not followed)"
    return ""


def _without_secrets(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _SECRET_NAMES}
