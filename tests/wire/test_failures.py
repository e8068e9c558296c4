"""Saved error answers, and the error each of them means."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import (
    ApiError,
    AuthenticationError,
    ConflictError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitError,
    Response,
    ServerError,
    UnprocessableError,
)
from besmart_async.wire import codec
from besmart_async.wire.failures import failure, http_date_ms, message, retry_after_s
from besmart_async.wire.operation import Auth, Operation
from tests import document

WRITE = Operation[None](
    name="signals.write_bulk", method="PUT", path="/", replay=True, writes=True, decode=codec.acknowledged
)
READ = attrs.evolve(WRITE, name="signals.read", method="GET", writes=False)
LOGIN = attrs.evolve(WRITE, name="users.login", method="POST", writes=False, auth=Auth.API_KEY)


def bare(schema: str) -> bytes:
    """A documented error body: a JSON string."""
    return orjson.dumps(document.schemas()[schema].example)


DICT = b"\"{'status_code': -1, 'message': 'An error occured'}\""
ITEMS = orjson.dumps(
    {
        "detail": [
            {"loc": ["query", "since"], "msg": "field required", "type": "value_error.missing"},
            {"loc": ["body", 0, "data"], "msg": "not a list"},
        ]
    }
)
PROBLEM = (
    b'{"detail": "No authorization token provided", "status": 401, "title": "Unauthorized", "type": "about:blank"}'
)
NGINX = b"<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>nginx</body></html>"
HTML = "an HTML page titled '413 Request Entity Too Large', not an answer of the API"

PAYLOADS: dict[str, tuple[int, bytes, type[ApiError], str]] = {
    "no token": (401, bare("Unauthorize"), AuthenticationError, "No authorization token provided"),
    "forbidden": (403, bare("Forbidden"), PermissionDeniedError, "Forbidden"),
    "not allowed": (405, bare("NotAllowed"), ApiError, "NotAllowed"),
    "not found": (404, bare("NotFound"), NotFoundError, "Resource not found"),
    "conflict": (409, bare("Conflict"), ConflictError, "Conflict"),
    "unprocessable": (422, bare("UnprocessableEntity"), UnprocessableError, "An error occured"),
    "server error": (500, bare("ServerError"), ServerError, "ServerError"),
    "not implemented": (501, bare("NotImplemented"), ServerError, "NotImplemented"),
    "a Python-style dict": (422, DICT, UnprocessableError, "An error occured"),
    "a bare Python-style dict": (422, DICT[1:-1], UnprocessableError, "An error occured"),
    "a Python-style dict that is cut": (422, b"\"{'message': 'An\"", UnprocessableError, "{'message': 'An"),
    "detail": (404, b'{"detail": "Sensor not found"}', NotFoundError, "Sensor not found"),
    "problem+json": (401, PROBLEM, AuthenticationError, "No authorization token provided"),
    "problem+json without detail": (400, b'{"title": "Bad Request", "status": 400}', ApiError, "Bad Request"),
    "v1 validation items": (422, ITEMS, UnprocessableError, "query.since: field required; body.0.data: not a list"),
    "an error in an error": (422, b'{"detail": {"message": "deep"}}', UnprocessableError, "deep"),
    "an unknown object": (400, b'{"code": 5}', ApiError, '{"code":5}'),
    "nginx": (413, NGINX, PayloadTooLargeError, HTML),
    "an empty body": (503, b"", ServerError, ""),
    "plain text": (502, b"upstream connect error", ServerError, "upstream connect error (not JSON)"),
    "too many": (429, b'"slow down"', RateLimitError, "slow down"),
    "teapot": (418, b'"x"', ApiError, "x"),
    "an unknown status": (599, b'"x"', ServerError, "x"),
    "a number": (400, b"5", ApiError, "5"),
    "null": (400, b"null", ApiError, ""),
    "an empty list": (400, b"[]", ApiError, ""),
}  # fmt: skip


@pytest.mark.parametrize(("status", "content", "cls", "words"), PAYLOADS.values(), ids=PAYLOADS)
def test_an_error_answer_becomes_its_error(status: int, content: bytes, cls: type[ApiError], words: str) -> None:
    error = failure(WRITE, Response(status, {}, content))
    assert type(error) is cls
    assert (error.status, error.message, error.operation) == (status, words, "signals.write_bulk")
    assert error.response == Response(status, {}, content)
    assert str(error).startswith(f"signals.write_bulk: {status} ")
    assert words in str(error)


def test_every_documented_error_status_of_every_operation_is_typed() -> None:
    statuses = {
        status for operation in document.operations().values() for status in operation.statuses if status >= 400
    }
    assert statuses == {401, 404, 409, 422, 500}
    assert {type(failure(READ, Response(status))) for status in statuses} == {
        AuthenticationError, NotFoundError, ConflictError, UnprocessableError, ServerError,
    }  # fmt: skip


def test_an_unknown_login_is_an_authentication_failure() -> None:
    for status in (401, 404):
        assert type(failure(LOGIN, Response(status, {}, b'"Resource not found"'))) is AuthenticationError
    assert type(failure(READ, Response(404))) is NotFoundError


OUTCOMES = {
    # status: (first try, after a lost answer)
    400: ("rejected", "rejected"),
    401: ("rejected", "in_doubt"),
    403: ("rejected", "in_doubt"),
    404: ("rejected", "in_doubt"),
    409: ("rejected", "in_doubt"),
    413: ("rejected", "rejected"),
    415: ("rejected", "rejected"),
    422: ("rejected", "rejected"),
    429: ("rejected", "in_doubt"),
    500: ("in_doubt", "in_doubt"),
    503: ("in_doubt", "in_doubt"),
}


@pytest.mark.parametrize(("status", "outcomes"), OUTCOMES.items())
def test_a_failed_write_tells_its_outcome(status: int, outcomes: tuple[str, str]) -> None:
    first, later = (failure(WRITE, Response(status), repeated=repeated) for repeated in (False, True))
    assert (first.outcome, later.outcome) == outcomes
    assert ("in doubt" in str(first)) == (first.outcome == "in_doubt")
    assert failure(READ, Response(status), repeated=True).outcome is None


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
DATE_MS = 1_445_412_480_000.0
LATER = "Wed, 21 Oct 2015 07:28:30 GMT"
RETRY_AFTER: dict[str, tuple[dict[str, str], float | None]] = {
    "seconds": ({"retry-after": "120"}, 120.0),
    "padded": ({"retry-after": " 2 "}, 2.0),
    "zero": ({"retry-after": "0"}, 0.0),
    "a fraction": ({"retry-after": "1.5"}, 1.5),
    "a date, by the answer's own clock": ({"retry-after": LATER, "date": DATE}, 30.0),
    "a date, by our clock": ({"retry-after": LATER}, 30.0),
    "a date that is over": ({"retry-after": DATE, "date": LATER}, 0.0),
    "a date beside a bad date": ({"retry-after": LATER, "date": "x"}, 30.0),
    "none": ({}, None),
    "empty": ({"retry-after": ""}, None),
    "negative": ({"retry-after": "-5"}, None),
    "an exponent": ({"retry-after": "1e9"}, None),
    "infinite": ({"retry-after": "inf"}, None),
    "too many digits": ({"retry-after": "9" * 400}, None),
    "words": ({"retry-after": "soon"}, None),
    "a year out of range": ({"retry-after": "Mon, 01 Jan 99999999999 00:00:00 GMT"}, None),
    "a day out of range": ({"retry-after": "Mon, 41 Jan 2020 00:00:00 GMT"}, None),
    "a zone out of range": ({"retry-after": "Mon, 01 Jan 2020 00:00:00 +9999999"}, None),
    "other digits": ({"retry-after": "१२"}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_retry_after_is_read_in_both_forms_and_bad_ones_ignored(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, DATE_MS) == seconds
    assert failure(READ, Response(429, headers), now_ms=DATE_MS).retry_after_s == seconds


def test_a_date_without_a_zone_is_utc() -> None:
    assert http_date_ms("Wed, 21 Oct 2015 07:28:00 -0000") == http_date_ms(DATE) == DATE_MS


@given(
    st.text(max_size=60)
    | st.from_regex(r"[A-Z][a-z]{2}, \d{1,12} [A-Z][a-z]{2} \d{1,12} \d{2}:\d{2}:\d{2} [+-]?\w{1,9}")
)
def test_any_header_is_a_date_or_none(text: str) -> None:
    http_date_ms(text)
    retry_after_s({"retry-after": text, "date": text}, 0)


def test_headers_that_hold_secrets_are_taken_out() -> None:
    headers = {
        "authorization": "Bearer s3cret", "x-auth": "s3cret", "set-cookie": "s3cret", "Cookie": "s3cret",
        "content-type": "application/json", "x-request-id": "1",
    }  # fmt: skip
    error = failure(READ, Response(500, headers))
    assert dict(error.response.headers) == {"content-type": "application/json", "x-request-id": "1"}
    assert "s3cret" not in f"{error!r} {error}"


def test_a_redirect_says_where_to_and_what_to_do() -> None:
    error = failure(READ, Response(301, {"location": "https://new.example/api"}))
    assert type(error) is ApiError
    assert "redirected to https://new.example/api; set base_url" in str(error)


def test_an_answer_is_not_in_the_repr_of_its_error() -> None:
    error = failure(READ, Response(500, {"x-internal": "10.0.0.1"}, b'"a very long secret"'))
    assert "secret" not in repr(error.response)
    assert "10.0.0.1" not in repr(error.response)


# -- hostile bodies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 1000 + b"]" * 1000,
        b'{"detail":' * 1000 + b"1" + b"}" * 1000,
        orjson.dumps("{'message':" * 190 + "1" + "}" * 190),
        orjson.dumps([[["x"] * 1000] * 100]),
        b"<title>" * 50_000,
        b"<title" * 50_000,
        b"x" * 5_000_000,
        orjson.dumps({"detail": [{"loc": [[["deep"]]], "msg": "m"}]}),
        b'{"detail": ' + b"9" * 20 + b"}",
        bytes(range(256)) * 100,
    ],
    ids=range(10),
)
@pytest.mark.timeout(20)  # what is quadratic in the body takes minutes
def test_a_hostile_body_gives_a_short_message_quickly(content: bytes) -> None:
    assert len(message(Response(500, {}, content))) <= 501


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10) | st.just("{'message': {...}}"),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(
        st.sampled_from(["detail", "message", "msg", "error", "title", "loc", "x"]), part, max_size=4), max_leaves=12,
)  # fmt: skip


@given(JSON.map(orjson.dumps) | st.binary(max_size=60), st.integers(300, 599))
def test_any_body_is_an_error_with_a_message(content: bytes, status: int) -> None:
    error = failure(WRITE, Response(status, {}, content))
    assert isinstance(error.message, str)
    assert str(error)
