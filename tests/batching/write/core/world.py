"""A core in virtual time: no clock, no loop, no wire."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence

import attrs
import numpy as np

from besmart_async.batching.write.core.core import Dispatch, WriteCore
from besmart_async.batching.write.core.events import CoreEvent
from besmart_async.batching.write.core.log import Form
from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError
from besmart_async.models.delivery import Rejection
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData
from tests.batching.write.service_model import ServiceModel

PLAIN = Form("DBL", 1, None)

Answer = Callable[[Dispatch, float], tuple[float, BesmartError | None]]


@attrs.define
class World:
    """Drives a core through virtual time: `answer` says how long a call takes and how it ends."""

    core: WriteCore
    answer: Answer
    now: float = 0.0
    events: list[CoreEvent] = attrs.field(factory=list[CoreEvent])
    sent_at: list[float] = attrs.field(factory=list[float])
    most_in_flight: int = 0
    under_way: list[tuple[float, int, BesmartError | None]] = attrs.field(
        factory=list[tuple[float, int, BesmartError | None]]
    )

    def run(self, until: float = math.inf) -> None:
        """Go on until nothing moves any more, or to a moment; calls under way then end when it goes on."""
        landing = self.under_way
        while True:
            while (batch := self.core.poll(self.now)) is not None:
                self.sent_at.append(self.now)
                seconds, error = self.answer(batch, self.now)
                heapq.heappush(landing, (self.now + seconds, batch.number, error))
                self.most_in_flight = max(self.most_in_flight, len(landing))
            self.events += self.core.events()
            wakeup = self.core.next_wakeup(self.now)
            next_at = min(math.inf if wakeup is None else wakeup, landing[0][0] if landing else math.inf)
            if next_at > until or next_at == math.inf:
                self.now = self.now if until == math.inf else until
                return
            self.now = next_at
            while landing and landing[0][0] <= self.now:
                _, number, error = heapq.heappop(landing)
                self.core.settle(number, error, self.now)

    @property
    def rejections(self) -> Sequence[Rejection]:
        return [event for event in self.events if isinstance(event, Rejection)]


def key(sensor: int) -> SignalKey:
    return SignalKey(12, sensor, 32)


def make(policy: BatchPolicy | None = None, seed: int = 0) -> WriteCore:
    return WriteCore(policy or BatchPolicy(), random.Random(seed).random)


def offer_items(core: WriteCore, items: int, rows: int = 1, start: int = 0) -> None:
    for sensor in range(start, start + items):
        data = SignalData(key(sensor), np.arange(rows) * 1000, np.arange(rows) + 0.5)
        assert core.offer(data)


def stored(service: ServiceModel, seconds: float = 0.01) -> Answer:
    return lambda batch, _: (seconds, service.put(batch.body))
