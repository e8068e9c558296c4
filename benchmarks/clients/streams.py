"""Messages of one reading from a broker into the service: `consume` of ours, and a loop by hand.

`python -m benchmarks.clients.streams CONTENDER --url URL --broker ADDRESS --name TOPIC --messages N`
"""

from __future__ import annotations

import argparse
import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson

from benchmarks.clients.clock import timed
from besmart_async import BesmartClient, SignalKey, Writer, aiohttp_transport
from besmart_async.streams import MessageBatch, StreamPolicy, StreamReport, consume

_BATCH = 5_000
Run = Callable[[str, str, int, Writer], Awaitable[None]]


async def kafka_ours(broker: str, topic: str, messages: int, writer: Writer) -> None:
    from besmart_async.streams.kafka import KafkaSource  # noqa: PLC0415 - one contender's

    policy, stop = StreamPolicy(), asyncio.Event()
    async with KafkaSource(_group(broker), [topic], policy) as source:
        first = await anext(source)  # the group has formed, which takes seconds

        async def all_of_them() -> AsyncIterator[MessageBatch]:
            yield first
            async for batch in source:
                yield batch

        with timed(messages):
            await consume(all_of_them(), writer, policy=policy, stop=stop, on_progress=_until(messages, stop))


async def kafka_by_hand(broker: str, topic: str, messages: int, writer: Writer) -> None:
    from confluent_kafka.aio import AIOConsumer  # noqa: PLC0415 - one contender's

    consumer = AIOConsumer({**_group(broker), "auto.offset.reset": "earliest", "enable.auto.commit": False})
    await consumer.subscribe([topic])
    batch = await consumer.consume(_BATCH, timeout=30)
    keys: dict[str, SignalKey] = {}
    done = 0
    with timed(messages):
        while done < messages:
            for message in batch:
                await _write(writer, keys, message.value())
            if batch:
                await writer.flush()
                await consumer.commit(asynchronous=False)
            done += len(batch)
            if done < messages:
                batch = await consumer.consume(_BATCH, timeout=0.2)
    await consumer.close()


async def nats_ours(broker: str, subject: str, messages: int, writer: Writer) -> None:
    from besmart_async.streams.nats import NatsSource, connected  # noqa: PLC0415 - one contender's

    stop = asyncio.Event()
    connection = await connected(broker)
    async with NatsSource(connection, subject, uuid.uuid4().hex) as source:
        with timed(messages):
            await consume(source, writer, stop=stop, on_progress=_until(messages, stop))
    await connection.close()


async def nats_by_hand(broker: str, subject: str, messages: int, writer: Writer) -> None:
    import nats  # noqa: PLC0415 - one contender's

    connection = await nats.connect(broker)
    pull = await connection.jetstream().pull_subscribe(subject, uuid.uuid4().hex)
    keys: dict[str, SignalKey] = {}
    done = 0
    with timed(messages):
        while done < messages:
            batch = await pull.fetch(1_000, timeout=5)
            for message in batch:
                await _write(writer, keys, message.data)
            await writer.flush()
            for message in batch:
                await message.ack()
            done += len(batch)
        await connection.flush()
    await connection.close()


async def _write(writer: Writer, keys: dict[str, SignalKey], content: bytes) -> None:
    reading = orjson.loads(content)
    name = reading["signal"]
    key = keys.get(name)
    if key is None:
        key = keys[name] = SignalKey.parse(name)
    await writer.write(key, reading["time"], reading["value"])


def _group(broker: str) -> dict[str, str | int | float | bool]:
    return {"bootstrap.servers": broker, "group.id": uuid.uuid4().hex}


def _until(messages: int, stop: asyncio.Event) -> Callable[[StreamReport], object]:
    return lambda report: stop.set() if report.committed >= messages else None


CONTENDERS: dict[str, Run] = {
    "kafka-ours": kafka_ours,
    "kafka-by-hand": kafka_by_hand,
    "nats-ours": nats_ours,
    "nats-by-hand": nats_by_hand,
}


async def _main(run: Run, url: str, broker: str, name: str, messages: int) -> None:
    async with (
        BesmartClient(
            api_key="key", login="login", password="password", base_url=url, transport=aiohttp_transport()
        ) as client,
        client.writer() as writer,
    ):
        await run(broker, name, messages, writer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--messages", type=int, required=True)
    asked = parser.parse_args()
    asyncio.run(_main(CONTENDERS[asked.contender], asked.url, asked.broker, asked.name, asked.messages))
