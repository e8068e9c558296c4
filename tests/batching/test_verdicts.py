"""What a failed attempt of a bulk call means for what happens next."""

from __future__ import annotations

import pytest

from besmart_async.batching.verdicts import (
    Verdict,
    congested,
    from_service,
    is_403,
    is_page,
    may_have_applied,
    may_still_apply,
    strain,
    told,
    verdict,
)
from besmart_async.errors import (
    ApiError,
    AuthenticationError,
    BesmartConfigError,
    BesmartError,
    ConnectError,
    DecodeError,
    Outcome,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    Response,
    ServerError,
    UnprocessableError,
)
from besmart_async.transport.retry import is_stale

WRITE = "signals.write_bulk"
CLASSES: dict[int, type[ApiError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    413: PayloadTooLargeError,
    422: UnprocessableError,
    429: RateLimitError,
}
HTML = b"\n <!DOCTYPE html><html><body>Please log in to the network</body></html>"
JSON = b'{"detail": "no such sensor", "status": 404}'


def answer(status: int, content: bytes = b"", *, operation: str = WRITE, outcome: Outcome | None = None) -> ApiError:
    cls = CLASSES.get(status, ServerError if status >= 500 else ApiError)
    if outcome is None:
        outcome = "in_doubt" if status >= 500 else "rejected"
    return cls(status, "no", operation, Response(status, {}, content), outcome=outcome)


def broken(cls: type[ProtocolError | RequestTimeoutError | ConnectError], **more: bool) -> BesmartError:
    reached = more.get("reached", True)
    return cls("lost", operation=WRITE, outcome="in_doubt" if reached else "not_sent", **{"reached": True, **more})


REFUSALS = [400, 404, 405, 409, 410, 415, 421, 422, 451]


PROBLEM = b'{"type": "about:blank", "title": "Not Found", "status": 404}'


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("content", [JSON, PROBLEM, b'{"detail": [{"msg": "no"}]}', b'"no such sensor"'])
def test_an_answer_in_the_services_form_refuses(status: int, content: bytes) -> None:
    assert from_service(answer(status, content))
    assert verdict(answer(status, content)) is Verdict.REFUSED
    assert not is_page(answer(status, content))


@pytest.mark.parametrize("content", [b"", b"  \n", b'["a"]', b' {"a": 1}', b"{'status_code': -1}"])
def test_any_json_or_nothing_refuses_with_the_documented_status(content: bytes) -> None:
    assert from_service(answer(422, content))
    assert verdict(answer(422, content)) is Verdict.REFUSED


GATEWAYS = [
    b"",
    b"  \n",
    b'{"message":"no Route matched"}',
    b'{"fault":{"code":"5"}}',
    b'["a"]',
    b"5",
]


@pytest.mark.parametrize("status", sorted({*REFUSALS} - {422}))
@pytest.mark.parametrize("content", GATEWAYS)
def test_a_gateways_json_or_an_empty_answer_that_is_not_documented_refuses_nothing(status: int, content: bytes) -> None:
    assert not from_service(answer(status, content))
    assert verdict(answer(status, content)) is Verdict.UNAVAILABLE
    assert is_page(answer(status, content))


@pytest.mark.parametrize("content", [b"", b'{"message": "gone"}'])
def test_of_other_calls_any_json_or_nothing_is_the_services(content: bytes) -> None:
    assert from_service(answer(404, content, operation="sensors.delete"))
    assert not is_page(answer(404, content, operation="sensors.delete"))


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("content", [HTML, b"Not Found", b"\x1f\x8b\x08", b"<?xml version='1.0'?><Error/>"])
def test_a_page_of_a_proxy_refuses_nothing(status: int, content: bytes) -> None:
    assert not from_service(answer(status, content))
    assert verdict(answer(status, content)) is Verdict.UNAVAILABLE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("content", [b"", HTML, JSON])
def test_a_redirect_refuses_nothing(status: int, content: bytes) -> None:
    assert verdict(answer(status, content)) is Verdict.UNAVAILABLE


@pytest.mark.parametrize("content", [b"", HTML, JSON])
def test_statuses_that_mean_the_same_from_anybody(content: bytes) -> None:
    assert {status: verdict(answer(status, content)) for status in (401, 403, 408, 413, 425, 429, 500, 502, 503)} == {
        401: Verdict.FORBIDDEN,
        403: Verdict.FORBIDDEN,
        408: Verdict.UNAVAILABLE,
        413: Verdict.TOO_LARGE,
        425: Verdict.UNAVAILABLE,
        429: Verdict.THROTTLED,
        500: Verdict.UNAVAILABLE,
        502: Verdict.UNAVAILABLE,
        503: Verdict.UNAVAILABLE,
    }


@pytest.mark.parametrize(
    ("status", "meaning"), [(401, Verdict.FORBIDDEN), (404, Verdict.FORBIDDEN), (503, Verdict.UNAVAILABLE)]
)
def test_a_failed_login_says_nothing_about_the_readings(status: int, meaning: Verdict) -> None:
    assert verdict(answer(status, JSON, operation="users.login")) is meaning


@pytest.mark.parametrize(
    "error",
    [
        broken(ConnectError, reached=False),
        broken(RequestTimeoutError),
        broken(ProtocolError),
        DecodeError("not JSON", operation=WRITE, path="$"),
    ],
)
def test_a_call_without_an_answer_that_makes_sense_is_sent_again(error: BesmartError) -> None:
    assert verdict(error) is Verdict.UNAVAILABLE


@pytest.mark.parametrize("error", [BesmartConfigError("no credentials"), BesmartError("closed"), RuntimeError("bug")])
def test_what_cannot_be_sent_again_is_fatal(error: Exception) -> None:
    assert verdict(error) is Verdict.FATAL


@pytest.mark.parametrize(
    ("error", "applied", "later"),
    [
        (broken(ConnectError, reached=False), False, False),
        (broken(RequestTimeoutError), True, True),
        (broken(ProtocolError), True, True),
        (answer(500), True, False),  # the service has answered: nothing is on its way any more
        (answer(503), True, False),
        (answer(502), True, True),  # a gateway has, and the service may still be working
        (answer(504), True, True),
        (answer(502, outcome="not_sent"), False, False),
        (answer(422), False, False),
        (BesmartError("closed"), False, False),
        (ProtocolError("lost", operation=WRITE, reached=True), True, True),
        (ProtocolError("lost", operation=WRITE, reached=False), False, False),
    ],
)
def test_whether_a_failed_call_has_stored_its_readings_or_may_yet(
    error: BesmartError, applied: bool, later: bool
) -> None:
    assert (may_have_applied(error), may_still_apply(error)) == (applied, later)


def test_only_a_connection_that_had_served_before_is_stale() -> None:
    assert is_stale(broken(ProtocolError, reused=True))
    assert not is_stale(broken(ProtocolError))
    assert not is_stale(broken(RequestTimeoutError, reused=True))


def test_refused_credentials_strain_more_than_no_answer_and_that_more_than_a_5xx() -> None:
    assert strain(answer(401)) > strain(broken(RequestTimeoutError)) > strain(answer(503)) > 0
    assert strain(answer(404, HTML)) == strain(answer(503))


def test_timeouts_429_and_503_ask_for_fewer_calls_at_a_time() -> None:
    assert all(map(congested, [broken(RequestTimeoutError), answer(429), answer(503)]))
    assert not any(map(congested, [broken(ProtocolError), answer(500), answer(502), answer(422)]))


def test_a_403_of_the_login_is_not_one_of_the_call() -> None:
    assert is_403(answer(403))
    assert not is_403(answer(403, operation="users.login"))
    assert not is_403(answer(401))
    assert not is_403(None)


def test_who_is_told_gets_an_error_of_its_own() -> None:
    error = answer(503)
    own = told(error, "rejected")
    assert own is not error
    assert (own.outcome, error.outcome) == ("rejected", "in_doubt")
    assert isinstance(own, ServerError)


@pytest.mark.parametrize("status", [302, 400, 404, 405, 407, 409, 410, 413, 421, 451])
def test_an_answer_of_something_else_is_a_page(status: int) -> None:
    assert is_page(answer(status, HTML))


@pytest.mark.parametrize("status", [401, 403])
def test_of_the_credentials_only_html_is_a_page(status: int) -> None:
    assert is_page(answer(status, HTML))
    assert not is_page(answer(status, b"Unauthorized"))
    assert not is_page(answer(status, JSON))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_who_says_that_the_service_is_away_or_busy_is_no_page(status: int) -> None:
    assert not is_page(answer(status, HTML))


def test_a_page_with_200_is_one_and_a_broken_answer_of_the_service_is_not() -> None:
    assert is_page(DecodeError("not JSON", response=Response(200, {}, HTML)))
    assert not is_page(DecodeError("cut off", response=Response(200, {}, b'{"a": 1')))
    assert is_page(DecodeError("not JSON but text/html, 33 bytes", operation="users.login"))
    assert not is_page(DecodeError("no response"))
    assert not is_page(ConnectError("refused"))
