"""The last reading of signals. The API cannot ask for it, so windows are read backwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing
from itertools import pairwise

from besmart_async.batching.read.reader import Reader
from besmart_async.errors import BesmartError
from besmart_async.export.report import refuses_one_signal
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

STEPS_DAYS = (1, 31, 366, 3_653)
"""How far back each step looks until a signal has a reading: most have one of today."""

_DAY_MS = 86_400_000


async def latest(
    reader: Reader,
    keys: Iterable[SignalKey],
    till_ms: float,
    *,
    since_ms: float | None = None,
    signal_origin_id: int | None = None,
) -> Mapping[SignalKey, SignalData | None]:
    """Return the last reading of each signal up to a moment, as `SignalData` of one row.

    Of records for the same time the newest counts (`get_last`). Readings after `till_ms`, such as predictions, do not.

    Args:
        reader: what to read through.
        keys: which signals.
        till_ms: the moment, UTC unix milliseconds.
        since_ms: how far back to look at most; ten years by default.
        signal_origin_id: only readings of this origin.

    Returns:
        By signal: its last reading; no rows if it has none; `absent` if the service gave no answer for it, or refuses
        it.

    Raises:
        BesmartError: a read failed, with a note that names the signal.
    """
    found: dict[SignalKey, SignalData | None] = dict.fromkeys(keys)
    missing = list(found)

    def refused(query: SignalQuery, error: BesmartError) -> None:
        if not refuses_one_signal(error):
            raise error
        found[query.key] = SignalData.missing(query.key)

    for till, since in pairwise(_edges(till_ms, since_ms)):
        queries = [SignalQuery(key, since, till, True, signal_origin_id=signal_origin_id) for key in missing]
        async with aclosing(reader.stream(queries, on_error=refused)) as stream:
            async for data in stream:
                last = data.take(data.time <= till_ms).sorted()
                found[data.key] = last.take(slice(len(last) - 1, None)) if len(last) else last
        missing = [key for key in missing if _empty(found[key])]
        if not missing:
            break
    return found


def _edges(till_ms: float, since_ms: float | None) -> list[float]:
    """Return the edges of the windows, from the last backwards; each window ends a millisecond later than needed."""
    first = till_ms - STEPS_DAYS[-1] * _DAY_MS if since_ms is None else since_ms
    steps = [till_ms - days * _DAY_MS for days in STEPS_DAYS]
    return [till_ms + 1, *(step for step in steps if step > first), first]


def _empty(data: SignalData | None) -> bool:
    return data is None or (not len(data) and not data.absent)
