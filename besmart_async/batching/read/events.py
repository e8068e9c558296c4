"""The events that a reader passes to its hooks. Frozen values; a failing hook breaks nothing.

Each bulk call has two events: `ReadBatchSent`, then one of `ReadBatchAnswered`, `ReadBatchSplit` and `ReadBatchFailed`,
after everyone who waited for it has the result. What is asked again, in halves or alone, is a batch of its own number.
Hooks are called in the task of the call, which runs in an empty context.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context

import attrs

from besmart_async.batching.read.core.coalescer import ReadBatch, ReadResults, ReadWaiter
from besmart_async.errors import BesmartError
from besmart_async.models.series import SignalData
from besmart_async.transport.events import Hooks


@attrs.frozen(kw_only=True)
class ReadBatchSent:
    """A bulk call leaves. The transport's retries of it are events of the client's hooks.

    Attributes:
        batch: the call's number, 1 for the reader's first.
        queries: how many distinct requests are in it, each of another signal; several reads may share one.
        contexts: the contexts in which the reads in it were asked, for links to their traces; a `stream` counts once.
    """

    batch: int
    queries: int
    contexts: tuple[Context, ...] = attrs.field(default=(), eq=False, repr=False)


@attrs.frozen(kw_only=True)
class ReadBatchAnswered:
    """The service answered a call.

    Attributes:
        batch: the call's number.
        queries: how many requests were in it.
        answered: those that got their answer, with readings or empty. Of the others, a call of one says absent (or
            contradictory, which is an error); in a larger call they are missing or ambiguous, and asked again alone.
        readings: rows in the answers that count as answered.
        elapsed_s: seconds from sending to the answer, retries and their waits included.
    """

    batch: int
    queries: int
    answered: int
    readings: int
    elapsed_s: float


@attrs.frozen(kw_only=True)
class ReadBatchSplit:
    """A call was refused for what one of its requests is; those still waited for are asked again in halves.

    Attributes:
        batch: the call's number.
        queries: how many requests were in it.
        error: what the service said.
    """

    batch: int
    queries: int
    error: BesmartError


@attrs.frozen(kw_only=True)
class ReadBatchFailed:
    """A call failed for good: every read in it ends with this error. Closing the reader ends calls this way, too.

    Attributes:
        batch: the call's number.
        queries: how many requests were in it.
        error: why.
    """

    batch: int
    queries: int
    error: BesmartError


ReadEvent = ReadBatchSent | ReadBatchAnswered | ReadBatchSplit | ReadBatchFailed
"""What the hooks of a reader get."""

ReadHook = Callable[[ReadEvent], None]
"""Called with every event, in the event loop: it must not block."""


class ReadHooks:
    """Calls every hook with every event, in order."""

    def __init__(self, hooks: Sequence[ReadHook]) -> None:
        self._call = Hooks[ReadEvent](hooks, whose="reader", what="reader")

    def sent(self, batch: ReadBatch[ReadWaiter]) -> None:
        """Report that `batch` leaves."""
        found = [waiter.context for flight in batch.flights.values() for waiter in flight.waiters]
        contexts = {id(context): context for context in found if context is not None}
        self._call(ReadBatchSent(batch=batch.number, queries=len(batch), contexts=tuple(contexts.values())))

    def ended(
        self,
        batch: ReadBatch[ReadWaiter],
        results: ReadResults[ReadWaiter],
        error: BesmartError | None,
        elapsed_s: float,
    ) -> None:
        """Report how `batch` ended: `results` is what the coalescer made of the answer, or of the `error`."""
        number, queries = batch.number, len(batch)
        if error is None:
            found = [data for _, data in results if isinstance(data, SignalData) and not data.absent]
            readings = sum(map(len, found))
            self._call(
                ReadBatchAnswered(
                    batch=number, queries=queries, answered=len(found), readings=readings, elapsed_s=elapsed_s
                )
            )
        elif batch.divisible(error):
            self._call(ReadBatchSplit(batch=number, queries=queries, error=error))
        else:
            self._call(ReadBatchFailed(batch=number, queries=queries, error=error))
