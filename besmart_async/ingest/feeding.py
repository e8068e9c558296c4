"""Iterating something slow in a thread, a few steps ahead of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

JOIN_S = 0.5
"""How long leaving waits for the thread: a file is let go at once, a silent standard input is not waited for."""


class Feed(Generic[T]):
    """Asynchronous iteration over `produce()`, which runs in a thread of its own.

    The thread is a daemon, and nothing waits for it for long: reading from a terminal or a pipe cannot be interrupted.

    Args:
        produce: makes the iterator; called in the thread.
        ahead: how many steps the thread may be ahead.
    """

    def __init__(self, produce: Callable[[], Generator[T, None, None]], ahead: int = 2) -> None:
        self._produce = produce
        self._room = threading.Semaphore(ahead)
        self._steps: asyncio.Queue[tuple[T] | BaseException | None] = asyncio.Queue()
        self._thread = threading.Thread(target=self._run, name="besmart-feed", daemon=True)
        self._stopped = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped = True
        self._room.release()
        self._thread.join(JOIN_S)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        step = await self._steps.get()
        if step is None:
            raise StopAsyncIteration
        if isinstance(step, BaseException):
            raise step
        self._room.release()
        return step[0]

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            with contextlib.closing(self._produce()) as steps:
                for step in steps:
                    self._put((step,))
                    self._room.acquire()
                    if self._stopped:
                        return
        except BaseException as error:  # raised again where the steps are awaited
            end = error
        self._put(end)

    def _put(self, step: tuple[T] | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            self._loop.call_soon_threadsafe(self._steps.put_nowait, step)
