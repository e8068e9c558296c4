"""Kafka: batches of messages with the offsets that acknowledge them. Needs the extra `kafka` (confluent-kafka).

Rules:
- All calls of the consumer are made by one thread, also those of a commit: while a partition is revoked, that thread is
  inside the callback and can still commit, which a second thread could not. (`AIOConsumer` lines its calls up: a commit
  would wait for the revocation, which waits for the commit.)
- Offsets are committed batch by batch, after the service stored the readings; automatic commits are off.
- A partition that is revoked waits for what was received of it for up to `drain_timeout_s`, and commits it. What is not
  done by then is dropped: its offsets are never committed here, since the partition belongs to somebody else.
- A lost partition (the group went on without us) is dropped at once.
- While `max_uncommitted` messages are held for longer than a second, the partitions are paused. The consumer goes on
  polling, so that the group keeps it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from besmart_async.errors import BesmartConfigError
from besmart_async.logs import logger
from besmart_async.streams.batches import DeadLetter, Payload, StreamError, StreamPolicy

try:
    from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
except ImportError:
    raise ImportError("Kafka needs: pip install 'besmart-async[kafka]'") from None

KafkaConfig = Mapping[str, str | int | float | bool]
"""Settings of librdkafka, such as `{"bootstrap.servers": "localhost:9092", "group.id": "meters"}`."""

_POLL_S = 0.05
"""How long the thread waits for messages before it looks after commits."""
_PATIENCE_S = 1.0
"""How long a full source waits for room before it pauses its partitions, which throws away what is prefetched."""
_FATAL = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._FATAL,
    }
)
Place = tuple[str, int]
"""A topic and a partition."""


class KafkaBatch:
    """Messages of Kafka."""

    def __init__(self, source: KafkaSource, messages: list[Message], owned: Mapping[Place, object]) -> None:
        """Note the offsets after the messages."""
        self.messages = messages
        self.payloads: list[Payload] = [message.value() for message in messages]
        self.done = False
        offsets: dict[Place, int] = {}
        for message in messages:
            offsets[_place(message)] = (message.offset() or 0) + 1
        self.offsets = offsets
        self.owned = {place: owned.get(place) for place in offsets}
        self._source = source

    def identity(self, index: int) -> str:
        """Return topic, partition and offset."""
        topic, partition = _place(self.messages[index])
        return f"{topic}[{partition}]@{self.messages[index].offset()}"

    async def commit(self) -> None:
        """Commit the offsets of the partitions that still belong to this consumer."""
        await self._source.commit(self)

    async def release(self) -> None:
        """Commit nothing: whoever owns the partition next starts before these messages."""
        self._source.settled(self)


class KafkaSource:
    """Messages of some topics, as a member of a consumer group. Use it with `async with`, and iterate over it.

    Args:
        config: settings of librdkafka; `bootstrap.servers` and `group.id` are needed. Without `auto.offset.reset` a new
            group starts at the earliest message.
        topics: names of topics; one that starts with ^ is a regular expression.
        policy: limits and durations.

    Raises:
        BesmartConfigError: a setting is missing, unknown, or would acknowledge messages too early.
    """

    def __init__(self, config: KafkaConfig, topics: Sequence[str], policy: StreamPolicy = StreamPolicy()) -> None:  # noqa: B008
        """Check the settings; nothing is connected before the source is entered."""
        for needed in ("bootstrap.servers", "group.id"):
            if not config.get(needed):
                raise BesmartConfigError(f"Kafka needs the setting {needed}")
        if not topics:
            raise BesmartConfigError("Kafka needs a topic")
        for name in ("enable.auto.commit", "enable.auto.offset.store"):
            if str(config.get(name, False)).casefold() != "false":
                raise BesmartConfigError(f"{name}: it would acknowledge messages before the service has stored them")
        self._config: dict[str, str | int | float | bool] = {
            "auto.offset.reset": "earliest",
            **config,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
        self._topics = list(topics)
        self._policy = policy
        self._ready: asyncio.Queue[KafkaBatch | Exception] = asyncio.Queue()
        self._changed = threading.Condition()
        self._commits: deque[tuple[KafkaBatch, concurrent.futures.Future[None]]] = deque()
        self._open: set[KafkaBatch] = set()
        self._held = 0
        self._owned: dict[Place, object] = {}
        self._paused = self._stopping = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="besmart kafka consumer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- in the event loop -------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            self._consumer = Consumer({**self._config, "error_cb": self._failed})
        except KafkaException as error:
            raise BesmartConfigError(f"Kafka: {_told(error)}") from None
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._thread.join))

    def __aiter__(self) -> AsyncIterator[KafkaBatch]:
        return self

    async def __anext__(self) -> KafkaBatch:
        """Return the next batch.

        Raises:
            StreamError: the broker refuses the account, or a topic does not exist.
        """
        found = await self._ready.get()
        if isinstance(found, Exception):
            raise found
        return found

    async def commit(self, batch: KafkaBatch) -> None:
        """Commit the offsets of a batch, as far as its partitions still belong to this consumer."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        with self._changed:
            self._commits.append((batch, done))
            self._changed.notify_all()
        await asyncio.wrap_future(done)

    def settled(self, batch: KafkaBatch) -> None:
        """Forget a batch: it was committed, or will not be."""
        with self._changed:
            if batch in self._open:
                self._open.remove(batch)
                self._held -= len(batch.payloads)
            self._changed.notify_all()

    # -- in the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._consumer.subscribe(
                self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
            while not self._stopping and self._failure is None:
                self._serve_commits()
                self._receive()
        except Exception as error:  # the iteration raises it
            self._failure = self._failure or StreamError(f"Kafka: {_told(error)}")
        try:
            if self._failure is not None:
                self._hand_over(self._failure)
            while not self._stopping:  # what was received before is still committed
                self._serve_commits()
                with self._changed:
                    self._changed.wait_for(lambda: self._commits or self._stopping)
            self._serve_commits()
            self._consumer.close()
        except Exception as error:
            logger.warning("closing the Kafka consumer: %s", _told(error))
        finally:
            for _, done in self._commits:
                done.set_result(None)

    def _receive(self) -> None:
        """Receive a batch, or wait for room."""
        full = self._full()
        if full and not self._paused:
            with self._changed:
                self._changed.wait_for(lambda: not self._full() or self._commits or self._stopping, _PATIENCE_S)
                full = self._full() and not self._commits and not self._stopping
            if not full:
                return
        if full != self._paused:
            self._pause(full)
        messages: list[Message] = []
        until = time.monotonic() + self._policy.linger_s
        while len(messages) < self._policy.batch_messages:
            messages += self._consumer.consume(self._policy.batch_messages - len(messages), timeout=_POLL_S)
            if self._commits or self._stopping or time.monotonic() >= until:
                break
        good = [message for message in messages if not self._is_error(message)]
        if good:
            batch = KafkaBatch(self, good, self._owned)
            with self._changed:
                self._open.add(batch)
                self._held += len(good)
            self._hand_over(batch)

    def _full(self) -> bool:
        """Whether too much is held; once paused, half of it must leave first."""
        limit = self._policy.max_uncommitted
        return self._held >= (limit // 2 if self._paused else limit)

    def _pause(self, paused: bool) -> None:
        self._paused = paused
        partitions = self._consumer.assignment()
        (self._consumer.pause if paused else self._consumer.resume)(partitions)

    def _is_error(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return False
        if error.code() in _FATAL:
            self._failed(error)
        elif error.code() != KafkaError._PARTITION_EOF:
            logger.warning("Kafka: %s", error.str())
        return True

    def _failed(self, error: KafkaError) -> None:
        """Note an error of the client; all but refusals it retries by itself."""
        if error.code() in _FATAL or error.fatal():
            self._failure = self._failure or StreamError(f"Kafka: {error.str()}")
        else:
            logger.warning("Kafka: %s; the client tries again", error.str())

    def _serve_commits(self) -> None:
        """Commit the batches that wait for it, in one call."""
        served: list[tuple[KafkaBatch, concurrent.futures.Future[None]]] = []
        offsets: dict[Place, int] = {}
        while self._commits:
            batch, done = self._commits.popleft()
            served.append((batch, done))
            offsets |= {place: offset for place, offset in batch.offsets.items() if self._owns(batch, place)}
        try:
            if offsets:
                self._commit(offsets)
        except KafkaException as error:
            logger.warning("Kafka did not take the commit (%s): it delivers these messages again", _told(error))
        finally:
            for batch, done in served:
                self.settled(batch)
                done.set_result(None)

    def _owns(self, batch: KafkaBatch, place: Place) -> bool:
        """Whether the partition has belonged to this consumer ever since the batch was received."""
        term = batch.owned[place]
        return term is not None and self._owned.get(place) is term

    def _commit(self, offsets: Mapping[Place, int]) -> None:
        wanted = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
        for result in self._consumer.commit(offsets=wanted, asynchronous=False) or ():
            if result.error is not None:
                raise KafkaException(result.error)

    def _hand_over(self, found: KafkaBatch | Exception) -> None:
        assert self._loop is not None  # noqa: S101 - the thread starts after it is set
        try:
            self._loop.call_soon_threadsafe(self._ready.put_nowait, found)
        except RuntimeError:  # the loop is closed: nobody iterates any more
            self._stopping = True

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._owned[one.topic, one.partition] = object()  # a new term: commits of an earlier one do not count
        if self._paused:
            consumer.incremental_assign(partitions) if _cooperative(self._config) else consumer.assign(partitions)
            consumer.pause(partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Finish what was received of the partitions, or drop it when the time is over."""
        leaving = {(one.topic, one.partition) for one in partitions}
        until = time.monotonic() + self._policy.drain_timeout_s

        def waits() -> bool:
            return any(not leaving.isdisjoint(batch.offsets) for batch in self._open)

        while waits() and not self._stopping and (left := until - time.monotonic()) > 0:
            self._serve_commits()
            with self._changed:
                self._changed.wait_for(lambda: self._commits or self._stopping or not waits(), left)
        self._serve_commits()
        self._on_lost(consumer, partitions)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._owned.pop((one.topic, one.partition), None)


class KafkaDeadLetters:
    """A sink that produces dead letters to a topic, with key, headers and content unchanged.

    The headers `besmart-reason` and `besmart-source` (topic, partition, offset) are added.

    Args:
        config: settings of librdkafka for the producer.
        topic: where to.
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        """Make the producer; it connects by itself."""
        try:
            self._producer = Producer({"enable.idempotence": True, **config})
        except KafkaException as error:
            raise BesmartConfigError(f"Kafka: {_told(error)}") from None
        self._topic = topic

    async def __call__(self, letters: Sequence[DeadLetter]) -> None:
        """Return when the brokers have all of them.

        Raises:
            StreamError: they do not take one.
        """
        await asyncio.get_running_loop().run_in_executor(None, self._produce, letters)

    def _produce(self, letters: Sequence[DeadLetter]) -> None:
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        for letter in letters:
            message = letter.batch.messages[letter.index] if isinstance(letter.batch, KafkaBatch) else None
            headers: list[Any] = list((message.headers() if message is not None else None) or [])
            headers += [("besmart-reason", letter.reason.encode()), ("besmart-source", letter.identity.encode())]
            try:
                self._send(letter, message, headers, delivered)
            except (KafkaException, BufferError) as error:
                raise StreamError(f"dead letters to {self._topic}: {_told(error)}") from None
        self._producer.flush()
        if failed:
            raise StreamError(f"dead letters to {self._topic}: {failed[0].str()}")

    def _send(
        self,
        letter: DeadLetter,
        message: Message | None,
        headers: list[Any],
        delivered: Callable[[KafkaError | None, Message], None],
    ) -> None:
        key = None if message is None else message.key()
        for _ in range(2):
            try:
                self._producer.produce(self._topic, letter.payload, key, headers=headers, on_delivery=delivered)
            except BufferError:  # the queue is full: wait until it is empty
                self._producer.flush()
            else:
                return
        raise BufferError("the queue of the producer stays full")


def _place(message: Message) -> Place:
    topic, partition = message.topic(), message.partition()
    assert topic is not None and partition is not None  # noqa: S101, PT018 - a received message has them
    return topic, partition


def _cooperative(config: KafkaConfig) -> bool:
    return "cooperative" in str(config.get("partition.assignment.strategy", ""))


def _told(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return first.str() if isinstance(first, KafkaError) else str(error)
