"""Errors travel whole: copied, cloned and pickled, and they read as sentences."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from besmart_async import (
    ApiError,
    AuthenticationError,
    BesmartConfigError,
    BesmartError,
    ConnectError,
    DecodeError,
    InvalidInputError,
    ProtocolError,
    RequestTimeoutError,
    Response,
    ServerError,
    TransportError,
)

ANSWER = Response(500, {"date": "today"}, b"body")
EXAMPLES: list[BesmartError] = [
    BesmartError("something"),
    BesmartConfigError("a setting"),
    InvalidInputError("value[3]", 5, "give a text"),
    TransportError("lost", operation="a.b", reached=True, outcome="in_doubt"),
    ConnectError("refused", operation="a.b", outcome="not_sent"),
    RequestTimeoutError("too slow", operation="a.b", reached=True, outcome="in_doubt"),
    ProtocolError("broke", operation="a.b"),
    ApiError(418, "teapot", "a.b", ANSWER, outcome="rejected", retry_after_s=2.5),
    AuthenticationError(401, "no", "a.b", ANSWER),
    ServerError(503, "later", "a.b", ANSWER, outcome="in_doubt"),
    DecodeError("not JSON", path="$[3]", operation="a.b", response=ANSWER, outcome="in_doubt"),
]


def _pickled(error: BesmartError) -> BesmartError:
    twin = pickle.loads(pickle.dumps(error))
    assert isinstance(twin, BesmartError)
    return twin


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, _pickled, lambda error: error.clone()])
def test_a_copy_says_and_carries_the_same_and_is_its_own(
    error: BesmartError, copied: Callable[[BesmartError], BesmartError]
) -> None:
    error.add_note("a note")
    twin = copied(error)
    assert twin is not error
    assert type(twin) is type(error)
    assert (str(twin), repr(twin), twin.args) == (str(error), repr(error), error.args)
    assert twin.__dict__ == error.__dict__
    twin.add_note("only on the copy")
    assert "only on the copy" not in error.__notes__
    del error.__notes__


def test_a_clone_keeps_the_cause_and_no_traceback() -> None:
    with pytest.raises(ConnectError) as caught:
        raise ConnectError("refused") from OSError("no route")
    twin = caught.value.clone()
    assert isinstance(twin.__cause__, OSError)
    assert twin.__traceback__ is None


def test_a_timeout_is_a_timeout_to_everybody() -> None:
    assert issubclass(RequestTimeoutError, TimeoutError)
    assert issubclass(InvalidInputError, ValueError)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ApiError(599, "", "a.b", ANSWER), "a.b: 599 Unknown Status"),
        (
            ServerError(500, "boom", "a.b", ANSWER),
            "a.b: 500 Internal Server Error: boom -- the service's fault; try again later",
        ),
        (
            ServerError(500, "", "a.b", ANSWER, outcome="in_doubt"),
            (
                "a.b: 500 Internal Server Error (in doubt: it may have been applied; read back before repeating it)"
                " -- the service's fault; try again later"
            ),
        ),
        (
            ApiError(302, "Found", "a.b", Response(302, {"location": "https://x/"})),
            (
                "a.b: 302 Found: Found -- it redirects to https://x/, and redirects are not followed; "
                "give the base_url that answers itself"
            ),
        ),
    ],
)
def test_an_error_reads_as_a_sentence(error: ApiError, said: str) -> None:
    assert str(error) == said


# -- control characters ------------------------------------------------------------------------------------------------

HOSTILE = "\x1b]0;owned\x07 \x1b[2J \x9b31m \x00 \x7f \r \u202egnp.exe"
SHOWN = "\\x1b]0;owned\\x07 \\x1b[2J \\x9b31m \\x00 \\x7f \\x0d \\u202egnp.exe"


@pytest.mark.parametrize(
    "error",
    [
        TransportError(HOSTILE),
        ApiError(418, HOSTILE, "a.b", ANSWER),
        DecodeError(HOSTILE),
        DecodeError("bad", path=HOSTILE),
        ApiError(302, "", "a.b", Response(302, {"location": HOSTILE})),
    ],
)
def test_control_characters_are_written_out(error: BesmartError) -> None:
    assert SHOWN in str(error)
    for shown in (str(error), repr(error), str(error.args)):
        assert not any(character in shown for character in "\x1b\x07\x9b\x00\x7f\r\u202e")


def test_line_ends_tabs_and_letters_of_any_language_stay() -> None:
    said = "zażółć\tgęślą\njaźń 計測 🙂"
    assert ApiError(418, said, "a.b", ANSWER).message == said
    assert ApiError(418, "one\r\ntwo", "a.b", ANSWER).message == "one\ntwo"
