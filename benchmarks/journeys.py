"""How far a call goes through the package: files that take part, and moves from file to file."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.answers import answers
from benchmarks.contest import ROOT
from benchmarks.marks import Mark, Marks
from benchmarks.sink import sink

Goal = tuple[float | None, float | None]
_GOALS: dict[str, tuple[Goal, Goal]] = {
    "signals.read": ((12, 9), (55, 40)),
    "write": ((18, 14), (120, 90)),
    "reader.read": ((16, 12), (85, 60)),
    "besmart ingest": ((75, 60), (None, None)),
}
"""Bar and aim of the files and of the moves."""
_TOLD = {
    "write": "write and flush",
    "besmart ingest": "besmart ingest of 24 rows",
    "besmart ingest, the first in a process": "the same, the first in a process",
}


def marks(*, rounds: int) -> Marks:
    """Walk along the second call of each kind, in processes of their own; tell the medians."""
    with sink() as taking, answers(10) as answering:
        options = ["--answers", answering.base_url, "--sink", taking.base_url]
        command = [sys.executable, "-m", "benchmarks.clients.journeys", *options]
        walks = [_walked(command) for _ in range(rounds)]
    figures = {
        name: (
            statistics.median(walk[name][0] for walk in walks),
            statistics.median(walk[name][1] for walk in walks),
        )
        for name in walks[0]
    }
    return Marks("journeys through the package, the second call", list(_marks(figures)))


def _walked(command: list[str]) -> dict[str, tuple[int, int]]:
    ended = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    walks: dict[str, tuple[int, int]] = json.loads(ended.stdout.splitlines()[-1])
    return walks


def _marks(figures: dict[str, tuple[float, float]]) -> Iterator[Mark]:
    for name, (files, moves) in figures.items():
        of_files, of_moves = _GOALS.get(name, ((None, None), (None, None)))
        work = _TOLD.get(name, name)
        yield Mark(f"{work}: files", files, "files", *of_files)
        yield Mark(f"{work}: moves from file to file", moves, "moves", *of_moves)
