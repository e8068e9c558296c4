"""What a reader tells its hooks. Frozen values; a failing hook breaks nothing.

A bulk call is told twice: `ReadBatchSent`, then one of `ReadBatchAnswered`, `ReadBatchSplit` and `ReadBatchFailed`,
once everyone who waited for it has been told. What is asked again, in halves or alone, is a batch of its own number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from besmart_async.batching.read.core.coalescer import Batch, Landed
from besmart_async.errors import BesmartError
from besmart_async.models.series import SignalData
from besmart_async.transport.events import Hooks

W = TypeVar("W")


@attrs.frozen(kw_only=True)
class ReadBatchSent:
    """A bulk call leaves; retries of it are the transport's, and told to the client's hooks.

    Attributes:
        batch: the call's number, 1 for the reader's first.
        queries: how many distinct requests are in it, each of another signal; several reads may share one.
    """

    batch: int
    queries: int


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
"""What the hooks of a reader are told."""

ReadHook = Callable[[ReadEvent], None]
"""Called with every event, in the event loop: it must not block."""


class ReadHooks:
    """Tells every hook of every call, in order; false while there are none."""

    def __init__(self, hooks: Sequence[ReadHook]) -> None:
        self._tell = Hooks[ReadEvent](hooks, whose="reader", what="reader")

    def __bool__(self) -> bool:
        return bool(self._tell)

    def sent(self, batch: Batch[W]) -> None:
        """Tell that `batch` leaves."""
        self._tell(ReadBatchSent(batch=batch.number, queries=len(batch)))

    def ended(self, batch: Batch[W], landed: Landed[W], error: BesmartError | None, elapsed_s: float) -> None:
        """Tell what became of `batch`: `landed` is what the gatherer made of the answer, or of the `error`."""
        number, queries = batch.number, len(batch)
        if error is None:
            found = [data for _, data in landed if isinstance(data, SignalData) and not data.absent]
            readings = sum(map(len, found))
            self._tell(
                ReadBatchAnswered(
                    batch=number, queries=queries, answered=len(found), readings=readings, elapsed_s=elapsed_s
                )
            )
        elif batch.divisible(error):
            self._tell(ReadBatchSplit(batch=number, queries=queries, error=error))
        else:
            self._tell(ReadBatchFailed(batch=number, queries=queries, error=error))
