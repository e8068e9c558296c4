"""The client for code that is not asynchronous: scripts, notebooks, Django, Flask, Celery.

```python
with besmart_async.blocking(BesmartClient.from_env()) as (client, run):
    data = run(client.signals.read(key, since, till))
    with run.entered(client.writer()) as writer:
        run(writer.write(key, time, value))
```

The client, its readers and writers live in an event loop in a thread of their own (anyio's portal). Nothing is doubled:
what is asynchronous is called as always, and `run` waits for it. Any number of threads may call `run` at a time, so
concurrent reads and writes of a threaded web server still share bulk calls. It works while another event loop runs in
this thread, as in a notebook, and holds that loop up meanwhile.
"""

from __future__ import annotations

import atexit
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, TypeVar, final

from anyio.from_thread import BlockingPortal, start_blocking_portal

from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartConfigError, BesmartError

T = TypeVar("T")


@final
class BlockingRunner:
    """Runs awaitables in the event loop of a `blocking` client, from any other thread."""

    def __init__(self, portal: BlockingPortal, opened: dict[_Entered[Any], None]) -> None:
        self._portal = portal
        self._opened = opened  # in the order of their entry

    def __call__(self, awaitable: Awaitable[T]) -> T:
        """Wait for a call of the client, a reader or a writer, and return its result.

        Ctrl-C cancels the call; what that means is said by each method. Other threads' calls go on.

        Raises:
            BesmartError: the `with` block of `blocking` has ended, or this is the thread of the client; or what the
                awaitable raises.
        """

        async def awaited() -> T:
            return await awaitable

        try:
            future = self._portal.start_task_soon(awaited)
        except RuntimeError as error:
            if inspect.iscoroutine(awaitable):
                awaitable.close()  # else Python warns that it was never awaited
            raise BesmartError(_why(error)) from None
        try:
            return future.result()
        except BaseException:
            future.cancel()  # of no effect unless the wait was interrupted
            raise

    def entered(self, manager: AbstractAsyncContextManager[T]) -> AbstractContextManager[T]:
        """Return a `with` block for something that is used with `async with`, such as a writer or a reader.

        Leaving the block of a writer delivers what it accepted, as leaving `async with` does. What is still open when
        the client is closed is closed before it.
        """
        return _Entered(self._portal.wrap_async_context_manager(manager), self._opened)

    def iterated(self, items: AsyncIterable[T]) -> Iterator[T]:
        """Yield what an asynchronous iterator yields, such as `reader.stream(...)`."""
        iterator = aiter(items)
        while some := self(_some(iterator)):
            yield some[0]


class _Entered(AbstractContextManager[T]):
    def __init__(self, manager: AbstractContextManager[T], opened: dict[_Entered[Any], None]) -> None:
        self._manager = manager
        self._opened = opened

    def __enter__(self) -> T:
        value = self._manager.__enter__()
        self._opened[self] = None
        return value

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self not in self._opened:
            return None  # closed before, with the client
        del self._opened[self]
        return self._manager.__exit__(exc_type, exc, traceback)


def blocking(client: BesmartClient) -> AbstractContextManager[tuple[BesmartClient, BlockingRunner]]:
    """Return a context manager of `(client, run)`: `run(awaitable)` waits for any call of the client.

    The block starts one thread with an event loop. Leaving it closes the client and ends the thread; so does the end of
    the interpreter. A program that lives long (Django, Celery) enters it once in each process, after forking:
    `client, run = ExitStack().enter_context(blocking(...))`.

    Args:
        client: a client that was not used yet.

    Raises:
        BesmartConfigError: `client` is not a `BesmartClient`.
    """
    if not isinstance(client, BesmartClient):
        raise BesmartConfigError(f"client={type(client).__name__}: give a BesmartClient")
    return _Blocking(client)


class _Blocking(AbstractContextManager[tuple[BesmartClient, BlockingRunner]]):
    def __init__(self, client: BesmartClient) -> None:
        self._client = client
        self._stack = ExitStack()

    def __enter__(self) -> tuple[BesmartClient, BlockingRunner]:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal("asyncio", name="besmart"))
            stack.enter_context(portal.wrap_async_context_manager(self._client))
            opened: dict[_Entered[Any], None] = {}
            stack.callback(_close, opened)
            self._stack = stack.pop_all()
        atexit.register(self._at_exit)
        return self._client, BlockingRunner(portal, opened)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        atexit.unregister(self._at_exit)
        return self._stack.__exit__(exc_type, exc, traceback)

    def _at_exit(self) -> None:
        """Close what a notebook or script never closed; the exception makes the portal cancel the calls that wait."""
        end = SystemExit()
        self._stack.__exit__(SystemExit, end, None)


def _close(opened: dict[_Entered[Any], None]) -> None:
    with ExitStack() as stack:
        for entered in list(opened):
            stack.push(entered)


async def _some(iterator: AsyncIterator[T]) -> tuple[T, ...]:
    """Return the next item alone; nothing at the end, since StopAsyncIteration cannot leave a coroutine."""
    try:
        return (await anext(iterator),)
    except StopAsyncIteration:
        return ()


def _why(error: RuntimeError) -> str:
    if "event loop thread" in str(error):
        return "run(...) was called in the thread of the client, which would wait for itself: use `await` there"
    return "the `with blocking(...)` block has ended: call run(...) inside it"
