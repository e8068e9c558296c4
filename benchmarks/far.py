"""Writes and `besmart ingest` with a service that answers at once or late, and with one that takes few calls.

Wall clock against a loop by hand with 16 calls in flight: with a far service it is the waiting that counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.contest import Contender, Contest, Standing, hold
from benchmarks.files import write_csv
from benchmarks.imports import compile_package
from benchmarks.marks import Mark, Marks
from benchmarks.measuring import Table
from benchmarks.sink import Sink, sink

DELAYS_S = (0.0, 0.05, 0.3, 1.0)
_BAR_WRITES, _AIM_WRITES = 0.8, 0.95
_BAR_INGEST, _AIM_INGEST = 0.5, 0.9
_CAP = 10
_ROWS = 100
_SINGLE_SIGNALS = 1_000


def tables(*, columns: int, singles: int, rows: int, capped: int, rounds: int) -> Sequence[Table]:
    """Hold the contests.

    Args:
        columns: readings in columns of 100.
        singles: readings written one by one.
        rows: rows of the file.
        capped: readings in columns of 100, to a service that takes 10 calls a second.
        rounds: how often everybody runs.
    """
    compile_package()
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "long.csv"
        rows = write_csv(text, rows)
        standings = [
            standing for delay_s in DELAYS_S for standing in _distance(delay_s, columns, singles, text, rows, rounds)
        ]
    return [*standings, Marks("far against near, readings a second", list(_near_and_far(standings))), _cap(capped)]


def place(delay_s: float) -> str:
    """What the table calls a service."""
    return f"answers after {delay_s * 1e3:,.0f} ms" if delay_s else "near service"


def _distance(delay_s: float, columns: int, singles: int, text: Path, rows: int, rounds: int) -> Iterator[Standing]:
    with sink("--count", "--delay", f"{delay_s}") as service:
        for contest in (
            _columns(service, delay_s, columns),
            _singles(service, delay_s, singles),
            _ingest(service, delay_s, text, rows),
        ):
            yield hold(contest, rounds, service.readings, service.usage)


def _columns(service: Sink, delay_s: float, readings: int) -> Contest:
    options = ["--url", service.base_url, "--signals", f"{max(1, readings // _ROWS)}", "--rows", f"{_ROWS}"]

    def way(name: str, contender: str, bar: float | None = None, aim: float | None = None) -> Contender:
        return Contender(name, ["-m", "benchmarks.clients.columns", contender, *options], "httpx-aiohttp", bar, aim)

    return Contest(
        f"columns of {_ROWS}, {place(delay_s)}",
        "reading",
        [way("ours", "ours-aiohttp")],
        [way("aiohttp + orjson over numpy, 16 in flight", "arrays-far", *_goal(delay_s))],
        shown=[way("ours, default transport", "ours")],
        far=True,
    )


def _singles(service: Sink, delay_s: float, readings: int) -> Contest:
    rows = max(1, readings // _SINGLE_SIGNALS)
    options = ["--url", service.base_url, "--signals", f"{_SINGLE_SIGNALS}", "--rows", f"{rows}"]

    def way(name: str, contender: str, bar: float | None = None, aim: float | None = None) -> Contender:
        return Contender(name, ["-m", "benchmarks.clients.singles", contender, *options], "httpx-aiohttp", bar, aim)

    return Contest(
        f"single readings, {place(delay_s)}",
        "reading",
        [way("ours", "ours")],
        [way("a dict by signal + aiohttp, 16 in flight", "by-hand-far", *_goal(delay_s))],
        far=True,
    )


def _ingest(service: Sink, delay_s: float, text: Path, rows: int) -> Contest:
    def way(name: str, contender: str, bar: float | None = None, aim: float | None = None) -> Contender:
        options = [contender, "--url", service.base_url, str(text)]
        return Contender(name, ["-m", "benchmarks.clients.ingest", *options], "aiohttp", bar, aim, whole=rows)

    goal = (_BAR_INGEST, _AIM_INGEST) if delay_s >= DELAYS_S[2] else (None, None)
    return Contest(
        f"ingest CSV with a checkpoint, {place(delay_s)}",
        "reading",
        [way("besmart ingest", "ours")],
        [way("pyarrow + aiohttp + orjson, 16 in flight", "by-hand-csv", *goal)],
        shown=[way("without a checkpoint", "ours-forgetful")],
        far=True,
    )


def _goal(delay_s: float) -> tuple[float | None, float | None]:
    return (_BAR_WRITES, _AIM_WRITES) if delay_s >= DELAYS_S[2] else (None, None)


def _near_and_far(standings: Sequence[Standing]) -> Iterator[Mark]:
    """How much of its rate with a near service each way of writing has with the farther ones."""
    kinds = len(standings) // len(DELAYS_S)
    for near, *others in (standings[kind::kinds] for kind in range(kinds)):
        way = near.contest.ours[0].name
        for far in others:
            yield Mark(far.contest.work, near.costs[way].wall_s / far.costs[way].wall_s, "of near", at_most=False)


def _cap(readings: int) -> Marks:
    marks: list[Mark] = []
    for delay_s in DELAYS_S[:3]:
        with sink("--count", "--cap", f"{_CAP}", "--delay", f"{delay_s}") as service:
            options = ["--url", service.base_url, "--signals", "1000", "--readings", f"{readings}"]
            ours = Contender("ours", ["-m", "benchmarks.clients.growth", *options])
            contest = Contest("cap", "reading", [ours], [], far=True, cap=_CAP)
            standing = hold(contest, 1, service.readings, service.usage)
        cost = standing.costs[ours.name]
        usage = cost.usage
        assert usage is not None
        used = 100 * (usage.calls - usage.refused) / (_CAP * cost.run_s)
        refused = 100 * usage.refused / max(1, usage.calls)
        limit = cost.limit(_CAP)
        marks += [
            Mark(f"used, {place(delay_s)}, {cost.run_s:.0f} s, limit: {limit}", used, "%", 80, 95, at_most=False),
            Mark(f"refused, {place(delay_s)}", refused, "%", 20, 5),
        ]
    return Marks(f"a service that takes {_CAP} calls a second", marks)
