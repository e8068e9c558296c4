"""Injected faults: which requests they hit, and what happens to those requests.

Theory of operation: for every request the service asks `Faults.take` once, after the body was read. Faults are tried in
the order they were added. Waiting (`latency_s`, `latency_after_s`), `date_skew_s`, `bytes_per_s` and what is done to a
bulk answer's items add up; of the faults that decide the outcome (status, reset, garbage, truncation, partial
application) only the first applies, the others keep their counts. Everything random comes from one seeded generator.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, cast

import attrs

from besmart_async.simulator.http.requests import Arrival
from besmart_async.simulator.storage.readings import SignalTriple

BulkItem = dict[str, Any]
_DECISIVE = ("status", "reset", "truncate_at", "garbage", "html", "apply_items")


@attrs.define
class Poison:
    """Signals and readings that make a write fail as a whole."""

    signals: set[SignalTriple] = attrs.field(factory=set[SignalTriple])
    readings: dict[SignalTriple, set[float]] = attrs.field(factory=dict[SignalTriple, set[float]])
    named: bool = False

    def __bool__(self) -> bool:
        return bool(self.signals or self.readings)


@attrs.frozen(kw_only=True)
class Fault:
    """What goes wrong, and for which requests. Without any condition it hits every request.

    Attributes:
        operation: Operation id such as "sensors.put_signals_data"; the document's `api.endpoints.` prefix may be
            given or not, `*` and `?` work as in file names.
        method: HTTP method.
        path: Regular expression searched in the path without the base path, such as `/sensors/12[.]`.
        keys: Signals (client_cid, sensor_mid, signal_type_moid); hits requests that name one of them.
        where: Any other condition.
        times: Hits at most so many requests, None for no limit.
        after: Lets so many matching requests pass first.
        probability: Hits a matching request with this probability.

        latency_s: Seconds to wait before the request is applied; `math.inf` hangs until the client or server ends it.
        latency_after_s: Seconds to wait between application and answer.
        status: Answer this status instead.
        body: Body of that answer: bytes or text as they are, anything else as JSON. None gives the dialect's error.
        headers: More headers of the answer.
        content_type: Content type of the answer.
        retry_after: `Retry-After` of the answer: seconds as a number, or any text as it is.
        retry_after_date_s: `Retry-After` as an HTTP date so many seconds from now.
        apply: Whether the request is applied although `status` is answered.
        reset: Abort the connection before or after the request is applied.
        apply_items: Apply only the first items of a bulk write, then answer 500.
        truncate_at: Announce the whole body but end the connection after so many bytes (int) or that part (float).
        garbage: Answer with bytes that are not JSON; the request is applied.
        html: Answer with an HTML page in place of JSON; the request is applied.
        bytes_per_s: Send the body slowly, eight pieces with waits between them.
        date_skew_s: Seconds that the `Date` header is off.
        shuffle: Shuffle the items of a bulk answer.
        drop: Leave out this many items of a bulk answer, chosen at random.
        drop_keys: Leave out these signals.
        duplicate: Repeat this many items of a bulk answer, chosen at random.
        extra: Append these items to a bulk answer.
    """

    operation: str | None = None
    method: str | None = None
    path: str | None = None
    keys: Collection[SignalTriple] | None = None
    where: Callable[[Arrival], bool] | None = None
    times: int | None = None
    after: int = 0
    probability: float = 1.0

    latency_s: float = 0.0
    latency_after_s: float = 0.0
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    content_type: str | None = None
    retry_after: float | str | None = None
    retry_after_date_s: float | None = None
    apply: bool = False
    reset: Literal["before", "after"] | None = None
    apply_items: int | None = None
    truncate_at: float | None = None
    garbage: bool = False
    html: bool = False
    bytes_per_s: float | None = None
    date_skew_s: float = 0.0
    shuffle: bool = False
    drop: int = 0
    drop_keys: Collection[SignalTriple] = ()
    duplicate: int = 0
    extra: tuple[BulkItem, ...] = ()

    @property
    def decisive(self) -> bool:
        """Whether the fault decides the outcome, rather than only delaying or reordering it."""
        values = (getattr(self, name) for name in _DECISIVE)
        return any(value is not None and value is not False for value in values)

    def matches(self, arrival: Arrival) -> bool:
        """Whether the fault's conditions, counts aside, hold for the request."""
        if self.operation is not None:
            wanted = self.operation.removeprefix("api.endpoints.")
            if arrival.operation is None or not fnmatchcase(arrival.operation, wanted):
                return False
        if self.method is not None and arrival.method != self.method.upper():
            return False
        if self.path is not None and re.search(self.path, arrival.path) is None:
            return False
        if self.keys is not None and arrival.keys.isdisjoint(self.keys):
            return False
        return self.where is None or self.where(arrival)


@attrs.define(eq=False)
class ActiveFault:
    """An active fault: the handle that `Faults.add` returns.

    Attributes:
        fault: The fault.
        seen: How many requests matched.
        hits: How many of them it hit.
    """

    fault: Fault
    seen: int = 0
    hits: int = 0

    @property
    def spent(self) -> bool:
        """Whether it has hit as often as it may."""
        return self.fault.times is not None and self.hits >= self.fault.times


class Faults:
    """The active faults of one simulator."""

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(seed)  # noqa: S311  # reproducible tests, nothing to protect
        self.poisoned = Poison()
        self._active: list[ActiveFault] = []

    def add(self, fault: Fault) -> ActiveFault:
        """Activate a fault. Returns a handle that counts its hits and can be removed."""
        active = ActiveFault(fault)
        self._active.append(active)
        return active

    def remove(self, active: ActiveFault) -> None:
        """Remove a fault; does nothing if it was removed before."""
        if active in self._active:
            self._active.remove(active)

    def poison(
        self, *signals: SignalTriple, readings: Iterable[tuple[SignalTriple, float]] = (), named: bool = False
    ) -> None:
        """Let every write that holds one of these signals or readings fail with 422 as a whole.

        Args:
            *signals: Signals (client_cid, sensor_mid, signal_type_moid), all of whose readings are refused.
            readings: Single readings, each a signal and a time in ms.
            named: Name the item in the message; otherwise it says no more than the document's example.
        """
        self.poisoned.signals.update(signals)
        for signal, time in readings:
            self.poisoned.readings.setdefault(signal, set()).add(time)
        self.poisoned.named = named

    def cure(self) -> None:
        """Remove all poison."""
        self.poisoned.signals.clear()
        self.poisoned.readings.clear()

    def clear(self) -> None:
        """Remove all faults and all poison."""
        self._active.clear()
        self.cure()

    def take(self, arrival: Arrival) -> list[Fault]:
        """The faults that hit this request; counts them."""
        hit: list[Fault] = []
        decided = False
        for active in self._active:
            fault = active.fault
            if active.spent or (decided and fault.decisive) or not fault.matches(arrival):
                continue
            active.seen += 1
            if active.seen <= fault.after:
                continue
            if fault.probability < 1.0 and self.random.random() >= fault.probability:
                continue
            active.hits += 1
            decided = decided or fault.decisive
            hit.append(fault)
        return hit

    def rearranged(self, items: list[BulkItem], hit: list[Fault]) -> list[BulkItem]:
        """A bulk answer's items with the faults applied."""
        items = list(items)
        for fault in hit:
            items = [item for item in items if _key(item) not in fault.drop_keys]
            for _ in range(min(fault.drop, len(items))):
                items.pop(self.random.randrange(len(items)))
            items += self.random.sample(items, min(fault.duplicate, len(items)))
            items += fault.extra
            if fault.shuffle:
                self.random.shuffle(items)
        return items


def _key(item: BulkItem) -> SignalTriple:
    return cast("SignalTriple", tuple(item.get(name) for name in ("client_cid", "sensor_mid", "signal_type_moid")))
