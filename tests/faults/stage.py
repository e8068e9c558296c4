"""What a fault test runs on: a simulator on a socket, a client, writers whose callers are witnessed, and the oracle."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import attrs

from besmart_async import BatchPolicy, BesmartClient, BesmartError, ReadPolicy, RetryPolicy, SignalKey
from besmart_async.simulator import Simulator
from besmart_async.transport import in_process
from tests.faults.front import Mischief, front_of
from tests.faults.oracle import Oracle, Verdict
from tests.faults.witness import OnReject, Witness

BULK_WRITE = "sensors.put_signals_data"
BULK_READ = "sensors.post_signals_data"
LOGIN = "users.get_token"
CLIENT_CID, MOID = 9, 34
HOUR_MS = 3_600_000

QUICK = BatchPolicy(
    linger_s=0.002, max_items=4, initial_wait_s=0.02, max_wait_s=0.1, hold_off_s=0.2, close_timeout_s=20.0
)
"""Small calls and short waits, so that much can go wrong in little time."""
QUICK_READS = ReadPolicy(linger_s=0.002, max_items=4)
PATIENT = RetryPolicy(max_attempts=10, initial_wait_s=0.01, max_wait_s=0.1, budget=100_000)
"""Tries until it succeeds: what fails then is a defect, not bad luck."""


def signal(sensor: int) -> SignalKey:
    return SignalKey(CLIENT_CID, sensor, MOID)


@attrs.define
class Stage:
    """One scene, and what was seen of it.

    Attributes:
        simulator: the service.
        base_url: its address, or that of the front end before it.
        client: a client of it.
        oracle: who takes everything down.
        dice: the test's randomness.
        patience_s: who has not come to an end after this long never will.
        values: numbers that nobody else writes.
    """

    simulator: Simulator
    base_url: str
    client: BesmartClient
    oracle: Oracle
    dice: random.Random
    patience_s: float
    values: Iterator[int] = attrs.field(factory=lambda: count(1))
    witnesses: list[Witness] = attrs.field(factory=list[Witness])

    def witness(self, policy: BatchPolicy = QUICK, *, on_reject: OnReject | None = None, **settings: Any) -> Witness:
        """A writer of the client, witnessed."""
        witness = Witness(
            lambda handler: self.client.writer(policy, on_reject=handler, **settings),
            self.oracle.note,
            self.values,
            on_reject,
        )
        self.witnesses.append(witness)
        return witness

    async def all_of(self, work: Iterable[Coroutine[Any, Any, Any]]) -> list[BaseException | None]:
        """Run them at once; return what each raised. Those that do not come to an end are unresolved."""
        tasks = [asyncio.ensure_future(each) for each in work]
        if not tasks:
            return []
        _, unresolved = await asyncio.wait(tasks, timeout=self.patience_s)
        for task in unresolved:
            self.oracle.unresolved(repr(task))
            task.cancel()
        return list(await asyncio.gather(*map(_outcome, tasks)))

    def verdict(self) -> Verdict:
        """What the oracle says, with everything flushed or closed."""
        return self.oracle.verdict(self.simulator.stored, [witness.writer.report for witness in self.witnesses])

    def nothing_lost(self) -> Verdict:
        """The verdict; fails unless it is clean and nothing is pending.

        Raises:
            AssertionError: it is not.
        """
        verdict = self.verdict()
        assert verdict.clean, str(verdict)
        pending = [witness.writer.report.pending for witness in self.witnesses]
        assert not any(pending), f"{pending} readings still pending"
        return verdict

    def everything_delivered(self) -> Verdict:
        """Like `nothing_lost`, and nothing was handed back.

        Raises:
            AssertionError: something is lost, or handed back.
        """
        verdict = self.nothing_lost()
        assert not self.oracle.handed_back, dict(self.oracle.handed_back)
        return verdict


async def _outcome(task: asyncio.Future[Any]) -> BaseException | None:
    try:
        await task
    except asyncio.CancelledError as error:
        if (current := asyncio.current_task()) is not None and current.cancelling():
            raise
        return error
    except Exception as error:
        return error
    return None


@asynccontextmanager
async def stage_of(
    seed: int, *, mischief: Mischief | None = None, sockets: bool = True, sensors: int = 40, **settings: Any
) -> AsyncIterator[Stage]:
    """Set the stage.

    Args:
        seed: of everything random.
        mischief: puts a front end between client and service.
        sockets: False for a client in process, in a loop with virtual time.
        sensors: how many sensors there are, from 1 on.
        settings: of the client; its dialect is the service's too, by default that of BESMART_FAULT_DIALECT.
    """
    loop = asyncio.get_running_loop()
    clock: dict[str, Any] = {} if sockets else {"now_ms": lambda: 1_700_000_000_000.0 + loop.time() * 1000}
    dialect = settings.setdefault("dialect", os.environ.get("BESMART_FAULT_DIALECT") or "documented")
    simulator = Simulator(seed=False, random_seed=seed, dialect=dialect, **clock)
    simulator.add_sensors(CLIENT_CID, range(1, sensors + 1))
    credentials = {"api_key": "API_KEY", "login": "login", "password": "password"}
    async with AsyncExitStack() as stack:
        stack.callback(simulator.close)
        base_url = "http://localhost/api"
        if sockets:
            base_url = await stack.enter_async_context(simulator.serve())
        else:
            settings = {"transport": in_process(simulator.app), **settings}
        if mischief is not None:
            base_url = await stack.enter_async_context(front_of(base_url, mischief, seed))
        client = BesmartClient(**{**credentials, "base_url": base_url, "retry": PATIENT, **settings})
        await stack.enter_async_context(client)
        yield Stage(simulator, base_url, client, Oracle(), random.Random(seed), 40.0 if sockets else 86_400.0)


def unexpected(outcomes: Iterable[BaseException | None]) -> list[BaseException]:
    """Those outcomes that no caller should ever see: anything but success, cancellation and our own errors."""
    good = (BesmartError, asyncio.CancelledError)
    return [error for error in outcomes if error is not None and not isinstance(error, good)]
