"""The writes of one reading: their order, what was told of each, and whether what was applied agrees with that."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import attrs

from tests.faults.told import REMOVAL

Moment = tuple[float, int]
"""Time and origin: what tells the readings of one signal apart."""

_NEVER_STORED = frozenset({"refused", "rejected", "not_sent"})
_HANDED_BACK = frozenset({"rejected", "not_sent", "in_doubt"})
_UNSURE = frozenset({"offered", "in_doubt"})


class StoredRow(Protocol):
    """One acquisition as the simulator keeps it."""

    @property
    def time(self) -> float: ...
    @property
    def value(self) -> Any: ...
    @property
    def type(self) -> str: ...
    @property
    def origin(self) -> int: ...


@attrs.define
class Write:
    """One value of one reading, and what its caller was told last."""

    value: float
    kind: str
    state: str = "offered"

    @property
    def handed_back(self) -> bool:
        """Whether its caller was told that it was given up."""
        return self.state in _HANDED_BACK


@attrs.define
class History:
    """The writes of one reading in their order; `acknowledged` is the newest one the caller may rely on."""

    writes: list[Write] = attrs.field(factory=list[Write])
    acknowledged: int = -1
    _by_value: dict[float, int] = attrs.field(factory=dict[float, int])

    def add(self, value: float, kind: str) -> None:
        if kind != REMOVAL:
            self._by_value[value] = len(self.writes)
        self.writes.append(Write(value, kind))

    def number_of(self, value: Any, kind: str, after: int = -1) -> int | None:
        """Which write a row came from; removals are all alike: the first that is not older than `after`."""
        if kind != REMOVAL:
            return self._by_value.get(value)
        removals = [number for number, write in enumerate(self.writes) if write.kind == REMOVAL]
        later = [number for number in removals if number >= after]
        likely = [number for number in later if self.writes[number].state not in _NEVER_STORED]
        return next(iter([*likely, *later, *reversed(removals)]), None)

    def last_told(self, value: float, kind: str) -> int:
        """Which write something told is about; of removals the newest."""
        number = self.number_of(value, kind, len(self.writes)) if kind == REMOVAL else self._by_value.get(value)
        assert number is not None, f"told of value {value}, which was never offered"
        return number

    @property
    def never_stored(self) -> bool:
        """Whether the service has refused all of it, or never seen it."""
        return all(write.state in _NEVER_STORED for write in self.writes)

    def since_acknowledged(self) -> History:
        """The same without what was written before the newest acknowledged write."""
        kept = History(acknowledged=0)
        for write in self.writes[self.acknowledged :]:
            kept.add(write.value, write.kind)
            kept.writes[-1].state = write.state
        return kept

    def possible_ends(self) -> tuple[set[int], int | None]:
        """The writes that may be the final value (-1: none at all), and the one that must at least be there."""
        possible: set[int] = set()
        for number in range(len(self.writes) - 1, -1, -1):
            state = self.writes[number].state
            if state in _NEVER_STORED:
                continue
            possible.add(number)
            later = self.writes[number + 1 :]
            replaced_while_queued = state == "accepted" and any(write.state != "refused" for write in later)
            if state not in _UNSURE and not replaced_while_queued:
                return possible, number
        return possible | {-1}, None


def judge(where: str, history: History, rows: Sequence[StoredRow], found: dict[str, list[str]]) -> None:
    """Hold what was applied, in its order, against what was told; put what is wrong into `found`, by its kind."""
    applied: list[int] = []
    for row in rows:
        number = history.number_of(row.value, row.type, applied[-1] if applied else -1)
        if number is None:
            found["strange"].append(f"{where}: {row.value!r} ({row.type}) was never written")
        else:
            applied.append(number)
    told = [write.state for write in history.writes]
    if any(later < earlier for earlier, later in pairwise(applied)):
        found["out_of_order"].append(f"{where}: applied as {applied}, told {told}")
    found["against"] += [f"{where}: write {n} was {told[n]}" for n in set(applied) if told[n] in _NEVER_STORED]
    possible, least = history.possible_ends()
    final = applied[-1] if applied else -1
    alike = {n for n in possible if n >= 0 and history.writes[n].kind == REMOVAL}
    is_removed = bool(rows) and rows[-1].type == REMOVAL and bool(alike)
    if final not in possible and not is_removed:
        missing = least is not None and least not in applied
        found["lost" if missing else "wrong"].append(f"{where}: applied {applied}, told {told}")
