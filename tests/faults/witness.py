"""A writer whose callers' experience is taken down: every call is told before it begins and after it ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from types import TracebackType
from typing import Any, Self

import attrs
import numpy as np

from besmart_async import (
    BesmartClient,
    BesmartError,
    DeliveryReport,
    InvalidInputError,
    Rejection,
    SignalData,
    SignalKey,
    UndeliveredError,
    Writer,
    WriterTimeoutError,
)
from tests.faults.told import REMOVAL, Told

OnReject = Callable[[Rejection], Awaitable[object] | object]
Tell = Callable[[Told], None]


class Witness:
    """Writes numbers of its own through a writer, and tells what became of each.

    Attributes:
        writer: the writer.
        errors: how often which error was raised to a caller.
    """

    def __init__(
        self,
        make: Callable[[OnReject], Writer],
        tell: Tell,
        values: Iterator[int] | None = None,
        on_reject: OnReject | None = None,
    ) -> None:
        """Make the writer.

        Args:
            make: makes the writer with the handler it is given.
            tell: where things told go: `Oracle.note`, or into a pipe as lines.
            values: numbers that nobody else writes.
            on_reject: called with each rejection after it was told.
        """
        self.writer = make(self._handed_back)
        self.errors: Counter[str] = Counter()
        self._tell = tell
        self._values = values if values is not None else count(1)
        self._on_reject = on_reject

    async def __aenter__(self) -> Self:
        await self.writer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.writer.__aexit__(kind, error, traceback)

    async def write(self, key: SignalKey, time: int, *, origin: int = 1) -> None:
        """Write one reading."""
        value = float(next(self._values))
        told = Told(what="offered", key=key, times=(time,), values=(value,), origin=origin)
        await self._witnessed(told, self.writer.write(key, time, value, origin=origin), "accepted")

    async def write_columns(self, key: SignalKey, times: list[int]) -> None:
        """Write readings of one signal at different times."""
        data, told = self._columns(key, times)
        await self._witnessed(told, self.writer.write_data(data), "accepted")

    async def write_matrix(self, key: SignalKey, times: list[int]) -> None:
        """Write them by `write_matrix`; of one signal, since of several it may accept the first ones alone."""
        data, told = self._columns(key, times)
        await self._witnessed(told, self.writer.write_matrix([key], times, np.stack([data.value])), "accepted")

    async def deliver(self, key: SignalKey, times: list[int]) -> None:
        """Write readings and wait until they are stored."""
        data, told = self._columns(key, times)
        await self._witnessed(told, self.writer.deliver(data), "acknowledged")

    async def remove(self, key: SignalKey, time: int) -> None:
        """Mark a reading as deleted."""
        told = Told(what="offered", key=key, times=(time,), values=(0.0,), kind=REMOVAL)
        await self._witnessed(told, self.writer.remove(key, time), "accepted")

    async def flush(self, timeout: float | None = None) -> DeliveryReport:
        """Wait until everything accepted so far has its outcome."""
        number = next(self._values)
        self._tell(Told(what="flushing", number=number))
        report = await self.writer.flush(timeout)
        self._tell(Told(what="flushed", number=number))
        return report

    def _columns(self, key: SignalKey, times: list[int]) -> tuple[SignalData, Told]:
        values = tuple(float(next(self._values)) for _ in times)
        return SignalData(key, times, values), Told(what="offered", key=key, times=tuple(times), values=values)

    async def _witnessed(self, told: Told, call: Awaitable[object], success: Any) -> None:
        self._tell(told)
        try:
            await call
        except asyncio.CancelledError:
            raise
        except BesmartError as error:
            self.errors[type(error).__name__] += 1
            if isinstance(error, WriterTimeoutError | InvalidInputError) or "writer is closed" in str(error):
                self._tell(attrs.evolve(told, what="refused"))
            raise
        self._tell(attrs.evolve(told, what=success))

    def _handed_back(self, rejection: Rejection) -> Awaitable[object] | object:
        for told in told_of(rejection):
            self._tell(told)
        return None if self._on_reject is None else self._on_reject(rejection)


def told_of(rejection: Rejection) -> list[Told]:
    """What a rejection tells, reading by reading, since they may differ in type and origin."""
    left = rejection.readings
    news: list[Told] = []
    for time, value, kind, origin in rejection.data.rows():
        removal = kind == REMOVAL
        stands_for = left - (len(rejection.data) - len(news) - 1) if not news else 1
        news.append(
            Told(
                what=rejection.outcome,
                key=rejection.data.key,
                times=(time,),
                values=(0.0 if removal else value,),
                origin=origin or 1,
                kind=kind or "DBL",
                readings=stands_for,
            )
        )
    return news


async def told_by_undelivered(call: Awaitable[Any], tell: Tell) -> UndeliveredError | None:
    """Await something that may raise `UndeliveredError`; tell what it carries."""
    try:
        await call
    except UndeliveredError as error:
        for rejection in error.undelivered:
            for told in told_of(rejection):
                tell(told)
        return error
    return None


async def single_write(client: BesmartClient, tell: Tell, key: SignalKey, time: int, value: float) -> None:
    """`client.signals.write` of one reading, told."""
    told = Told(what="offered", key=key, times=(time,), values=(value,), counted=False)
    tell(told)
    try:
        await client.signals.write(SignalData(key, [time], [value]))
    except BesmartError as error:
        if error.outcome is not None:
            tell(attrs.evolve(told, what=error.outcome))
        raise
    tell(attrs.evolve(told, what="acknowledged"))
