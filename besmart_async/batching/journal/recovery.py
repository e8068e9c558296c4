"""What an earlier writer left in its journal, in columns again: single readings are joined across commits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from numpy.typing import NDArray

from besmart_async.batching.journal.records import Entry
from besmart_async.batching.write.core.segments import Tail
from besmart_async.batching.write.validation import Reading
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData

_MOST_ROWS = 10_000


@attrs.frozen(eq=False)
class Recovered:
    """Readings of one signal, with the ref of the commit each came from."""

    data: SignalData
    refs: int | NDArray[Any]


def in_columns(commits: Iterable[tuple[int, Sequence[Entry]]]) -> list[Recovered]:
    """Return what some commits hold; of each signal, in order of acceptance."""
    recovered: list[Recovered] = []
    runs: dict[SignalKey, Tail] = {}
    for ref, entries in commits:
        for entry in entries:
            run = runs.get(entry.key)
            if isinstance(entry, SignalData):
                if run is not None:
                    recovered.append(_ended(runs.pop(entry.key)))
                recovered.append(Recovered(entry, ref))
                continue
            if run is not None and (run.unit != entry.unit or len(run) >= _MOST_ROWS):
                recovered.append(_ended(runs.pop(entry.key)))
                run = None
            if run is None:
                run = runs[entry.key] = Tail(entry.key, entry.type, entry.origin, entry.unit, ref, 0)
            _append(run, entry, ref)
    return recovered + [_ended(run) for run in runs.values()]


def _append(run: Tail, reading: Reading, ref: int) -> None:
    if run.type != reading.type or run.origin != reading.origin or run.ref != ref:
        run.note(reading.type, reading.origin, ref)
    run.times.append(reading.time)
    run.values.append(reading.value)
    run.plain = run.plain and reading.plain


def _ended(run: Tail) -> Recovered:
    return Recovered(run.columns(), run.segment().credit.ref)
