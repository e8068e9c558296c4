"""Against librdkafka's mock cluster, or a real Kafka at BESMART_TEST_KAFKA."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from besmart_async import BatchPolicy, BesmartClient, BesmartConfigError, Writer
from besmart_async.simulator import Fault, Simulator
from besmart_async.streams import StreamPolicy, StreamReport, consume
from tests.streams.brokers import KAFKA_ADDRESS, message, stored, unique

confluent_kafka = pytest.importorskip("confluent_kafka", reason="Kafka needs the extra kafka")
kafka = pytest.importorskip("besmart_async.streams.kafka")

TEN = StreamPolicy(batch_messages=10, linger_s=0.05)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Bootstrap servers; the mock cluster lives as long as the client that holds it."""
    if KAFKA_ADDRESS:
        yield KAFKA_ADDRESS
        return
    holder = confluent_kafka.Producer({"test.mock.num.brokers": 3, "log_level": 3})
    brokers = holder.list_topics(timeout=10).brokers.values()
    yield ",".join(f"{one.host}:{one.port}" for one in brokers)
    del holder


@pytest.fixture
def topic() -> str:
    return unique("readings")


def produce(cluster: str, topic: str, payloads: Iterable[bytes | None], partitions: int = 1) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": cluster, "linger.ms": 0})
    for number, payload in enumerate(payloads):
        producer.produce(topic, payload, key=b"meter", headers=[("gateway", b"7")], partition=number % partitions)
    assert producer.flush(20) == 0


def config(cluster: str, group: str, **more: str | int) -> dict[str, str | int]:
    """A member that notices quickly, so that the tests are short."""
    quick = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 200, "topic.metadata.refresh.interval.ms": 500}
    return {"bootstrap.servers": cluster, "group.id": group, **quick, **more}


def committed(cluster: str, group: str, topic: str, partitions: int = 1) -> int:
    """How many messages the group has acknowledged."""
    asked = confluent_kafka.Consumer({"bootstrap.servers": cluster, "group.id": group})
    places = [confluent_kafka.TopicPartition(topic, number) for number in range(partitions)]
    offsets = [max(0, place.offset) for place in asked.committed(places, timeout=20)]
    asked.close()
    return sum(offsets)


def until(messages: int, stop: asyncio.Event) -> Callable[[StreamReport], object]:
    """Stop when so many messages are acknowledged."""
    return lambda report: stop.set() if report.committed >= messages else None


async def consumed(
    source: object, writer: Writer, messages: int, *, dead_letters: object = None, policy: StreamPolicy = TEN
) -> StreamReport:
    stop = asyncio.Event()
    return await consume(
        source,  # type: ignore[arg-type]
        writer,
        policy=policy,
        stop=stop,
        dead_letters=dead_letters,  # type: ignore[arg-type]
        on_progress=until(messages, stop),
    )


async def test_messages_are_stored_and_acknowledged(
    cluster: str, topic: str, simulator: Simulator, writer: Writer
) -> None:
    produce(cluster, topic, map(message, range(100)), partitions=2)
    async with kafka.KafkaSource(config(cluster, topic), [topic], TEN) as source:
        report = await consumed(source, writer, 100)
    assert stored(simulator) == {number: float(number) for number in range(100)}
    assert (report.committed, committed(cluster, topic, topic, 2)) == (100, 100)


async def test_poison_goes_to_a_topic_with_its_reason(
    cluster: str, topic: str, simulator: Simulator, writer: Writer
) -> None:
    produce(cluster, topic, [message(0), b"nonsense", None, message(1, sensor=99), message(1)])
    sink = kafka.KafkaDeadLetters({"bootstrap.servers": cluster}, f"{topic}-dead")
    async with kafka.KafkaSource(config(cluster, topic), [topic], TEN) as source:
        report = await consumed(source, writer, 5, dead_letters=sink)
    assert (report.dead, committed(cluster, topic, topic)) == (3, 5)
    assert stored(simulator) == {0: 0.0, 1: 1.0}
    dead = sorted(await asyncio.to_thread(all_of, cluster, f"{topic}-dead", 3), key=lambda one: one.offset())
    assert [one.value() for one in dead] == [b"nonsense", None, message(1, sensor=99)]
    assert {one.key() for one in dead} == {b"meter"}
    headers = [dict(one.headers()) for one in dead]
    assert [one["besmart-source"].decode() for one in headers] == [f"{topic}[0]@{at}" for at in (1, 2, 3)]
    assert {one["gateway"] for one in headers} == {b"7"}
    assert "the service refuses 1.99.32" in headers[2]["besmart-reason"].decode()


def all_of(cluster: str, topic: str, messages: int) -> list[Any]:
    reader = confluent_kafka.Consumer({**config(cluster, unique("test")), "auto.offset.reset": "earliest"})
    reader.subscribe([topic])
    found: list[Any] = []
    while len(found) < messages:
        found += reader.consume(messages, timeout=1)
    reader.close()
    return found


async def test_killed_between_the_answer_of_the_service_and_the_commit_nothing_is_lost(
    cluster: str, topic: str, simulator: Simulator, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(cluster, topic, map(message, range(30)))
    base_url = await simulator.start()
    try:
        killed = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, base_url, cluster, topic)
        assert await killed.wait() == -9
    finally:
        await simulator.stop()
    assert len(stored(simulator)) == 30
    assert committed(cluster, topic, topic) == 0
    writes = len(simulator.requests)
    async with kafka.KafkaSource(config(cluster, topic), [topic], TEN) as source:
        report = await consumed(source, writer, 30)
    assert (report.received, committed(cluster, topic, topic)) == (30, 30)
    assert len(simulator.requests) > writes
    assert stored(simulator) == {number: float(number) for number in range(30)}


_KILLED = """
import asyncio, os, signal, sys
from besmart_async import BesmartClient
from besmart_async.streams import StreamPolicy, consume
from besmart_async.streams.kafka import KafkaBatch, KafkaSource

base_url, cluster, topic = sys.argv[1:]

async def die(batch):
    os.kill(os.getpid(), signal.SIGKILL)

KafkaBatch.commit = die
config = {"bootstrap.servers": cluster, "group.id": topic, "session.timeout.ms": 6000, "heartbeat.interval.ms": 200}

async def main():
    policy = StreamPolicy(batch_messages=30, linger_s=5)
    async with (
        BesmartClient(base_url=base_url, api_key="API_KEY", login="login", password="password") as client,
        client.writer() as writer,
        KafkaSource(config, [topic], policy) as source,
    ):
        await consume(source, writer, policy=policy)

asyncio.run(main())
"""


async def test_a_revoked_partition_is_finished_before_it_leaves(
    cluster: str, topic: str, simulator: Simulator, client: BesmartClient
) -> None:
    """The service takes long; meanwhile a second member joins. Whatever is committed is stored."""
    produce(cluster, topic, map(message, range(40)), partitions=2)
    slow = simulator.faults.add(Fault(operation="*data*", latency_s=math.inf, times=1))
    stop = asyncio.Event()

    def seen(report: StreamReport) -> None:
        assert report.committed <= len(stored(simulator))

    async def member(policy: StreamPolicy) -> StreamReport:
        async with (
            client.writer(BatchPolicy(linger_s=0.001)) as writer,
            kafka.KafkaSource(config(cluster, topic), [topic], policy) as source,
        ):
            return await consume(source, writer, policy=policy, stop=stop, on_progress=seen)

    first = asyncio.create_task(member(TEN))
    while not slow.hits:  # noqa: ASYNC110 - the service has no event for it
        await asyncio.sleep(0.01)
    assert committed_now(simulator) == 0
    second = asyncio.create_task(member(TEN))
    simulator.faults.clear()
    while await asyncio.to_thread(committed, cluster, topic, topic, 2) < 20:
        await asyncio.sleep(0.01)
        if first.done():
            await first
    stop.set()
    await asyncio.gather(first, second, return_exceptions=False)


def committed_now(simulator: Simulator) -> int:
    return len(stored(simulator))


def test_settings_that_acknowledge_too_early_are_refused() -> None:
    with pytest.raises(BesmartConfigError, match=r"enable\.auto\.commit"):
        kafka.KafkaSource({"bootstrap.servers": "a", "group.id": "g", "enable.auto.commit": True}, ["t"])
    with pytest.raises(BesmartConfigError, match=r"group\.id"):
        kafka.KafkaSource({"bootstrap.servers": "a"}, ["t"])
