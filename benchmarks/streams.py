"""Messages of one reading from Kafka (librdkafka's mock cluster) and NATS (a real server) into a service nearby."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from benchmarks.contest import Contender, Contest, Standing, hold
from benchmarks.sink import sink

_SIGNALS = 10_000
_START = 1_700_000_000_000
_PARTITIONS = 4


def standings(*, kafka: int, nats: int, rounds: int) -> list[Standing]:
    """Hold the contests.

    Args:
        kafka: messages from Kafka.
        nats: messages from NATS.
        rounds: how often everybody runs.
    """
    with sink("--count") as service:
        with _cluster(kafka) as broker:
            standings = [hold(_contest("Kafka", "kafka", service.base_url, broker, kafka), rounds, service.readings)]
        if shutil.which("nats-server") is not None:
            with _nats(nats) as broker:
                contest = _contest("NATS", "nats", service.base_url, broker, nats)
                standings.append(hold(contest, rounds, service.readings))
        return standings


def _contest(title: str, broker: str, url: str, address: str, messages: int) -> Contest:
    options = ["--url", url, "--broker", address, "--name", "readings", "--messages", f"{messages}"]

    def way(name: str, contender: str, bar: float | None = None) -> Contender:
        needs = "confluent-kafka" if broker == "kafka" else "nats-py"
        return Contender(name, ["-m", "benchmarks.clients.streams", f"{broker}-{contender}", *options], needs, bar)

    by_hand = "by hand: AIOConsumer, orjson, write, flush" if broker == "kafka" else "by hand: fetch, write, flush, ack"
    return Contest(
        f"{title}, {messages:,} messages of one reading",
        "message",
        [way("ours, consume", "ours")],
        [way(by_hand, "by-hand", 0.8)],
    )


def _payloads(messages: int) -> Iterator[bytes]:
    for number in range(messages):
        row, signal = divmod(number, _SIGNALS)
        yield orjson.dumps({"signal": f"1.{signal + 1}.32", "time": _START + row * 900_000, "value": number / 8})


@contextmanager
def _cluster(messages: int) -> Iterator[str]:
    from confluent_kafka import Producer  # noqa: PLC0415 - the others do without
    from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # noqa: PLC0415 - as above

    producer = Producer(
        {"test.mock.num.brokers": 1, "log_level": 3, "queue.buffering.max.messages": 100_000, "linger.ms": 20}
    )
    brokers = producer.list_topics(timeout=10).brokers.values()
    AdminClient({"bootstrap.servers": ",".join(f"{one.host}:{one.port}" for one in brokers)}).create_topics(
        [NewTopic("readings", _PARTITIONS, 1)]
    )
    for number, payload in enumerate(_payloads(messages)):
        while True:
            try:
                producer.produce("readings", payload, partition=number % _PARTITIONS)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
    yield ",".join(f"{one.host}:{one.port}" for one in brokers)


@contextmanager
def _nats(messages: int) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="besmart-nats-") as folder:
        command = ["nats-server", "-js", "-sd", folder, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                address = _announced(Path(folder))
                asyncio.run(_publish(address, messages))
                yield address
            finally:
                server.terminate()
                server.wait()


def _announced(folder: Path) -> str:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for file in folder.glob("*.ports"):
            if content := file.read_bytes():
                address: str = orjson.loads(content)["nats"][0]
                return address
        time.sleep(0.01)
    raise RuntimeError("the NATS server does not start")


async def _publish(address: str, messages: int) -> None:
    import nats  # noqa: PLC0415 - the others do without

    connection = await nats.connect(address)
    stream = connection.jetstream()
    await stream.add_stream(name="READINGS", subjects=["readings"])
    for payload in _payloads(messages):
        await connection.publish("readings", payload)
    await connection.flush()
    while (await stream.stream_info("READINGS")).state.messages < messages:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.05)
    await connection.close()
