"""`python -m benchmarks [NAME] [--smoke] [--json FILE]`; without a name all but the soak."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from benchmarks import (
    codec,
    crowd,
    far,
    growth,
    imports,
    ingest,
    journal,
    journeys,
    parsing,
    parts,
    reads,
    streams,
    waiters,
    wide,
    writes,
)
from benchmarks.measuring import Table, machine, show


def _writes(smoke: bool) -> Sequence[Table]:
    return writes.standings(readings=40_000 if smoke else 4_000_000, rounds=1 if smoke else 5)


def _wide(smoke: bool) -> Sequence[Table]:
    return wide.standings(readings=8_000 if smoke else 200_000, rounds=1 if smoke else 5, smoke=smoke)


def _crowd(smoke: bool) -> Sequence[Table]:
    return crowd.standings(deliveries=400 if smoke else 40_000, rounds=1 if smoke else 5)


def _waiters(smoke: bool) -> Sequence[Table]:
    few, many = (100, 1_000) if smoke else (1_000, 100_000)
    return waiters.tables(few=few, many=many, rounds=1 if smoke else 5)


def _journeys(smoke: bool) -> Sequence[Table]:
    return [journeys.marks(rounds=1 if smoke else 5)]


def _reads(smoke: bool) -> Sequence[Table]:
    if smoke:
        return reads.standings(signals=1_000, years=20, exported=2, rounds=1)
    return reads.standings(signals=10_000, years=1_000, exported=100, rounds=2)


def _codec(smoke: bool) -> Sequence[Table]:
    return codec.rows(readings=10_000 if smoke else 200_000, rounds=_rounds(smoke))


def _parts(smoke: bool) -> Sequence[Table]:
    singles = parts.floor_of_singles(readings=4_000 if smoke else 400_000, rounds=_rounds(smoke))
    return [parts.marks(readings=40_000 if smoke else 4_000_000, rounds=_rounds(smoke)), singles]


def _ingest(smoke: bool) -> Sequence[Table]:
    return ingest.tables(readings=100_000 if smoke else 10_000_000, rounds=1 if smoke else 5)


def _parquet(smoke: bool) -> Sequence[Table]:
    return ingest.parquet(readings=100_000 if smoke else 10_000_000, rounds=1 if smoke else 5)


def _far(smoke: bool) -> Sequence[Table]:
    if smoke:
        return far.tables(columns=40_000, singles=8_000, rows=50_000, capped=100_000, rounds=1)
    return far.tables(columns=2_000_000, singles=200_000, rows=2_000_000, capped=6_000_000, rounds=1)


def _growth(smoke: bool) -> Sequence[Table]:
    return growth.tables(
        readings=100_000 if smoke else 10_000_000, signals=1_000 if smoke else 100_000, rounds=1 if smoke else 5
    )


def _imports(smoke: bool) -> Sequence[Table]:
    return imports.tables(rounds=1 if smoke else 5)


def _parsing(smoke: bool) -> Sequence[Table]:
    return parsing.rows(readings=50_000 if smoke else 1_000_000, rounds=_rounds(smoke))


def _journal(smoke: bool) -> Sequence[Table]:
    return [journal.rates(readings=100_000 if smoke else 2_000_000, rounds=1 if smoke else 5)]


def _streams(smoke: bool) -> Sequence[Table]:
    if smoke:
        return streams.standings(kafka=20_000, nats=2_000, rounds=1)
    return streams.standings(kafka=1_000_000, nats=50_000, rounds=3)


COMPARISONS: dict[str, Callable[[bool], Sequence[Table]]] = {
    "writes": _writes,
    "wide": _wide,
    "crowd": _crowd,
    "waiters": _waiters,
    "parts": _parts,
    "reads": _reads,
    "codec": _codec,
    "parsing": _parsing,
    "far": _far,
    "parquet": _parquet,
    "ingest": _ingest,
    "growth": _growth,
    "imports": _imports,
    "journal": _journal,
    "journeys": _journeys,
    "streams": _streams,
}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="?", choices=[*COMPARISONS, "soak"], help="all but the soak by default")
    parser.add_argument("--smoke", action="store_true", help="small sizes and few rounds: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--minutes", type=float, default=3.0, help="how long to soak")
    parser.add_argument("--seed", type=int, help="seed of the soak; drawn and printed by default")
    asked = parser.parse_args()
    if asked.what == "soak":
        from benchmarks.soak.run import main as soak  # noqa: PLC0415 - the others do without the tests

        return soak(asked.minutes, asked.seed)
    print(f"machine: {machine()}\n", flush=True)
    if asked.smoke:
        print("a smoke run: it is far too small for its figures to mean anything\n")
    figures: dict[str, object] = {"machine": machine()}
    for name, run in COMPARISONS.items():
        if asked.what in (name, None):
            tables = run(asked.smoke)
            show(tables)
            figures[name] = [attrs.asdict(table) for table in tables]
    if asked.json is not None:
        asked.json.write_text(json.dumps(figures, indent=1))
    return 0


def _rounds(smoke: bool) -> int:
    return 2 if smoke else 7


if __name__ == "__main__":
    sys.exit(main())
