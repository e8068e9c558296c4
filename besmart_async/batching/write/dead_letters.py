"""What cannot be delivered, on its way to whoever wants to know: a handler, or the next `flush` or exit."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context

from besmart_async.batching.write.core.log import columns_cost
from besmart_async.logs import logger
from besmart_async.models.delivery import Rejection

OnReject = Callable[[Rejection], Awaitable[object] | object]

REJECTION_BYTES = 300
"""Estimate for a kept rejection without its columns."""
ERROR_BYTES = 1_400
"""Estimate for its error, with the answer that refused it; the readings of one call share it."""


class DeadLetters:
    """Hands rejections to `on_reject`, one at a time and in order, or keeps them.

    Args:
        on_reject: the handler; None to keep rejections until they are raised.
        max_bytes: what may be kept; of what is beyond, only the number is.

    Attributes:
        told: called with each rejection that somebody has had.
        bytes: what is kept takes so much memory (an estimate).
        dropped: readings whose data was not kept, since they were last taken.
    """

    def __init__(self, on_reject: OnReject | None, max_bytes: int) -> None:
        self._on_reject = on_reject
        self._max_bytes = max_bytes
        self.told: Callable[[Rejection], object] = _nobody_asks
        self.bytes = 0
        self.dropped = 0
        self._queue: deque[Rejection] = deque()
        self._task: asyncio.Task[None] | None = None
        self._kept: list[Rejection] = []
        self._errors: list[Exception] = []

    def add(self, rejection: Rejection, *, told_otherwise: bool) -> bool:
        """Take a rejection. Without a handler it is kept, unless its caller is told otherwise (`deliver`).

        Returns:
            Whether nobody hears of it now.
        """
        if self._on_reject is not None:
            self._queue.append(rejection)
            if self._task is None:
                self._hand_over()
            return False
        if told_otherwise:
            self.told(rejection)
            return False
        shared = bool(self._kept) and self._kept[-1].error is rejection.error
        cost = REJECTION_BYTES + columns_cost(rejection.data) + (0 if shared else ERROR_BYTES)
        if self.bytes + cost <= self._max_bytes:
            self._kept.append(rejection)
            self.bytes += cost
        else:
            if not self.dropped:
                logger.error(
                    "the besmart writer keeps no more data of readings that were given up (%d bytes are kept); give it "
                    "an on_reject, or flush more often",
                    self.bytes,
                )
            self.dropped += rejection.readings
            self.told(rejection)
        return True

    def take(self) -> tuple[list[Rejection], int]:
        """Return what was kept, and how many readings beyond that were not; once."""
        kept, dropped = self._kept, self.dropped
        self._kept, self.bytes, self.dropped = [], 0, 0
        for rejection in kept:
            self.told(rejection)
        return kept, dropped

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
                    self._work(rejection, pending), name="besmart writer on_reject", context=Context()
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
