"""What a contender measures of itself."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BEAT_S = 0.002


@contextmanager
def timed(units: int, *, warm_up: int = 0, sends: bool = True) -> Iterator[None]:
    """Time the block, and print what it took as a line of JSON.

    Within a coroutine the longest pause of the event loop is measured too.

    Args:
        units: how much work the block does.
        warm_up: how much was done before it.
        sends: whether the service must have received all of it.
    """
    gc.collect()  # of what was made before
    pulse = _pulse()
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    taken = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    if pulse is not None:
        taken["pause_s"] = pulse.stop()
    print(json.dumps(taken | {"units": units, "sent": units + warm_up if sends else 0}), flush=True)


class Pulse:
    """Measures the longest pause of an event loop: how late a timer of 2 ms fires.

    A timer and not a task, and at most one for each turn of the loop: it costs under a percent of a processor, and a
    pause is reported as up to 2 ms shorter than it was.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._longest_s = 0.0
        self._beat_again()

    def _beat_again(self) -> None:
        self._due = self._loop.time() + _BEAT_S
        self._timer = self._loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        self._note()
        self._beat_again()

    def _note(self) -> None:
        self._longest_s = max(self._longest_s, self._loop.time() - self._due)

    def stop(self) -> float:
        """Return the longest pause in seconds, one that lasts until now included."""
        self._timer.cancel()
        self._note()
        return self._longest_s


def _pulse() -> Pulse | None:
    try:
        return Pulse(asyncio.get_running_loop())
    except RuntimeError:  # a client without an event loop
        return None
