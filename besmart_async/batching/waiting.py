"""The two sides of a reader: what asks the service, and what waits for an answer and how it is told."""

from __future__ import annotations

from typing import Protocol

from besmart_async.batching.gathering import Landed
from besmart_async.errors import BesmartError
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData


class Send(Protocol):
    """One bulk read: returns the answer's items as they came, in any order. Retries and logging in are its business."""

    async def __call__(self, queries: list[SignalQuery], /) -> list[SignalData]:
        """Ask the service once; the queries are of different signals."""
        ...


class Waiter(Protocol):
    """What the gatherer keeps for each read: an `asyncio.Future`, or something that behaves like one."""

    def done(self) -> bool:
        """Tell whether it needs no answer any more."""
        ...

    def set_result(self, result: SignalData, /) -> None:
        """Take the answer."""
        ...

    def set_exception(self, exception: BesmartError, /) -> None:
        """Take the error, an instance of its own."""
        ...


def tell(landed: Landed[Waiter]) -> None:
    """Tell everyone who still waits; each gets an error instance of its own, as raising it writes to it."""
    for flight, answer in landed:
        for waiter in flight.waiters:
            if waiter.done():
                continue
            if isinstance(answer, SignalData):
                waiter.set_result(answer)
            else:
                waiter.set_exception(answer.clone())
        flight.waiters.clear()


def unexpected(error: BaseException) -> BesmartError:
    """Return what to tell where a read ended in a way that nobody foresaw."""
    told = BesmartError(f"a read ended unexpectedly: {error!r}")
    told.__cause__ = error
    return told
