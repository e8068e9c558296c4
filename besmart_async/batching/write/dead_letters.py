"""What cannot be delivered, on its way to whoever wants to know: a handler, or the next `flush` or exit."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable

from besmart_async.models.delivery import Rejection

OnReject = Callable[[Rejection], Awaitable[object] | object]

KEPT_READINGS = 2_000_000
"""So many undelivered readings are kept, with their data, for a caller that gave no handler; more are only counted."""


class Outbox:
    """Hands rejections to `on_reject`, one at a time and in order, or keeps them.

    Attributes:
        told: called with each rejection that somebody has had.
    """

    def __init__(self, on_reject: OnReject | None) -> None:
        self._on_reject = on_reject
        self.told: Callable[[Rejection], object] = _nobody_asks
        self._queue: deque[Rejection] = deque()
        self._task: asyncio.Task[None] | None = None
        self._kept: list[Rejection] = []
        self._kept_readings = 0
        self._errors: list[Exception] = []

    def add(self, rejection: Rejection, *, told_otherwise: bool) -> None:
        """Take a rejection. Without a handler it is kept, unless its caller is told otherwise (`deliver`)."""
        if self._on_reject is None:
            if told_otherwise:
                self.told(rejection)
            elif self._kept_readings < KEPT_READINGS:
                self._kept.append(rejection)
                self._kept_readings += rejection.readings
            return
        self._queue.append(rejection)
        if self._task is None:
            self._hand_over()

    def take(self) -> list[Rejection]:
        """Return what was kept, once."""
        kept, self._kept, self._kept_readings = self._kept, [], 0
        for rejection in kept:
            self.told(rejection)
        return kept

    def take_errors(self) -> list[Exception]:
        """Return what the handler raised, once."""
        errors, self._errors = self._errors, []
        return errors

    async def empty(self, timeout_s: float) -> None:
        """Wait until the handler has had everything; after `timeout_s` it is cancelled."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s)
        self.cancel()

    def cancel(self) -> None:
        """Give up on a handler that is at work."""
        if self._task is not None:
            self._task.cancel()

    def _hand_over(self) -> None:
        """Call the handler for all that is queued, here as long as it does not have to be awaited."""
        while self._queue:
            rejection = self._queue.popleft()
            pending = self._called(rejection)
            if pending is not None:
                self._task = asyncio.get_running_loop().create_task(
                    self._work(rejection, pending), name="besmart writer on_reject"
                )
                return

    def _called(self, rejection: Rejection) -> Awaitable[object] | None:
        assert self._on_reject is not None  # noqa: S101 - nothing is queued without one
        try:
            result = self._on_reject(rejection)
        except Exception as error:  # the handler's fault is kept for the exit: it must not break the engine
            self._errors.append(error)
            result = None
        if inspect.isawaitable(result):
            return result
        self.told(rejection)
        return None

    async def _work(self, rejection: Rejection, pending: Awaitable[object] | None) -> None:
        try:
            while True:
                if pending is not None:
                    try:
                        await pending
                    except Exception as error:  # as above
                        self._errors.append(error)
                    self.told(rejection)
                if not self._queue:
                    return
                rejection = self._queue.popleft()
                pending = self._called(rejection)
        finally:
            self._task = None


def _nobody_asks(_: Rejection) -> None:
    """What is told without a journal: nobody keeps the readings until then."""
