"""Memory, files, tasks and threads of this process over time, and whether they grow."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

import attrs
import numpy as np
import psutil

_WARM_UP = 1 / 3
"""This share of the samples is left out: caches fill, and the allocator takes what it will need."""
_FEWEST = 6
"""Fewer samples after the warm-up are no trend."""


@attrs.frozen
class Sample:
    """What was counted at one moment, when nothing was going on.

    Attributes:
        minutes: since the beginning.
        rss_mb: resident memory of this process.
        files: open file descriptors.
        tasks: asyncio tasks.
        threads: threads.
        service_mb: resident memory of the service's process; shown, not judged.
    """

    minutes: float
    rss_mb: float
    files: int
    tasks: int
    threads: int
    service_mb: float


TOLERANCE = {"rss_mb": (0.05, 6.0), "files": (0.0, 12.0), "tasks": (0.0, 3.0), "threads": (0.0, 2.0)}
"""How much each may grow over the time that is judged: a share of itself, or so much. Connections come and go (files),
the thread of a journal and those of the event loop's executor stay (threads)."""


@attrs.frozen
class Trend:
    """A straight line through the samples of one number, after the warm-up.

    Attributes:
        name: which number.
        first: the line at the first sample that counts.
        last: the line at the last one.
        per_minute: its slope.
        judged: whether there were samples enough.
        flat: whether it grows by no more than the tolerance.
    """

    name: str
    first: float
    last: float
    per_minute: float
    judged: bool
    flat: bool

    def __str__(self) -> str:
        found = ("flat" if self.flat else "GROWS") if self.judged else "too short to judge"
        return f"{self.name:10} {self.first:9.1f} -> {self.last:9.1f}  {self.per_minute:+8.2f} a minute: {found}"


def sample(minutes: float, service_bytes: int) -> Sample:
    """Count now."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError):  # not the GNU C library
            ctypes.CDLL(None).malloc_trim(0)  # else what was freed in pieces counts as memory in use
    process = psutil.Process()
    return Sample(
        minutes=minutes,
        rss_mb=process.memory_info().rss / 1e6,
        files=process.num_fds(),
        tasks=len(asyncio.all_tasks()),
        threads=process.num_threads(),
        service_mb=service_bytes / 1e6,
    )


def trends(samples: Sequence[Sample]) -> Iterator[Trend]:
    """Fit a line to each number."""
    kept = samples[int(len(samples) * _WARM_UP) :]
    minutes = np.array([each.minutes for each in kept])
    for name, (share, least) in TOLERANCE.items():
        values = np.array([getattr(each, name) for each in kept], float)
        if len(kept) < _FEWEST:
            yield Trend(name, float(values[0]), float(values[-1]), 0.0, False, True)
            continue
        slope, start = np.polyfit(minutes, values, 1).tolist()
        first, last = start + slope * minutes[0], start + slope * minutes[-1]
        flat = last - first <= max(least, share * first)
        yield Trend(name, float(first), float(last), slope, True, bool(flat))
