"""What a service saw of a contender, and which resource therefore was the limit."""

from __future__ import annotations

from typing import Any

import attrs

CALLS_AT_A_TIME = 16
"""As many as our writer and reader make, and as many as the loops by hand make with a service that is far away."""
MEMORY_BYTES = 64 << 20
"""What a writer may hold."""
_MOST = 0.75
"""A resource is the limit if so much of it was in use on average."""


@attrs.frozen
class Usage:
    """Calls with readings, their sum since the service began, or what one contender added to it.

    Attributes:
        calls: answered, refused ones included.
        refused: with 429.
        busy_s: seconds between requests and answers, all calls together.
        body_bytes: of requests and answers.
    """

    calls: int = 0
    refused: int = 0
    busy_s: float = 0.0
    body_bytes: int = 0

    @classmethod
    def of(cls, counts: dict[str, Any]) -> Usage:
        """Read it from what a service says at `/count`."""
        return cls(counts["requests"], counts["refused"], counts["busy_s"], counts["body_bytes"])

    def since(self, before: Usage) -> Usage:
        """Return what was added to `before`."""
        pairs = zip(attrs.astuple(self), attrs.astuple(before), strict=True)
        return Usage(*(after - earlier for after, earlier in pairs))

    def of_share(self, share: float) -> Usage:
        """Return the usage of this share of the work: without what was done before the clock started."""
        return Usage(round(self.calls * share), self.refused, self.busy_s * share, round(self.body_bytes * share))

    def in_flight(self, wall_s: float) -> float:
        """Return how many calls waited for the service on average."""
        return self.busy_s / wall_s

    def limit(self, wall_s: float, cpu_s: float, cap: float | None) -> str:
        """Return which resource was in use most of the time: the cap, the service, memory or the CPU.

        "latency" is none of them: there were too few calls to fill what may be in flight, as at the start and the end.
        """
        waiting = self.in_flight(wall_s)
        if cap is not None and (self.calls - self.refused) / wall_s >= _MOST * cap:
            return "cap"
        if waiting >= _MOST * CALLS_AT_A_TIME:
            return "service"
        if self.calls and waiting * self.body_bytes / self.calls >= _MOST * MEMORY_BYTES / 4:
            return "memory"
        at_once = not self.busy_s  # then whatever else takes time is somebody's CPU
        return "CPU" if at_once or cpu_s >= _MOST * wall_s else "latency"
