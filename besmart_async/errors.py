"""Every error of the package, and what each one says about the request it ends.

A failed write or creation carries `outcome`: `"not_sent"` (the service certainly never saw it), `"rejected"`
(the service answered that it did not apply it) or `"in_doubt"` (only reading back can show it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from os import PathLike
from typing import TYPE_CHECKING, Literal, Self, cast

import attrs

if TYPE_CHECKING:
    from besmart_async.models.delivery import DeliveryReport, Rejection

Outcome = Literal["not_sent", "in_doubt", "rejected"]


@attrs.frozen
class Response:
    """One answer of the service, without any HTTP library in it; its content is never shown in a repr.

    Attributes:
        status: HTTP status code.
        headers: header values by lower-case name.
        content: the body as received (decompressed).
    """

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    content: bytes = attrs.field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 are replaced."""
        return self.content.decode("utf-8", errors="replace")


class BesmartError(Exception):
    """Base of every error this package raises.

    Attributes:
        outcome: what became of the write or creation this error ends; None where nothing was to be changed.
    """

    outcome: Outcome | None = None

    def __str__(self) -> str:
        """The message, with control characters written out: it may end in a terminal or a log."""
        return visible(super().__str__())

    def clone(self) -> Self:
        """Return a copy, so that no two waiters share one instance and its traceback."""
        twin = cast("Self", _restore(type(self), self.args, self.__dict__.copy()))
        twin.__cause__ = self.__cause__
        return twin

    __copy__ = clone  # else a library that registers a way to pickle tracebacks would copy those too

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.args, self.__dict__.copy())


def _restore(cls: type[BesmartError], args: tuple[object, ...], state: dict[str, object]) -> BesmartError:
    error = cls.__new__(cls, *args)
    error.args = args  # an OSError (TimeoutError is one) only takes them in its __init__
    error.__dict__.update(state)
    notes = state.get("__notes__")
    if isinstance(notes, list):
        error.__notes__ = list(notes)  # else a note on one of them would show on all
    return error


class BesmartConfigError(BesmartError):
    """A setting that cannot work: missing credentials, an unknown scheme, limits that contradict each other."""


class UnsupportedOperationError(BesmartConfigError):
    """The client's dialect does not have the operation; nothing was sent.

    Attributes:
        operation: the operation's name, such as `"tasks.run_graph"`.
        dialect: the client's dialect.
        available_in: the dialects that have it.
    """

    def __init__(self, operation: str, dialect: str, available_in: tuple[str, ...]) -> None:
        """Name the operation and the dialects."""
        super().__init__(operation, dialect, available_in)
        self.operation = operation
        self.dialect = dialect
        self.available_in = available_in
        self.outcome = "not_sent"

    def __str__(self) -> str:
        others = " and ".join(repr(one) for one in self.available_in)
        advice = f"; a client with dialect={others} has it" if others else ""
        return f"{self.operation}: the {self.dialect} dialect does not have this operation{advice}"


class InvalidInputError(BesmartError, ValueError):
    """An argument refused locally; nothing was sent.

    Attributes:
        field: the name of the argument or column, with a row where there is one (`"value[3]"`).
        value: what was given.
        problem: what is wrong with it, and what to give instead.
    """

    def __init__(self, field: str, value: object, problem: str) -> None:
        """Name the `field`, the `value` and the `problem`, which should say what to give instead."""
        super().__init__(f"{field}={_short(value)}: {problem}")
        self.field = field
        self.value = value
        self.problem = problem
        self.outcome = "not_sent"


class TransportError(BesmartError):
    """The request or its answer was lost on the way.

    Attributes:
        operation: the operation's name, such as `"sensors.get"`.
        reached: whether any of the request may have reached the service.
        reused: whether an HTTP/1.1 connection broke that had served before, ahead of the answer: it was most likely
            closed while it was idle.
        queued: whether the call was still waiting for a free connection of this client, which says nothing about the
            service.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str = "",
        reached: bool = False,
        reused: bool = False,
        queued: bool = False,
        outcome: Outcome | None = None,
    ) -> None:
        """Say what failed, for which `operation`, and what that means for the service's state."""
        super().__init__(visible(message))
        self.operation = operation
        self.reached = reached
        self.reused = reused
        self.queued = queued
        self.outcome = outcome

    def __str__(self) -> str:
        return super().__str__() + _doubt(self)


class ConnectError(TransportError):
    """No connection to the service could be made; nothing was sent."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The service (or the wait for a free connection) took longer than the timeout."""


class ProtocolError(TransportError):
    """The connection broke, or what came back was not HTTP."""


class AnswerTooLargeError(TransportError):
    """The answer was larger than the client's `max_answer_bytes`, and not read to its end.

    Asking for the same again does not help.
    """


class ApiError(BesmartError):
    """The service answered with an error status.

    Attributes:
        status: HTTP status code.
        message: the service's own words, whichever of its error forms it used; secrets taken out, control characters
            written out.
        operation: the operation's name, such as `"sensors.get"`.
        response: the answer itself.
        retry_after_s: seconds the service asked to wait, if it did.
        hint: what to do about it.
    """

    hint: str = ""

    def __init__(
        self,
        status: int,
        message: str,
        operation: str,
        response: Response,
        *,
        outcome: Outcome | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Keep the answer beside a message that a newcomer understands."""
        message = visible(message)
        super().__init__(status, message, operation)
        self.status = status
        self.message = message
        self.operation = operation
        self.response = response
        self.outcome = outcome
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        said = f": {self.message}" if self.message else ""
        advice = self.hint or self._advice_on_redirect()
        hint = f" -- {advice}" if advice else ""
        return f"{self.operation}: {self.status} {_phrase(self.status)}{said}{_doubt(self)}{hint}"

    def _advice_on_redirect(self) -> str:
        if not 300 <= self.status < 400 or self.message.startswith("redirected"):
            return ""
        target = visible(self.response.headers.get("location", "nowhere"))
        return f"it redirects to {target}, and redirects are not followed; give the base_url that answers itself"


class AuthenticationError(ApiError):
    """401 (and 404 on login): the credentials or the token are not accepted."""

    hint = "check login, password and api_key (or the token)"


class PermissionDeniedError(ApiError):
    """403: the account may not do this."""

    hint = "this account lacks the right; ask the workspace's owner"


class NotFoundError(ApiError):
    """404: no such resource, or none this account can see."""


class ConflictError(ApiError):
    """409: it contradicts what is stored, such as another state in that period."""


class PayloadTooLargeError(ApiError):
    """413: the request body is over the service's limit."""

    hint = "send fewer readings at once; client.writer() splits by itself"


class UnprocessableError(ApiError):
    """422: the service understood the request and refuses its content."""


class RateLimitError(ApiError):
    """429: too many requests."""

    hint = "slow down, or use client.writer() / client.reader(), which send fewer and larger requests"


class ServerError(ApiError):
    """5xx: the service failed."""

    hint = "the service's fault; try again later"


class DecodeError(BesmartError):
    """An answer that breaks the API's contract.

    Attributes:
        operation: the operation's name.
        path: where in the answer, such as `$[3].data.time`.
        response: the answer itself, if there is one.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str = "$",
        operation: str = "",
        response: Response | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        """Say what is wrong at `path`."""
        problem, path = visible(problem), visible(path)
        super().__init__(problem)
        self.problem = problem
        self.path = path
        self.operation = operation
        self.response = response
        self.outcome = outcome

    def __str__(self) -> str:
        where = f"{self.operation}: " if self.operation else ""
        return f"{where}the answer breaks the contract: {self.problem} @ {self.path}{_doubt(self)}"


class WriterTimeoutError(BesmartError, TimeoutError):
    """A writer had no room in time (its `outcome` is `"not_sent"`), or a flush did not come to its end in time."""


class JournalError(BesmartError):
    """The journal of a writer cannot be used; nothing is accepted that is not in it.

    Attributes:
        path: the journal.
        problem: why not, and what to do about it.
    """

    def __init__(self, path: str | PathLike[str], problem: str, *, outcome: Outcome = "not_sent") -> None:
        """Name the journal and what is wrong."""
        super().__init__(path, problem)
        self.path = str(path)
        self.problem = problem
        self.outcome = outcome

    def __str__(self) -> str:
        return f"journal {self.path}: {self.problem}"


class UndeliveredError(BesmartError):
    """What a writer accepted and could not deliver, raised by `flush` or at the end of `async with`.

    Attributes:
        report: the writer's `DeliveryReport`.
        undelivered: a `Rejection` (data, error, outcome) for each part of the readings that did not arrive.
        journaled: readings not delivered yet that stay in the writer's journal: the next writer on it delivers them.
        dropped: readings that did not arrive and are not in `undelivered`, since their data took too much memory.
    """

    def __init__(
        self, report: DeliveryReport, undelivered: Sequence[Rejection], journaled: int = 0, dropped: int = 0
    ) -> None:
        """Count what did not arrive, with the reason of the first."""
        super().__init__(report, undelivered, journaled, dropped)
        self.dropped = dropped
        self.report = report
        self.undelivered = tuple(undelivered)
        self.journaled = journaled

    def __str__(self) -> str:
        told = [self._lost()] if self.undelivered or not self.journaled else []
        if self.dropped:
            told.append(f"{self.dropped} more readings were not delivered; their data was not kept")
        if self.journaled:
            told.append(f"{self.journaled} readings stay in the journal; the next writer on it delivers them")
        return "; ".join(told)

    def _lost(self) -> str:
        readings = sum(rejection.readings for rejection in self.undelivered)
        doubtful = sum(rejection.readings for rejection in self.undelivered if rejection.outcome == "in_doubt")
        doubt = f" ({doubtful} of them in doubt)" if doubtful else ""
        if not self.undelivered:
            return "readings were not delivered"
        first = self.undelivered[0]
        return f"{readings} readings were not delivered{doubt}; the first, of signal {first.data.key}: {first.error}"


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"} | {
    code: f"\\u{code:04x}" for code in (*range(0x2028, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
}
"""C0 and C1 controls, which a terminal obeys, other line ends, marks that change the direction of text, and halves of
characters, which stand for bytes of file names that are not UTF-8, as they are written out."""
_LINE_ENDS = {ord("\n"): "\\n", ord("\t"): "\\t"}


def visible(text: str, *, one_line: bool = False) -> str:
    r"""Return `text` with control characters written out (`\x1b`), so that a terminal does not interpret them.

    Args:
        text: a text from outside: of the service, of a file, a file's name.
        one_line: write out line ends and tabs as well, which stay otherwise.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = text.replace("\r\n", "\n").translate(_CONTROLS)
    return shown.translate(_LINE_ENDS) if one_line else shown


def _doubt(error: BesmartError) -> str:
    in_doubt = error.outcome == "in_doubt"
    return " (in doubt: it may have been applied; read back before repeating it)" if in_doubt else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Status"


def _short(value: object, limit: int = 80) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, a structure without end
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
