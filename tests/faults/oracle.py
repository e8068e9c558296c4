"""What callers were told, held against what the service stored. No pytest in it: child processes and benchmarks use it.

Rules
-----
- Every value that is offered is a number of its own, so a stored row names the write it came from.
- A reading is a signal, a time and an origin. Its writes have the order in which they were begun; nobody begins one
  while an earlier one of the same reading still waits for room.
- What is known of a write is the last thing its caller was told (`What`). A call that was cancelled, or whose process
  died, told nothing after `offered`: its readings may be stored or not.

What is wrong (`Verdict`)
-------------------------
- lost: the last write of a reading was accepted and not handed back, and is not stored;
- wrong: the final value is none of those that it may be;
- out of order: an older value of a reading was applied after a newer one;
- against our word: something was stored of which the caller was told that it was not;
- strange: something is stored that nobody wrote;
- stale: a read that began after an acknowledgement did not see what was acknowledged;
- miscounted: the writers' reports do not add up, or to something else than what was told;
- unresolved: somebody still waited when all was over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from besmart_async import DeliveryReport, SignalKey
from tests.faults.history import History, Moment, StoredRow, judge
from tests.faults.told import REMOVAL, Told

Promise = Mapping[Moment, int]
"""For each reading of a signal, the number of its newest acknowledged write."""

_EXAMPLES = 3


Stored = Callable[[int, int, int], Sequence[StoredRow]]
"""Every acquisition of a signal in the order of application, such as `Simulator.stored`."""


@attrs.frozen
class Verdict:
    """What is wrong, as sentences; `clean` if nothing is."""

    readings: int
    writes: int
    lost: list[str]
    wrong: list[str]
    out_of_order: list[str]
    against_our_word: list[str]
    strange: list[str]
    stale: list[str]
    miscounted: list[str]
    unresolved: list[str]

    @property
    def faults(self) -> dict[str, list[str]]:
        """The kinds of what is wrong, without those of which there is nothing."""
        named = attrs.asdict(self, filter=lambda _, value: isinstance(value, list) and bool(value))
        return {name.replace("_", " "): found for name, found in named.items()}

    @property
    def clean(self) -> bool:
        return not self.faults

    def __str__(self) -> str:
        lines = [f"{self.writes} writes of {self.readings} readings: {'clean' if self.clean else 'NOT CLEAN'}"]
        for name, found in self.faults.items():
            lines += [f"{name}: {len(found)}", *(f"    {sentence}" for sentence in found[:_EXAMPLES])]
        return "\n".join(lines)


class Oracle:
    """Takes down what callers are told (`note`), and judges what is stored (`verdict`)."""

    def __init__(self) -> None:
        self._signals: dict[SignalKey, dict[Moment, History]] = {}
        self._fresh: dict[tuple[SignalKey, Moment], int] = {}
        self._flushes: dict[int, dict[tuple[SignalKey, Moment], int]] = {}
        self._stale: list[str] = []
        self._unresolved: list[str] = []
        self.handed_back: Counter[str] = Counter()
        self.accepted = 0
        self.unsure = 0
        self.writes = 0

    # -- what callers are told ---------------------------------------------------------------------------------------

    def note(self, told: Told) -> None:
        """Take down one thing that a caller was told."""
        if told.what == "flushing":
            self._flushes[told.number] = dict(self._fresh)
        elif told.what == "flushed":
            for (key, moment), number in self._flushes.pop(told.number).items():
                self._settle(key, moment, number)
        elif told.what == "offered":
            self._offered(told)
        else:
            self._learned(told)

    def read(self, lines: Iterable[str | bytes]) -> None:
        """Take down the log of another process; a last line that it did not finish is left out."""
        for line in lines:
            text = line.decode() if isinstance(line, bytes) else line
            if text.endswith("\n"):
                self.note(Told.of_line(text))

    def unresolved(self, who: str) -> None:
        """Note somebody who was never told anything."""
        self._unresolved.append(who)

    def _offered(self, told: Told) -> None:
        signal = self._signals.setdefault(told.key, {})
        for time, value in zip(told.times, told.values, strict=True):
            signal.setdefault((time, told.origin), History()).add(value, told.kind)
        self.writes += len(told.times)
        self.unsure += len(told.times) if told.counted else 0

    def _learned(self, told: Told) -> None:
        signal = self._signals[told.key]
        handed_back = told.readings is not None
        if handed_back and told.counted:
            self.handed_back["in_doubt" if told.what == "in_doubt" else "rejected"] += told.readings or 0
        for time, value in zip(told.times, told.values, strict=True):
            moment = time, told.origin
            number = signal[moment].last_told(value, told.kind)
            write = signal[moment].writes[number]
            if told.counted and write.state == "offered":
                self.unsure -= 1
                self.accepted += told.what != "refused"
            if write.state in {"offered", "accepted"} or handed_back:
                write.state = told.what
            if write.state == "accepted":
                self._fresh[told.key, moment] = number
            elif write.state == "acknowledged":
                signal[moment].acknowledged = max(signal[moment].acknowledged, number)

    def _settle(self, key: SignalKey, moment: Moment, number: int) -> None:
        """Take a flushed write as stored, unless it may share the fate of a later one that replaced it while queued."""
        history = self._signals[key][moment]
        if self._fresh.get((key, moment)) == number:
            del self._fresh[key, moment]
        later = history.writes[number + 1 :]
        if history.writes[number].state == "accepted" and not any(write.handed_back for write in later):
            history.writes[number].state = "acknowledged"
            history.acknowledged = max(history.acknowledged, number)

    # -- reading after an acknowledged write -------------------------------------------------------------------------

    def promise(self, key: SignalKey) -> Promise:
        """What a read that begins now must see: for each reading at least this write."""
        signal = self._signals.get(key, {})
        return {moment: history.acknowledged for moment, history in signal.items() if history.acknowledged >= 0}

    def saw(self, key: SignalKey, promise: Promise, rows: Iterable[tuple[Any, Any, Any, Any]]) -> None:
        """Judge a read: `rows` are (time, value, type, origin), the newest acquisition of each reading."""
        seen = {(time, origin or 1): (value, kind or "DBL") for time, value, kind, origin in rows}
        for moment, least in promise.items():
            history = self._signals[key][moment]
            if moment not in seen:
                removed = any(write.kind == REMOVAL for write in history.writes[least:])
                number = least if removed else -1
            else:
                found = history.number_of(*seen[moment], least)
                number = -1 if found is None else found
            if number < least:
                self._stale.append(f"{key} at {moment}: write {least} was acknowledged, write {number} was read")

    # -- the end -----------------------------------------------------------------------------------------------------

    def verdict(self, stored: Stored, reports: Sequence[DeliveryReport] = ()) -> Verdict:
        """Judge what is stored now, when nothing is under way any more.

        Args:
            stored: what the service applied.
            reports: the last report of each writer whose callers the oracle heard of; none leaves the numbers out.
        """
        found: dict[str, list[str]] = {name: [] for name in ("lost", "wrong", "out_of_order", "against", "strange")}
        for key, signal in self._signals.items():
            rows: dict[Moment, list[StoredRow]] = {}
            for row in stored(key.client_cid, key.sensor_mid, key.signal_type_moid):
                rows.setdefault((row.time, row.origin), []).append(row)
            found["strange"] += [f"{key} at {moment}: nobody wrote there" for moment in rows.keys() - signal.keys()]
            for moment, history in signal.items():
                judge(f"{key} at {moment}", history, rows.get(moment, []), found)
        return Verdict(
            readings=sum(map(len, self._signals.values())),
            writes=self.writes,
            lost=found["lost"],
            wrong=found["wrong"],
            out_of_order=found["out_of_order"],
            against_our_word=found["against"],
            strange=found["strange"],
            stale=list(self._stale),
            miscounted=self._miscounted(reports) if reports else [],
            unresolved=list(self._unresolved),
        )

    def forget(self) -> None:
        """Forget what was written before the newest acknowledged write of each reading, and flushes that were cut off.

        Call it after a clean verdict with everything flushed, and empty the service's own history at the same time: a
        long run then needs no more memory than a short one.
        """
        self._flushes.clear()
        for key, signal in self._signals.items():
            for moment, history in list(signal.items()):
                if history.never_stored:
                    del signal[moment]
                elif history.acknowledged > 0 and (key, moment) not in self._fresh:
                    signal[moment] = history.since_acknowledged()

    def _miscounted(self, reports: Sequence[DeliveryReport]) -> list[str]:
        problems = [f"the sum does not hold: {report}" for report in reports if not adds_up(report)]
        accepted = sum(report.accepted for report in reports)
        if not self.accepted <= accepted <= self.accepted + self.unsure:
            problems.append(f"reported accepted {accepted}, told {self.accepted} (and perhaps {self.unsure} more)")
        for name in ("rejected", "in_doubt"):
            reported = sum(getattr(report, name) for report in reports)
            if reported != self.handed_back[name]:
                problems.append(f"reported {name} {reported}, handed back {self.handed_back[name]}")
        return problems


def adds_up(report: DeliveryReport) -> bool:
    """Whether every accepted reading is in exactly one of the other numbers."""
    return report.accepted == report.delivered + report.rejected + report.in_doubt + report.pending
