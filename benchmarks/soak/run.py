"""One soak: storms, in which everybody works under changing weather, and quiet phases, in which all is judged."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import attrs

from benchmarks.soak.callers import POISONED, STEP_MS, Scene, read_on
from benchmarks.soak.parties import SETTLED_S, Child, Host, Party, client_of
from benchmarks.soak.service import Service, service
from benchmarks.soak.vitals import Sample, Trend, sample, trends
from benchmarks.soak.weather import CALM, draw
from besmart_async import BesmartClient, ReadPolicy, SignalKey
from tests.faults.oracle import Verdict

_CLIENT_CID, _MOID = 9, 34
_SIGNALS = {"unjournaled": 60, "journaled": 60, "killed": 25}
_READERS = 12
_STORM_S = 10.0
_PATIENCE_S = 180.0
KINDS = ("lost", "wrong", "unresolved", "out of order", "stale", "miscounted", "against our word", "strange")
"""What the oracle may find."""


@attrs.define
class Outcome:
    """What came of a soak.

    Attributes:
        phases: storms that were judged.
        verdicts: what the oracles said that was not clean, by phase.
        samples: vitals of each quiet phase.
        counts: what was done.
        writes: readings offered.
    """

    phases: int = 0
    verdicts: list[str] = attrs.field(factory=list[str])
    faults: Counter[str] = attrs.field(factory=Counter[str])
    samples: list[Sample] = attrs.field(factory=list[Sample])
    counts: Counter[str] = attrs.field(factory=Counter[str])
    writes: int = 0

    @property
    def trends(self) -> list[Trend]:
        return list(trends(self.samples))

    @property
    def passed(self) -> bool:
        return not self.verdicts and all(trend.flat for trend in self.trends)


class Soak:
    """One run."""

    def __init__(self, seed: int, parties: Sequence[Party], client: BesmartClient, sim: Service) -> None:
        self.outcome = Outcome()
        self._parties = parties
        self._client = client
        self._service = sim
        self._weather = random.Random(f"{seed} weather")
        self._dice = random.Random(f"{seed} readers")
        self._begun = time.monotonic()

    async def phase(self, storm_s: float) -> None:
        """One storm, the quiet after it, and the verdict."""
        scenes = [party.scene for party in self._parties]
        for scene in scenes:
            scene.end.clear()
        async with self._client.reader(ReadPolicy(linger_s=0.002, max_items=20)) as reader:
            work = {asyncio.ensure_future(party.work()): party.name for party in self._parties}
            for number in range(_READERS):
                party = self._parties[number % len(self._parties)]
                scene = Scene(party.scene.oracle, counts=party.scene.counts)
                scenes.append(scene)
                call = read_on(scene, list(party.keys), reader, random.Random(self._dice.random()))
                work[asyncio.ensure_future(call)] = f"reader {number}"
            await self._storm(storm_s, list(work))
            for scene in scenes:
                scene.end.set()
            done, stuck = await asyncio.wait(work, timeout=_PATIENCE_S)
            for task in stuck:
                self._parties[0].scene.oracle.unresolved(f"{work[task]} did not come to an end")
                task.cancel()
            for task in done:
                task.result()
        await asyncio.sleep(SETTLED_S)
        clean = await self._judge()
        minutes = (time.monotonic() - self._begun) / 60
        self.outcome.samples.append(sample(minutes, self._service.rss_bytes))
        self._progress(self.outcome.samples[-1], clean)

    async def _storm(self, seconds: float, work: Sequence[asyncio.Future[None]]) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not any(task.done() for task in work):
            self.outcome.counts["faults"] += await self._service.become(draw(self._weather))
            await asyncio.wait(work, timeout=min(left, self._weather.uniform(0.5, 2.0)), return_when="FIRST_COMPLETED")
        self.outcome.counts["faults"] += await self._service.become(CALM)

    async def _judge(self) -> bool:
        stored = await self._service.stored()
        clean = True
        for party in self._parties:
            verdict = party.scene.oracle.verdict(lambda *key: stored.get(SignalKey(*key), []), party.reports)
            self._note(party.name, verdict)
            clean = clean and verdict.clean
            party.scene.oracle.forget()
        await self._service.forget()
        outcome = self.outcome
        outcome.phases += 1
        outcome.writes = sum(party.scene.oracle.writes for party in self._parties)
        return clean

    def _note(self, name: str, verdict: Verdict) -> None:
        for fault, found in verdict.faults.items():
            self.outcome.faults[fault] += len(found)
        if not verdict.clean:
            self.outcome.verdicts.append(f"phase {self.outcome.phases + 1}, {name}: {verdict}")

    def _progress(self, now: Sample, clean: bool) -> None:
        kills = sum(party.scene.counts["kills"] for party in self._parties)
        print(
            f"{now.minutes:6.2f} min  phase {self.outcome.phases}: {self.outcome.writes:,} writes, {kills} kills,"
            f" {now.rss_mb:.1f} MB, {now.files} files, {now.tasks} tasks, {now.threads} threads:"
            f" {'clean' if clean else 'NOT CLEAN'}",
            file=sys.stderr,
            flush=True,
        )


async def soak(minutes: float, seed: int) -> Outcome:
    """Run for so many minutes, to the end of a quiet phase; or until something is wrong."""
    keys: dict[str, list[SignalKey]] = {}
    first = 1
    for name, signals in _SIGNALS.items():
        keys[name] = [SignalKey(_CLIENT_CID, first + number, _MOID) for number in range(signals)]
        first += signals
    everything = [key for party in keys.values() for key in party]
    end = time.monotonic() + 60 * minutes
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="besmart-soak-")))
        sim = await stack.enter_async_context(service(seed, everything))
        poisoned = [key for party in keys.values() for number, key in enumerate(party) if number % 7 == 0]
        await sim.poison((key, POISONED * STEP_MS) for key in poisoned)
        client = await stack.enter_async_context(client_of(sim.base_url))
        parties: list[Party] = [
            Host("unjournaled", keys["unjournaled"], client, str(seed), None),
            Host("journaled", keys["journaled"], client, str(seed), folder / "journal"),
            Child("killed", keys["killed"], sim.base_url, str(seed), folder / "journal-of-the-killed"),
        ]
        run = Soak(seed, parties, client, sim)
        while (left := end - time.monotonic()) > 0 and not run.outcome.verdicts:
            await run.phase(min(_STORM_S, max(3.0, left - 5.0)))
        for party in parties:
            run.outcome.counts.update(party.scene.counts)
        return run.outcome


def report(outcome: Outcome, minutes: float, seed: int) -> str:
    """The verdict as text."""
    counts = outcome.counts
    faults = outcome.faults
    done = (
        f"seed {seed}, {minutes:g} minutes, {outcome.phases} phases: {outcome.writes:,} readings written,"
        f" {counts['reads']:,} signals read, {counts['faults']:,} calls hit by faults, {counts['kills']} processes"
        f" killed, {counts['writers']} writers opened, {counts['cancelled']:,} calls cancelled"
    )
    found = ", ".join(f"{name} {faults[name]}" for name in KINDS)
    again = f"python -m benchmarks soak --minutes {minutes:g} --seed {seed}"
    verdict = "verdict: passed" if outcome.passed else f"verdict: FAILED; again: {again}"
    lines = [done, found, *map(str, outcome.trends), *outcome.verdicts, verdict]
    return "\n".join(lines)


def main(minutes: float, seed: int | None) -> int:
    """Run, print the verdict, return the exit code."""
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    print(f"seed {chosen}", file=sys.stderr, flush=True)
    outcome = asyncio.run(soak(minutes, chosen))
    print(report(outcome, minutes, chosen))
    return 0 if outcome.passed else 1
