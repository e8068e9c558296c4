"""Dead letters: readings that cannot be delivered, for a handler, or for the next `flush` or the exit."""

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
"""Estimated size of a kept rejection without its columns."""
ERROR_BYTES = 1_400
"""Estimated size of its error, with the answer of the service; the readings of one call share it."""


class DeadLetters:
    """Hands rejections to `on_reject`, one at a time and in order, or keeps them.

    Args:
        on_reject: the handler; None to keep rejections until they are raised.
        max_bytes: how much may be kept; beyond that, only the number of readings is.

    Attributes:
        told: called with each rejection that was handed over.
        bytes: memory of what is kept (an estimate).
        dropped: readings whose data was not kept, since the last `take`.
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
        """Take a rejection. Without a handler it is kept, unless a `deliver` raises it.

        Returns:
            Whether nobody gets it now.
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
                    "the besmart writer keeps no more data of readings that were given up (%d bytes are kept); set "
                    "on_reject, or call flush more often",
                    self.bytes,
                )
            self.dropped += rejection.readings
            self.told(rejection)
        return True

    def take(self) -> tuple[list[Rejection], int]:
        """Return what was kept, and the number of readings whose data was not; each once."""
        kept, dropped = self._kept, self.dropped
        self._kept, self.bytes, self.dropped = [], 0, 0
        for rejection in kept:
            self.told(rejection)
        return kept, dropped

    def take_errors(self) -> list[Exception]:
        """Return the exceptions of the handler, each once."""
        errors, self._errors = self._errors, []
        return errors

    async def empty(self, timeout_s: float) -> None:
        """Wait until the handler got everything; after `timeout_s` it is cancelled."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=timeout_s)
        self.cancel()

    def cancel(self) -> None:
        """Cancel a handler that is running."""
        if self._task is not None:
            self._task.cancel()

    def _hand_over(self) -> None:
        """Call the handler for everything queued; a task takes over as soon as it must be awaited."""
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
        except Exception as error:  # raised at the exit: an error of the handler must not break the engine
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
    """Do nothing: without a journal, nothing keeps the readings."""
