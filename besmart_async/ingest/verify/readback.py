"""Reading everything back and comparing it with what was delivered.

The window of a signal's delivered readings is read, one millisecond longer, so that it does not matter whether the
service includes the end. Other readings that the service holds in the window are ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.ingest.report import Difference, Verification
from besmart_async.ingest.verify.archive import Delivered
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.times import from_ms

MAX_QUERIES = 200
"""Signals in one bulk read."""
MAX_READINGS = 50_000
"""Readings expected from one bulk read: about 2 MB."""
SHOWN = 10
"""Differences that are kept in the report."""

_IN_FLIGHT = 4
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}

ReadBulk = Callable[[Sequence[SignalQuery]], Awaitable[list[SignalData]]]


@attrs.frozen(eq=False)
class Window:
    """Readings of one signal and origin that are read back together."""

    delivered: Delivered
    rows: slice
    origin: int | None

    @property
    def query(self) -> SignalQuery:
        """The query for them."""
        time = self.delivered.time[self.rows]
        return SignalQuery(
            self.delivered.key,
            time[0].item(),
            time[-1].item() + 1,
            get_last=True,
            signal_origin_id=self.origin,
        )

    def __len__(self) -> int:
        return int(self.rows.stop - self.rows.start)


@attrs.define
class _Counts:
    expected: int = 0
    requests: int = 0
    verified: int = 0
    converted: int = 0
    differences: list[Difference] = attrs.field(factory=list[Difference])


async def verify(
    read_bulk: ReadBulk, delivered: Iterable[Delivered], on_compared: Callable[[int], None] = lambda _: None
) -> Verification:
    """Read back and compare.

    Args:
        read_bulk: a bulk read, with one answer per query, in order.
        delivered: what was delivered; consumed while reading.
        on_compared: called with the number of readings compared, batch by batch.

    Raises:
        BesmartError: a read failed.
    """
    counts = _Counts()

    async def compare(batch: Sequence[Window]) -> None:
        answers = await read_bulk([window.query for window in batch])
        for window, answer in zip(batch, answers, strict=True):
            _compare(window, answer, counts)
        on_compared(sum(map(len, batch)))

    tasks: set[asyncio.Task[None]] = set()
    try:
        for batch in _batches(window for signal in delivered for window in windows(signal)):
            counts.expected += sum(map(len, batch))
            counts.requests += 1
            tasks.add(asyncio.create_task(compare(batch)))
            if len(tasks) >= _IN_FLIGHT:
                tasks -= await _first_done(tasks)
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return Verification(
        expected=counts.expected,
        verified=counts.verified,
        converted=counts.converted,
        requests=counts.requests,
        differences=tuple(counts.differences[:SHOWN]),
    )


async def _first_done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait for one of the tasks, and raise its error if it failed."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return done


def windows(delivered: Delivered, max_readings: int = MAX_READINGS) -> Iterator[Window]:
    """Cut the readings of one signal into windows of one origin and at most `max_readings`."""
    starts = [0, *(np.flatnonzero(np.diff(delivered.origin)) + 1).tolist(), len(delivered)]
    for start, stop in pairwise(starts):
        # The query names the origin only if a signal has several: not every service may know that filter.
        origin = int(delivered.origin[start]) if len(starts) > 2 else None
        for first in range(start, stop, max_readings):
            yield Window(delivered, slice(first, min(first + max_readings, stop)), origin)


def _batches(every: Iterable[Window]) -> Iterator[list[Window]]:
    """Gather windows into bulk reads that query each signal only once."""
    batch: list[Window] = []
    keys: set[SignalKey] = set()
    readings = 0
    for window in every:
        full = len(batch) >= MAX_QUERIES or readings + len(window) > MAX_READINGS
        if batch and (full or window.delivered.key in keys):
            yield batch
            batch, keys, readings = [], set(), 0
        batch.append(window)
        keys.add(window.delivered.key)
        readings += len(window)
    if batch:
        yield batch


def _compare(window: Window, answer: SignalData, counts: _Counts) -> None:
    signal, rows = window.delivered, window.rows
    time, sent, unit = signal.time[rows], signal.value[rows], signal.unit[rows]
    found = _found(answer, time, window.origin)
    factors = np.array([_factor(symbol, answer.unit) for symbol in signal.units])[unit]
    exact = factors == 1.0
    same = np.where(exact, found == sent, np.isclose(found, sent * factors, rtol=1e-12, atol=0.0))
    counts.verified += int(same.sum())
    counts.converted += int((same & ~exact).sum())
    for row in np.flatnonzero(~same)[: max(0, SHOWN - len(counts.differences))].tolist():
        value = float(found[row])
        counts.differences.append(
            Difference(
                str(signal.key),
                from_ms(time[row].item()).isoformat().replace("+00:00", "Z"),
                int(signal.origin[rows][row]),
                float(sent[row]),
                None if np.isnan(value) else value,
            )
        )


def _found(answer: SignalData, time: NDArray[np.int64], origin: int | None) -> NDArray[np.float64]:
    """Return the value that the service returned for each time; NaN if none."""
    if answer.absent or not len(answer):
        return np.full(len(time), np.nan)
    if origin is not None and answer.origin is not None:
        answer = answer.take(np.flatnonzero(np.broadcast_to(answer.origin == np.int64(origin), len(answer))))
    answer = answer.sorted()
    value = answer.value
    if value.dtype == object:
        numbers = [one if type(one) in (int, float) else np.nan for one in value.tolist()]
        value = np.array(numbers, np.float64)
    # The last of equal times: if the service does not know `get_last`, the newest comes last.
    place = np.searchsorted(answer.time, time, side="right") - 1
    hit = (place >= 0) & (answer.time[np.maximum(place, 0)] == time) if len(answer) else np.zeros(len(time), np.bool_)
    return np.where(hit, value[np.maximum(place, 0)] if len(answer) else np.nan, np.nan).astype(np.float64)


def _factor(sent: str | None, found: str | None) -> float:
    """Return the factor between two units; NaN if they measure different things."""
    if sent is None or found is None or sent == found:
        return 1.0
    sent_prefix, sent_base = _split(sent)
    found_prefix, found_base = _split(found)
    return sent_prefix / found_prefix if sent_base == found_base else float("nan")


def _split(unit: str) -> tuple[float, str]:
    prefix = unit[:1] if len(unit) > 1 and unit[:1] in _PREFIXES else ""
    return _PREFIXES[prefix], unit[len(prefix) :]
