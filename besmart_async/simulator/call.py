"""What a handler of an operation is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from besmart_async.simulator.refusals import unprocessable

if TYPE_CHECKING:
    from besmart_async.simulator.settings import Settings
    from besmart_async.simulator.store import Store
    from besmart_async.simulator.tokens import Tokens


SignalTriple = tuple[int, int, int]


@attrs.define
class Poison:
    """Signals and readings that make a write fail as a whole."""

    signals: set[SignalTriple] = attrs.field(factory=set[SignalTriple])
    readings: dict[SignalTriple, set[float]] = attrs.field(factory=dict[SignalTriple, set[float]])
    named: bool = False

    def __bool__(self) -> bool:
        return bool(self.signals or self.readings)


@attrs.define(kw_only=True)
class Call:
    """One validated request.

    Attributes:
        store: The tables.
        tokens: The sessions.
        settings: The simulator's settings.
        params: Path and query parameters by name; those not sent are missing.
        body: The decoded JSON body, None if the operation takes none (or none was sent).
        token: The bearer token of the request.
        api_key: The `X-Auth` header of the request.
        poison: What a write must not hold, asked for by tests.
        apply_items: Store only so many items of a bulk write, asked for by tests.
        graph_names: The graphs the service knows by name.
        runs: The graphs that were run, in their order.
    """

    store: Store
    tokens: Tokens
    settings: Settings
    params: dict[str, Any] = attrs.field(factory=dict[str, Any])
    body: Any = None
    token: str | None = None
    api_key: str | None = None
    poison: Poison = attrs.field(factory=Poison)
    apply_items: int | None = None
    graph_names: set[str] = attrs.field(factory=set[str])
    runs: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])

    @property
    def now_ms(self) -> float:
        """The clock's time."""
        return self.settings.now_ms()

    def limit_items(self, count: int) -> None:
        """Refuse a bulk request of too many items."""
        limit = self.settings.max_items
        if limit is not None and count > limit:
            unprocessable(f"{count} items are more than {limit}", "body")

    def limit_readings(self, count: int) -> None:
        """Refuse a write of too many readings."""
        limit = self.settings.max_readings
        if limit is not None and count > limit:
            unprocessable(f"{count} readings are more than {limit}", "body")
