"""`consume`: messages of a broker to the service, each acknowledged to the broker after the service stored it.

Rules:
- A message is acknowledged when each of its readings is stored, or when the message is a dead letter and the sink for
  those has returned. Nothing else acknowledges: no timeout, no stop, no transient failure.
- Batches are acknowledged in the order in which they came.
- What the service could not take for now is written again, and with it everything after it that is not acknowledged:
  else an older value could replace a newer one of the same time.
- At most `max_uncommitted` messages are held; then nothing is pulled, and the broker's module pauses.

Theory of operation: one task pulls batches, decodes and writes them. Another calls `flush` again and again; each time
it acknowledges what had been written when it began. While it waits, the first task goes on writing, so that a service
far away slows nothing down, and a fast one gets large calls. A rejection names readings by number; each batch knows the
numbers of its messages.

Delivery is at least once. A second delivery changes nothing: a reading is identified by its signal, time and origin,
and writing the same again stores the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Sequence
from functools import partial
from itertools import takewhile

import anyio
import attrs

from besmart_async.batching.write.writer import Writer
from besmart_async.errors import (
    BesmartConfigError,
    BesmartError,
    InvalidInputError,
    UndeliveredError,
    WriterTimeoutError,
)
from besmart_async.logs import logger
from besmart_async.models.delivery import Rejection
from besmart_async.models.series import SignalData
from besmart_async.streams.batches import (
    DeadLetter,
    DeadLetterSink,
    MessageBatch,
    PoisonMessageError,
    StreamPolicy,
    StreamReport,
)
from besmart_async.streams.decoding import Decode, Decoded, Encoding, decoder

_TURN = 1_000
"""Messages decoded before other tasks run: some milliseconds."""


async def consume(
    batches: AsyncIterable[MessageBatch],
    writer: Writer,
    *,
    decode: Encoding | Decode = "json",
    dead_letters: DeadLetterSink | None = None,
    policy: StreamPolicy = StreamPolicy(),  # noqa: B008 - a frozen value
    stop: asyncio.Event | None = None,
    on_progress: Callable[[StreamReport], object] | None = None,
) -> StreamReport:
    """Write the readings of messages, and acknowledge each message after the service has stored its readings.

    Returns when `batches` ends, or after `stop` is set: then what was received is delivered and acknowledged for up to
    `drain_timeout_s`, and the rest is given back to the broker. Cancelling gives back everything that is not
    acknowledged; the writer delivers it nevertheless, and the broker delivers it again, which changes nothing.

    Args:
        batches: messages of a broker, such as `KafkaSource` or `NatsSource`.
        writer: one that nobody else writes to, without `on_reject`.
        decode: how readings are written in messages: `"json"`, `"msgpack"`, `"arrow"`, or a function from bytes to
            `SignalData`.
        dead_letters: keeps messages that can never be stored. Without it the first one raises.
        policy: limits and durations.
        stop: ends the consumption when it is set, such as at SIGTERM.
        on_progress: called after every batch that was acknowledged, and when something waits.

    Returns:
        The counters. `uncommitted` is above 0 if messages were given back.

    Raises:
        PoisonMessageError: a message cannot be stored, and there is no sink for dead letters.
        BesmartConfigError: an unknown encoding, or a writer that others write to or that has `on_reject`.
        BesmartError: the writer is closed or has stopped for good, or the service has taken nothing for
            `give_up_after_s`.
    """
    consuming = _Consuming(writer, decoder(decode), dead_letters, policy, stop or asyncio.Event(), on_progress)
    return await consuming.run(batches)


@attrs.define(eq=False)
class _Work:
    """A batch that is under way.

    Attributes:
        batch: the messages.
        dead: messages that will never be stored, by their index; they are not written again.
        first: number of the first reading.
        ends: for each message that was written, the number of readings up to its end.
        indexes: which message that was.
        written: all of it was handed to the writer.
    """

    batch: MessageBatch
    dead: dict[int, DeadLetter] = attrs.field(factory=dict[int, DeadLetter])
    first: int = 0
    ends: list[int] = attrs.field(factory=list[int])
    indexes: list[int] = attrs.field(factory=list[int])
    written: bool = False

    def __len__(self) -> int:
        return len(self.batch.payloads)

    @property
    def stop(self) -> int:
        """The number after that of the last reading."""
        return self.first + (self.ends[-1] if self.ends else 0)

    def bury(self, index: int, error: Exception, reason: str = "") -> None:
        """Note that a message will never be stored; its first reason counts."""
        if index not in self.dead:
            self.dead[index] = DeadLetter(self.batch, index, reason or str(error) or repr(error), error)

    def messages(self, start: int, stop: int) -> Sequence[int]:
        """Return the messages with readings of these numbers."""
        first, last = (bisect_right(self.ends, number - self.first) for number in (start, stop - 1))
        return self.indexes[first : last + 1]

    def stored(self) -> int:
        """Count the readings of messages that are not dead."""
        if not self.dead:
            return self.ends[-1] if self.ends else 0
        begins = [0, *self.ends]
        return sum(
            end - begin
            for begin, end, index in zip(begins, self.ends, self.indexes, strict=False)
            if index not in self.dead
        )


class _Consuming:
    def __init__(
        self,
        writer: Writer,
        decode: Callable[[bytes], Decoded],
        dead_letters: DeadLetterSink | None,
        policy: StreamPolicy,
        stop: asyncio.Event,
        on_progress: Callable[[StreamReport], object] | None,
    ) -> None:
        self._writer = writer
        self._decode = decode
        self._dead_letters = dead_letters
        self._policy = policy
        self._stop = stop
        self._on_progress = on_progress
        self._report = StreamReport()
        self._under_way: deque[_Work] = deque()
        self._order = asyncio.Lock()  # what is written again comes before what is new
        self._moved = asyncio.Event()  # something was written, acknowledged, or is at its end
        self._at_end = False
        self._again = False
        self._stuck_since: float | None = None

    async def run(self, batches: AsyncIterable[MessageBatch]) -> StreamReport:
        source = aiter(batches)
        pulling = asyncio.create_task(self._pull(source), name="besmart consume: pull and write")
        settling = asyncio.create_task(self._settle(), name="besmart consume: flush and commit")
        stopped = asyncio.create_task(self._stop.wait(), name="besmart consume: stop")
        try:
            await asyncio.wait({pulling, settling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not settling.done() and not stopped.done():
                await asyncio.wait({settling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not settling.done():
                await asyncio.wait({settling}, timeout=self._policy.drain_timeout_s)
        finally:
            for task in (pulling, settling, stopped):
                task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({pulling, settling, stopped})
                await self._release()
        for task in (settling, pulling):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        return self._report

    # -- pulling and writing -----------------------------------------------------------------------------------------

    async def _pull(self, source: AsyncIterator[MessageBatch]) -> None:
        try:
            while not self._stop.is_set() and (batch := await self._unless_stopped(_next(source))) is not None:
                work = _Work(batch)
                self._under_way.append(work)  # from here on it is given back if it is not acknowledged
                self._count(received=len(work), uncommitted=len(work))
                async with self._order:
                    await self._write(work)
                while self._report.uncommitted >= self._policy.max_uncommitted and not self._stop.is_set():
                    await self._moving()
        finally:
            self._at_end = True
            self._moved.set()

    async def _unless_stopped(self, work: Coroutine[None, None, MessageBatch | None]) -> MessageBatch | None:
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        except asyncio.CancelledError:
            if task.done() and not task.cancelled() and task.exception() is None and (batch := task.result()):
                self._under_way.append(_Work(batch))  # so that it is given back
            raise
        finally:
            stopped.cancel()
            task.cancel()
            await asyncio.wait({task})

    async def _write(self, work: _Work) -> None:
        """Decode and write the messages of a batch that are not dead."""
        decoded: list[tuple[int, Decoded]] = []
        decode, dead = self._decode, work.dead
        for index, payload in enumerate(work.batch.payloads):
            if index % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            if index in dead:
                continue
            try:
                if payload is None:
                    raise InvalidInputError("payload", None, "the message has no content")  # noqa: TRY301
                found = decode(payload)
                if not found:
                    raise InvalidInputError("payload", found, "there are no readings")  # noqa: TRY301
                decoded.append((index, found))
            except Exception as error:  # whatever a message makes a decoder raise
                work.bury(index, error)
        work.ends, work.indexes = [], []
        await self._write_decoded(work, decoded)
        work.written = True
        self._moved.set()

    async def _write_decoded(self, work: _Work, decoded: Sequence[tuple[int, Decoded]]) -> None:
        """Write what was decoded. The first and last part are written so that they return their numbers."""
        count, last = 0, len(decoded) - 1
        write, ends, indexes = self._writer.write, work.ends, work.indexes
        for place, (index, found) in enumerate(decoded):
            if isinstance(found, tuple) and 0 < place < last:
                key, time, value, kind, origin, unit = found
                try:
                    await write(key, time, value, type=kind, origin=origin, unit=unit)
                except BesmartError as error:
                    await self._retry(error, partial(self._writer.write_data, _as_data(found)[0]))
                count += 1
            else:
                for data in _as_data(found):
                    numbers = await self._retry(None, partial(self._writer.write_data, data))
                    if count == 0:
                        work.first = numbers.start
                    if numbers.start != work.first + count:
                        raise BesmartConfigError("somebody else writes to this writer; give consume one of its own")
                    count += len(data)
            ends.append(count)
            indexes.append(index)

    async def _retry(self, error: BesmartError | None, write: Callable[[], Coroutine[None, None, range]]) -> range:
        """Write until the writer has accepted it; `error` is what the first try raised."""
        while True:
            if error is not None:
                await self._wait_after(error)
            try:
                return await write()
            except BesmartError as failed:
                error = failed

    # -- flushing and acknowledging ----------------------------------------------------------------------------------

    async def _settle(self) -> None:
        while True:
            if self._again:
                await self._write_again()
            works = list(takewhile(lambda work: work.written, self._under_way))
            if works:
                await self._flush()
                if not self._again:
                    await self._acknowledge(works)
            elif self._at_end:
                return
            else:
                await self._moving()

    async def _write_again(self) -> None:
        async with self._order:
            self._again = False
            self._count(rewrites=1)
            for work in list(self._under_way):
                if work.written:
                    await self._write(work)

    async def _flush(self) -> None:
        before = self._writer.report
        error: BesmartError | None = None
        letters = 0
        try:
            after = await self._writer.flush()
        except UndeliveredError as undelivered:
            error = undelivered if undelivered.dropped else None
            after = undelivered.report
            for rejection in undelivered.undelivered:
                letters += 1
                if not self._rejected(rejection):
                    error = rejection.error
        except BesmartError as failed:
            after, error = self._writer.report, failed
        lost = after.rejected + after.in_doubt - before.rejected - before.in_doubt
        if lost and not letters and error is None:
            raise BesmartConfigError(
                "this writer has on_reject; give consume one without, it keeps dead letters itself"
            )
        if error is not None:
            self._again = True
            await self._wait_after(error)
        else:
            self._proceeding()

    def _rejected(self, rejection: Rejection) -> bool:
        """Bury the messages of readings that the service refused; False if they must be written again."""
        if rejection.outcome != "rejected":
            return False
        for start, stop in rejection.numbers:
            for work in self._under_way:
                if work.ends and start < work.stop and stop > work.first:
                    reason = f"the service refuses {rejection.data.key}: {rejection.error}"
                    for index in work.messages(max(start, work.first), min(stop, work.stop)):
                        work.bury(index, rejection.error, reason)
        return True

    async def _acknowledge(self, works: Sequence[_Work]) -> None:
        """Keep the dead letters of batches, then commit them; the broker's module may commit several in one call."""
        good = list(takewhile(lambda work: self._dead_letters is not None or not work.dead, works))
        for work in good:
            if work.dead and self._dead_letters is not None:
                await self._dead_letters([work.dead[index] for index in sorted(work.dead)])
        await asyncio.gather(*(work.batch.commit() for work in good))
        for work in good:
            self._under_way.popleft()
            self._count(committed=len(work), uncommitted=-len(work), dead=len(work.dead), readings=work.stored())
        self._tell()
        self._moved.set()
        if len(good) < len(works):
            dead = works[len(good)].dead
            raise PoisonMessageError(dead[min(dead)])

    async def _release(self) -> None:
        for work in self._under_way:
            with contextlib.suppress(Exception):  # the broker delivers it again in any case
                await work.batch.release()

    # -- waiting -----------------------------------------------------------------------------------------------------

    async def _moving(self) -> None:
        """Wait until something was written or acknowledged, or a stop."""
        self._moved.clear()
        await self._moved.wait()

    async def _wait_after(self, error: BesmartError) -> None:
        """Wait before what failed is tried again.

        Raises:
            BesmartError: `error`, if trying again is useless or has been for too long.
        """
        if isinstance(error, InvalidInputError | BesmartConfigError):
            raise error
        now = asyncio.get_running_loop().time
        if self._stuck_since is None:
            self._stuck_since = now()
            logger.warning("the stream waits: %s", error)
        self._report = attrs.evolve(self._report, waiting=str(error))
        self._tell()
        limit = self._policy.give_up_after_s
        if limit is not None and now() - self._stuck_since >= limit:
            raise error
        if not isinstance(error, WriterTimeoutError):  # which has waited already
            await asyncio.sleep(self._policy.retry_wait_s)
        if self._writer.report.state == "stopped" and not self._writer.resume():
            raise error

    def _proceeding(self) -> None:
        if self._stuck_since is not None:
            self._stuck_since = None
            self._report = attrs.evolve(self._report, waiting="")
            logger.warning("the stream proceeds")

    def _count(
        self,
        *,
        received: int = 0,
        committed: int = 0,
        dead: int = 0,
        readings: int = 0,
        uncommitted: int = 0,
        rewrites: int = 0,
    ) -> None:
        now = self._report
        self._report = attrs.evolve(
            now,
            received=now.received + received,
            committed=now.committed + committed,
            dead=now.dead + dead,
            readings=now.readings + readings,
            uncommitted=now.uncommitted + uncommitted,
            rewrites=now.rewrites + rewrites,
        )

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._report)


async def _next(source: AsyncIterator[MessageBatch]) -> MessageBatch | None:
    return await anext(source, None)


def _as_data(found: Decoded) -> Sequence[SignalData]:
    if not isinstance(found, tuple):
        return found
    key, time, value, kind, origin, unit = found
    return [SignalData(key, [time], [value], kind, origin, unit)]
