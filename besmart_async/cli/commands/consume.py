"""`besmart consume`: messages of Kafka or NATS to the service. A thin shell over `besmart_async.streams`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from besmart_async.cli.client import bulk_client, interruptible
from besmart_async.cli.exits import Exit, UsageError
from besmart_async.cli.options import Flag
from besmart_async.cli.stream_address import StreamAddress, kafka_settings, secret
from besmart_async.cli.terminal.output import counted_line, error_line, write, write_json
from besmart_async.cli.terminal.stream_progress import StreamProgress
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, UndeliveredError
from besmart_async.streams import DeadLetterSink, MessageBatch, StreamPolicy, StreamReport
from besmart_async.streams import consume as consumed

_CLOSE_S = 2.0


def consume(
    address: str,
    /,
    *,
    topic: Annotated[list[str] | None, Parameter(negative="")] = None,
    subject: str | None = None,
    format: Literal["json", "msgpack", "arrow"] = "json",  # noqa: A002 - the option's name
    dead_letters: str | None = None,
    max_messages: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    batch: Annotated[int, Parameter(validator=Number(gte=1))] = 5_000,
    max_uncommitted: Annotated[int, Parameter(validator=Number(gte=1))] = 10_000,
    drain_timeout: Annotated[float, Parameter(validator=Number(gt=0))] = 20.0,
    give_up_after: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    kafka_config: Path | None = None,
    json: Flag = False,
) -> int:
    """Send the readings in the messages of a broker, until Ctrl-C or SIGTERM.

    A message is acknowledged after the service has stored its readings; after a crash the broker delivers the rest
    again, which changes nothing. While the service is away nothing is acknowledged.

    A message holds one reading, {"signal": "12.122.32", "time": 1764547200000, "value": 1.5}, columns, or a list of
    these. A message that cannot be stored goes to the dead letters, with the reason in its headers.

    Secrets: BESMART_STREAM_USER and BESMART_STREAM_PASSWORD, or for NATS BESMART_STREAM_TOKEN; each also as a file,
    such as BESMART_STREAM_PASSWORD_FILE.

    Exit codes: 0 everything received was acknowledged; 1 failed, or a message cannot be stored and there is no
    --dead-letters; 2 wrong usage; 3 as 0, with dead letters; 4 not authenticated; 5 service unavailable; 130 stopped
    before everything received was acknowledged, the broker delivers it again.

    Parameters
    ----------
    address
        kafka://host:9092/?group=NAME (more options: security, mechanism, ca, offset; kafka+tls:// for TLS) or
        nats://host:4222 (options: durable, stream, creds; nats+tls:// for TLS).
    topic
        A topic of Kafka; several times for several.
    subject
        A subject of NATS that a JetStream stream holds; it may have wildcards.
    format
        How readings are written in messages.
    dead_letters
        The topic or subject for messages that cannot be stored.
    max_messages
        Stop after about so many messages.
    batch
        Messages in one batch at most.
    max_uncommitted
        Messages received and not acknowledged at a time; beyond that nothing is pulled.
    drain_timeout
        Seconds that a stop waits for what was received.
    give_up_after
        End when the service has taken nothing for so many seconds; by default it waits without end.
    kafka_config
        A file of name=value lines with more settings of Kafka's client (librdkafka).
    json
        Print the final report as JSON.
    """
    place = StreamAddress.parse(address)
    if place.broker == "kafka" and (not topic or subject):
        raise UsageError("Kafka has topics: give --topic")
    if place.broker == "nats" and (not subject or topic or kafka_config):
        raise UsageError("NATS has subjects: give --subject, and no option of Kafka")
    order = _Consumption(
        place,
        topic or [],
        subject or "",
        format,
        dead_letters,
        max_messages,
        StreamPolicy(
            batch_messages=min(batch, max_messages or batch),
            max_uncommitted=max_uncommitted,
            drain_timeout_s=drain_timeout,
            give_up_after_s=give_up_after,
        ),
        kafka_config,
    )
    report = asyncio.run(_consume(order))
    if json:
        write_json(report)
    else:
        _show(report)
    if report.uncommitted:
        return Exit.INTERRUPTED
    return Exit.REJECTED if report.dead else Exit.OK


@attrs.frozen
class _Consumption:
    address: StreamAddress
    topics: list[str]
    subject: str
    format: Literal["json", "msgpack", "arrow"]
    dead_letters: str | None
    max_messages: int | None
    policy: StreamPolicy
    kafka_config: Path | None


async def _consume(order: _Consumption) -> StreamReport:
    stop = asyncio.Event()
    final: StreamReport | None = None

    def stopping() -> None:
        error_line("stopping: delivering what was received; Ctrl-C again ends now")
        stop.set()

    with StreamProgress() as progress:

        def show(report: StreamReport) -> None:
            progress.show(report)
            if order.max_messages is not None and report.committed >= order.max_messages:
                stop.set()

        patience = math.inf if order.policy.give_up_after_s is None else order.policy.give_up_after_s
        try:
            async with bulk_client() as client, client.writer(_writing(patience)) as writer:
                with interruptible(stopping):
                    async with _opened(order) as (source, sink):
                        final = await consumed(
                            source,
                            writer,
                            decode=order.format,
                            dead_letters=sink,
                            policy=order.policy,
                            stop=stop,
                            on_progress=show,
                        )
                if final.uncommitted:
                    writer.stop(BesmartError("stopped"))
        except UndeliveredError:
            if final is None:
                raise
    assert final is not None  # noqa: S101 - else it has raised
    return final


def _writing(patience_s: float) -> BatchPolicy:
    """A writer that retries as long as the stream does: what it hands back would only be written again."""
    return BatchPolicy(delivery_timeout_s=patience_s, admission_timeout_s=patience_s, close_timeout_s=_CLOSE_S)


@asynccontextmanager
async def _opened(
    order: _Consumption,
) -> AsyncGenerator[tuple[AsyncIterable[MessageBatch], DeadLetterSink | None], None]:
    """Open the source and the sink.

    Raises:
        UsageError: the extra is not installed, or a secret cannot be read.
    """
    opened = _opened_kafka if order.address.broker == "kafka" else _opened_nats
    try:
        async with opened(order) as both:
            yield both
    except ImportError as error:
        raise UsageError(str(error)) from None  # the text has the pip command


@asynccontextmanager
async def _opened_kafka(
    order: _Consumption,
) -> AsyncGenerator[tuple[AsyncIterable[MessageBatch], DeadLetterSink | None], None]:
    from besmart_async.streams.kafka import KafkaDeadLetters, KafkaSource

    settings = kafka_settings(order.address, order.kafka_config)
    of_consumer = {"group.id", "auto.offset.reset"}
    sink = None
    if order.dead_letters:
        producing = {name: value for name, value in settings.items() if name not in of_consumer}
        sink = KafkaDeadLetters(producing, order.dead_letters)
    async with KafkaSource(settings, order.topics, order.policy) as source:
        yield source, sink


@asynccontextmanager
async def _opened_nats(
    order: _Consumption,
) -> AsyncGenerator[tuple[AsyncIterable[MessageBatch], DeadLetterSink | None], None]:
    from besmart_async.streams.nats import NatsDeadLetters, NatsLogin, NatsSource, connected

    address = order.address
    login = NatsLogin(
        user=secret("USER"),
        password=secret("PASSWORD"),
        token=secret("TOKEN"),
        credentials=address.options.get("creds"),
    )
    scheme = "tls" if address.tls else "nats"
    connection = await connected([f"{scheme}://{host}" for host in address.hosts.split(",")], login)
    try:
        durable = address.options.get("durable", "besmart")
        sink = NatsDeadLetters(connection, order.dead_letters) if order.dead_letters else None
        async with NatsSource(
            connection, order.subject, durable, stream=address.options.get("stream"), policy=order.policy
        ) as source:
            yield source, sink
    finally:
        await connection.close()


def _show(report: StreamReport) -> None:
    write(counted_line("received", report.received, "messages"))
    write(counted_line("committed", report.committed, "messages, acknowledged to the broker"))
    write(counted_line("stored", report.readings, "readings of these"))
    write(counted_line("dead", report.dead, "messages that cannot be stored, kept as dead letters"))
    if report.uncommitted:
        write(counted_line("returned", report.uncommitted, "messages that the broker delivers again"))
