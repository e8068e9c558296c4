"""NATS JetStream: batches of messages of a durable pull consumer. Needs the extra `nats` (nats-py).

Rules:
- A message is acknowledged after the service stored its readings; the server has seen the acknowledgements of a batch
  before `commit` returns.
- While a batch is under way the server is told so before `ack_wait` is over, and delivers it to nobody else.
- What is given back is refused with a delay (`nak_delay_s`), so that a consumer that starts again is not flooded.
- Several processes may share a durable consumer: each message is acknowledged by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self

import attrs

from besmart_async.errors import BesmartConfigError
from besmart_async.logs import logger
from besmart_async.streams.batches import DeadLetter, Payload, StreamError, StreamPolicy

try:
    import nats
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.errors import ConnectionClosedError, Error
    from nats.errors import TimeoutError as NatsTimeoutError
    from nats.js import JetStreamContext
    from nats.js.api import AckPolicy, ConsumerConfig
    from nats.js.errors import APIError, FetchTimeoutError, NotFoundError
except ImportError:
    raise ImportError("NATS needs: pip install 'besmart-async[nats]'") from None

_POLL_S = 1.0
_ACK_WAIT_S = 30.0


@attrs.frozen(kw_only=True)
class NatsLogin:
    """How to log in to a NATS server; give what the server asks for.

    Attributes:
        user: user name.
        password: password.
        token: token.
        credentials: path of a `.creds` file.
    """

    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    credentials: str | None = None


async def connected(servers: str | Sequence[str], login: NatsLogin = NatsLogin()) -> Client:
    """Connect to a NATS server.

    Raises:
        StreamError: no server answers, or it refuses the login.
    """
    addresses = [servers] if isinstance(servers, str) else list(servers)

    async def told(error: Exception) -> None:
        logger.warning("NATS: %s", _told(error))

    try:
        return await nats.connect(
            addresses,
            user=login.user,
            password=login.password,
            token=login.token,
            user_credentials=login.credentials,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            error_cb=told,
            connect_timeout=5,
            reconnect_time_wait=1,
        )
    except (Error, OSError, ValueError) as error:
        raise StreamError(f"NATS: no connection to {', '.join(map(_bare, addresses))}: {_told(error)}") from None


class NatsBatch:
    """Messages of JetStream."""

    def __init__(self, source: NatsSource, messages: list[Msg]) -> None:
        """Keep the messages."""
        self.messages = messages
        self.payloads: list[Payload] = [message.data for message in messages]
        self._source = source

    def identity(self, index: int) -> str:
        """Return subject and sequence number in the stream."""
        message = self.messages[index]
        return f"{message.subject}@{message.metadata.sequence.stream}"

    async def commit(self) -> None:
        """Acknowledge every message, and wait until the server has the acknowledgements."""
        self._source.settled(self)
        await self._source.acknowledge(self.messages)

    async def release(self) -> None:
        """Refuse every message for now; the server delivers it again after a delay."""
        self._source.settled(self)
        await self._source.refuse(self.messages)


class NatsSource:
    """Messages of a subject, by a durable pull consumer. Use it with `async with`, and iterate over it.

    Args:
        client: a connection; whoever made it closes it.
        subject: which messages; it may have wildcards.
        durable: name of the consumer, which remembers what was acknowledged. It is created if it does not exist.
        stream: the stream; by default the one that holds the subject.
        policy: limits and durations.
        max_deliver: how often a message is delivered at most, for a new consumer; None: without end. One that has been
            delivered so often and is refused again stays in the stream, and is not delivered any more.
        nak_delay_s: how long the server waits before it delivers again what was given back.
    """

    def __init__(
        self,
        client: Client,
        subject: str,
        durable: str,
        *,
        stream: str | None = None,
        policy: StreamPolicy = StreamPolicy(),  # noqa: B008 - a frozen value
        max_deliver: int | None = None,
        nak_delay_s: float = 5.0,
    ) -> None:
        """Keep the settings; nothing is asked before the source is entered."""
        if not subject or not durable:
            raise BesmartConfigError("NATS needs a subject and the name of a durable consumer")
        self._client = client
        self._subject = subject
        self._durable = durable
        self._stream = stream
        self._policy = policy
        self._max_deliver = max_deliver
        self._nak_delay_s = nak_delay_s
        self._open: dict[NatsBatch, None] = {}
        self._ack_wait_s = _ACK_WAIT_S
        self._beating: asyncio.Task[None] | None = None
        self._pull: JetStreamContext.PullSubscription | None = None

    async def __aenter__(self) -> Self:
        config = ConsumerConfig(
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT_S,
            max_ack_pending=self._policy.max_uncommitted + self._policy.batch_messages,
            max_deliver=-1 if self._max_deliver is None else self._max_deliver,
        )
        try:
            self._pull = await self._client.jetstream().pull_subscribe(
                self._subject,
                self._durable,
                self._stream,
                config=config,
                pending_msgs_limit=-1,
                pending_bytes_limit=-1,
            )
            info = await self._pull.consumer_info()
        except NotFoundError:
            raise StreamError(
                f"NATS: no stream holds the subject {self._subject}; create one, such as with"
                f" nats stream add --subjects {self._subject}"
            ) from None
        except (APIError, Error) as error:
            raise StreamError(f"NATS: {_told(error)}") from None
        if info.config.ack_policy != AckPolicy.EXPLICIT:
            raise BesmartConfigError(f"the consumer {self._durable} needs the ack policy explicit")
        self._ack_wait_s = info.config.ack_wait or _ACK_WAIT_S
        self._beating = asyncio.create_task(self._beat(), name="besmart nats: work in progress")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        if self._pull is not None and not self._client.is_closed:
            with contextlib.suppress(Error):
                await self._pull.unsubscribe()

    def __aiter__(self) -> AsyncIterator[NatsBatch]:
        return self

    async def __anext__(self) -> NatsBatch:
        """Return the next batch.

        Raises:
            StreamError: the connection is closed, or the consumer was deleted.
        """
        if self._pull is None:
            raise StreamError("enter the source first: async with NatsSource(...) as source")
        while True:
            try:
                messages = await self._pull.fetch(self._policy.batch_messages, timeout=_POLL_S)
            except (NatsTimeoutError, FetchTimeoutError, TimeoutError):
                continue
            except (ConnectionClosedError, APIError) as error:
                raise StreamError(f"NATS: {_told(error)}") from None
            batch = NatsBatch(self, messages)
            self._open[batch] = None
            return batch

    async def acknowledge(self, messages: Sequence[Msg]) -> None:
        """Acknowledge messages, and wait until the server knows.

        An acknowledgement that is lost on the way means only that the message comes again.
        """
        try:
            for number, message in enumerate(messages, 1):
                await message.ack()
                if number % 500 == 0:
                    await asyncio.sleep(0)
            await self._client.flush()
        except (Error, OSError) as error:
            logger.warning("NATS did not take the acknowledgements (%s): it delivers these again", _told(error))

    async def refuse(self, messages: Sequence[Msg]) -> None:
        """Give messages back, to be delivered again after a delay."""
        for message in messages:
            await message.nak(delay=self._nak_delay_s)
        await self._client.flush()

    def settled(self, batch: NatsBatch) -> None:
        """Forget a batch: it is acknowledged or given back now."""
        self._open.pop(batch, None)

    async def _beat(self) -> None:
        """Tell the server that work is in progress, before it would deliver the messages again."""
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            for batch in list(self._open):
                try:
                    for message in batch.messages:
                        await message.in_progress()
                except (Error, OSError) as error:
                    logger.warning("NATS: %s", _told(error))
                    break


class NatsDeadLetters:
    """A sink that publishes dead letters to a subject of a stream, with headers and content unchanged.

    The headers `Besmart-Reason` and `Besmart-Source` (subject and sequence number) are added. The source is also the
    id of the message, so that the stream stores it once within its window for duplicates.
    """

    def __init__(self, client: Client, subject: str) -> None:
        """Keep the connection and the subject."""
        self._stream = client.jetstream()
        self._subject = subject

    async def __call__(self, letters: Sequence[DeadLetter]) -> None:
        """Return when the stream has stored all of them.

        Raises:
            StreamError: no stream holds the subject, or it does not take one.
        """
        for letter in letters:
            message = letter.batch.messages[letter.index] if isinstance(letter.batch, NatsBatch) else None
            given: Mapping[str, str] = (message.headers if message is not None else None) or {}
            headers = {
                **given,
                "Besmart-Reason": " ".join(letter.reason.split()),
                "Besmart-Source": letter.identity,
                "Nats-Msg-Id": f"besmart-dead-{letter.identity}",
            }
            try:
                await self._stream.publish(self._subject, letter.payload or b"", headers=headers)
            except (Error, OSError) as error:
                raise StreamError(f"dead letters to {self._subject}: {_told(error)}") from None


def _bare(address: str) -> str:
    """Return an address without user and password."""
    scheme, found, rest = address.rpartition("://")
    return f"{scheme}{found}{rest.rpartition('@')[2]}"


def _told(error: Exception) -> str:
    if isinstance(error, APIError):
        return error.description or str(error)
    return str(error) or type(error).__name__
