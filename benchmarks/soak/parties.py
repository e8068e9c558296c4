"""Writers that come and go: in this process, closed and opened again; and in processes that are killed."""

from __future__ import annotations

import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Protocol

import attrs

from benchmarks.soak.callers import Scene, write_on
from benchmarks.soak.service import ROOT
from benchmarks.soak.weather import GIVEN_UP_S, LATE_S
from besmart_async import (
    BatchPolicy,
    BesmartClient,
    DeliveryReport,
    RetryPolicy,
    SignalKey,
    Timeouts,
)
from tests.faults.oracle import Oracle
from tests.faults.told import Told
from tests.faults.witness import Witness, told_by_undelivered

POLICY = BatchPolicy(
    linger_s=0.005,
    max_items=20,
    max_memory_bytes=2 << 20,
    initial_wait_s=0.02,
    max_wait_s=0.2,
    hold_off_s=3.0,
    delivery_timeout_s=8.0,
    admission_timeout_s=5.0,
)
"""Small calls and short waits, so that much can go wrong in little time. Newer values are held back for longer than a
late call can take on a busy machine."""
SETTLED_S = LATE_S + 0.7
"""What a writer that has ended sent may be applied for so long; the next one on its signals waits for that, since
nobody can know of the calls of another writer that were repeated and acknowledged meanwhile."""
_PATIENCE_S = 120.0
_LINE_BYTES = 1 << 20


def client_of(base_url: str) -> BesmartClient:
    """A client that gives up early and tries again and again."""
    return BesmartClient(
        api_key="API_KEY",
        login="login",
        password="password",
        base_url=base_url,
        timeout=Timeouts(read_s=GIVEN_UP_S),
        retry=RetryPolicy(max_attempts=6, initial_wait_s=0.02, max_wait_s=0.3, budget=100_000),
    )


class Party(Protocol):
    """A writer's signals, what its callers were told, and its work from phase to phase."""

    name: str
    keys: Sequence[SignalKey]
    scene: Scene

    async def work(self) -> None:
        """Write until the scene rests, then deliver everything."""
        ...

    @property
    def reports(self) -> list[DeliveryReport]:
        """The last reports of its writers, if the oracle can add them up."""
        ...


class Host:
    """A writer in this process, which is closed and opened again while its callers write."""

    def __init__(
        self, name: str, keys: Sequence[SignalKey], client: BesmartClient, seed: str, journal: Path | None
    ) -> None:
        self.name = name
        self.keys = keys
        self.scene = Scene(Oracle())
        self.reports: list[DeliveryReport] = []
        self._client = client
        self._dice = random.Random(f"{seed} {name}")
        self._journal = journal
        self._values: Iterator[int] = count(1)
        self._witness: Witness | None = None

    async def work(self) -> None:
        """As `Party.work`."""
        callers = [
            asyncio.ensure_future(
                write_on(self.scene, key, lambda: self._witness, random.Random(self._dice.random()), number % 7 == 0)
            )
            for number, key in enumerate(self.keys)
        ]
        while not self.scene.resting:
            await self._open_for_a_while()
        await asyncio.gather(*callers)
        async with self._made(20.0) as last:
            await last.flush()
        self._ended(last)

    async def _open_for_a_while(self) -> None:
        witness = self._made(self._dice.choice([0.05, 1.0, 20.0]))
        await witness.__aenter__()
        self._witness = witness
        await resting_or_after(self.scene, self._dice.uniform(2.0, 6.0))
        self._witness = None
        await told_by_undelivered(witness.writer.aclose(), self._tell)
        self._ended(witness)
        await asyncio.sleep(SETTLED_S)

    def _made(self, close_timeout_s: float) -> Witness:
        policy = attrs.evolve(POLICY, close_timeout_s=close_timeout_s)
        self.scene.counts["writers"] += 1
        return Witness(
            lambda handler: self._client.writer(policy, journal=self._journal, on_reject=handler),
            self._tell,
            self._values,
        )

    def _ended(self, witness: Witness) -> None:
        report = witness.writer.report
        if self._journal is None:  # what is left in a journal is in the reports of two writers
            self.reports.append(report)

    def _tell(self, told: Told) -> None:
        self.scene.oracle.note(told if self._journal is None else attrs.evolve(told, counted=False))


class Child:
    """A writer with a journal in a process of its own, which is killed again and again."""

    def __init__(self, name: str, keys: Sequence[SignalKey], base_url: str, seed: str, journal: Path) -> None:
        self.name = name
        self.keys = keys
        self.scene = Scene(Oracle())
        self.reports: list[DeliveryReport] = []
        self._arguments = [base_url, str(journal), f"{keys[0]}", str(len(keys))]
        self._dice = random.Random(f"{seed} {name}")
        self._lives = count(1)

    async def work(self) -> None:
        """As `Party.work`."""
        while not self.scene.resting:
            process, hearing = await self._started()
            if await resting_or_after(self.scene, self._dice.uniform(1.5, 6.0)):
                await self._ended(process, hearing)
                return
            process.kill()
            self.scene.counts["kills"] += 1
            await hearing
            await process.wait()
            await asyncio.sleep(SETTLED_S)
        process, hearing = await self._started()
        await self._ended(process, hearing)

    async def _started(self) -> tuple[Process, asyncio.Task[None]]:
        arguments = [*self._arguments, str(self._dice.random()), str(next(self._lives) * 10**8)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.soak.child",
            *arguments,
            stdin=PIPE,
            stdout=PIPE,
            cwd=ROOT,
            limit=_LINE_BYTES,
        )
        return process, asyncio.ensure_future(self._hear(process))

    async def _hear(self, process: Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.endswith(b"\n"):
                self.scene.oracle.note(attrs.evolve(Told.of_line(line), counted=False))

    async def _ended(self, process: Process, hearing: asyncio.Task[None]) -> None:
        """Let it deliver everything."""
        assert process.stdin is not None
        process.stdin.close()
        try:
            code = await asyncio.wait_for(process.wait(), _PATIENCE_S)
        except TimeoutError:
            process.kill()
            code = None
        await hearing
        if code != 0:
            self.scene.oracle.unresolved(f"{self.name} ended with {code}")


async def resting_or_after(scene: Scene, seconds: float) -> bool:
    """Wait so long, or until the scene rests; whether it does."""
    with suppress(TimeoutError):
        await asyncio.wait_for(scene.end.wait(), seconds)
    return scene.resting
