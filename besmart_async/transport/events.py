"""What a client reports to its hooks. Frozen values without secrets; a hook that fails breaks nothing."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Literal, TypeVar

import attrs

from besmart_async.errors import BesmartConfigError

logger = logging.getLogger("besmart_async")


@attrs.frozen(kw_only=True)
class RequestStarted:
    """An attempt is about to be sent.

    Attributes:
        operation: the operation's name, such as `"sensors.get"`.
        method: HTTP method.
        path: the document's path, placeholders unfilled.
        attempt: 1 for the first.
        body_bytes: size of the request body.
    """

    operation: str
    method: str
    path: str
    attempt: int
    body_bytes: int


@attrs.frozen(kw_only=True)
class ResponseReceived:
    """An attempt was answered, whatever the status.

    Attributes:
        operation: the operation's name.
        attempt: 1 for the first.
        status: HTTP status code.
        elapsed_s: seconds from sending to the last byte of the answer.
        body_bytes: size of the answer's body.
    """

    operation: str
    attempt: int
    status: int
    elapsed_s: float
    body_bytes: int


@attrs.frozen(kw_only=True)
class RequestFailed:
    """An attempt was not answered.

    Attributes:
        operation: the operation's name.
        attempt: 1 for the first.
        error: what went wrong.
        elapsed_s: seconds from sending to the failure.
    """

    operation: str
    attempt: int
    error: Exception
    elapsed_s: float


@attrs.frozen(kw_only=True)
class RetryScheduled:
    """A call will be tried again.

    Attributes:
        operation: the operation's name.
        attempt: the attempt that failed; 1 for the first.
        wait_s: seconds until the next one.
        error: why.
    """

    operation: str
    attempt: int
    wait_s: float
    error: Exception


@attrs.frozen(kw_only=True)
class TokenRenewed:
    """The client has a new token.

    Attributes:
        by: how the client got it.
        life_s: seconds until it expires; None if the service did not say, or gave a moment in the past.
    """

    by: Literal["login", "refresh"]
    life_s: float | None


Event = RequestStarted | ResponseReceived | RequestFailed | RetryScheduled | TokenRenewed
Hook = Callable[[Event], None]
E = TypeVar("E")


def check_hooks(hooks: object) -> None:
    """Refuse hooks that would never run: the one rule for clients, readers and writers.

    Raises:
        BesmartConfigError: `hooks` is not a sequence of plain functions, or of objects with a plain `__call__`.
    """
    if isinstance(hooks, str) or not isinstance(hooks, Sequence) or not all(map(callable, hooks)):
        raise BesmartConfigError("hooks: give a list of functions that take one event")
    if any(map(_is_async, hooks)):
        raise BesmartConfigError("hooks: give plain functions, not async ones: they are called in passing, not awaited")


def _is_async(hook: object) -> bool:
    if isinstance(hook, partial):
        return _is_async(hook.func)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    call = getattr(hook, "__call__", None)  # noqa: B004 - of an object it may be async
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in (hook, call))


class Hooks(Generic[E]):
    """Calls every hook with every event, in order; false while there are none. Readers and writers use it as well.

    Args:
        hooks: what to call.
        whose: whose hooks they are, for the log.
        what: what goes on although a hook failed, for the log.

    Raises:
        BesmartConfigError: `hooks` is not a sequence of plain functions, or of objects with a plain `__call__`.
    """

    def __init__(self, hooks: Sequence[Callable[[E], None]] = (), *, whose: str = "client", what: str = "call") -> None:
        check_hooks(hooks)
        self._hooks = tuple(hooks)
        self._said = f"a hook of the besmart {whose} failed on %s; the {what} goes on"

    def __call__(self, event: E) -> None:
        """Report `event`; an exception of a hook is logged and goes no further."""
        for hook in self._hooks:
            try:
                result: object = hook(event)
                if inspect.iscoroutine(result):  # of a lambda that calls an async function, which shows only here
                    result.close()
                    logger.error("hook %r returned a coroutine, which is never awaited; give a plain function", hook)
            except Exception:
                logger.exception(self._said, type(event).__name__)

    def __bool__(self) -> bool:
        return bool(self._hooks)
