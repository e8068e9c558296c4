"""Where an object may be used: in the process and event loop that use it first."""

from __future__ import annotations

import asyncio
import os
import sys

from besmart_async.errors import BesmartError

_IS_TRIO = "besmart-async runs on asyncio, and this is trio: use asyncio.run(), or anyio.run() with its asyncio backend"


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        BesmartError: no asyncio event loop runs here; under trio, the message says so.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        raise BesmartError(_IS_TRIO)
    raise BesmartError("no asyncio event loop is running: call this from a coroutine that asyncio runs")


class Owner:
    """The process and event loop that something belongs to, from its first use.

    Attributes:
        pid: the process; 0 before the first use.
        loop: the event loop; None before the first use.
    """

    __slots__ = ("_what", "loop", "pid")

    def __init__(self, what: str) -> None:
        """Start without an owner; `what` names the object in errors, such as `"client"`."""
        self._what = what
        self.pid = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    def check(self) -> asyncio.AbstractEventLoop:
        """Return the running event loop, which owns the object from here on.

        Raises:
            BesmartError: another event loop or process owns it, or no asyncio event loop is running.
        """
        pid = os.getpid()
        if self.loop is not None and pid != self.pid:  # right after a fork no loop is running either
            raise self._elsewhere("another process (after a fork)")
        loop = running_loop()
        if self.loop is None:
            self.pid, self.loop = pid, loop
        elif loop is not self.loop:
            raise self._elsewhere("another event loop")
        return loop

    def _elsewhere(self, owner: str) -> BesmartError:
        return BesmartError(f"this {self._what} belongs to {owner}; make one client per process and event loop")
