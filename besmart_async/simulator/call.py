"""What a handler of an operation is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from besmart_async.simulator.settings import Settings
    from besmart_async.simulator.store import Store
    from besmart_async.simulator.tokens import Tokens


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
        poison: What a write must not hold, asked for by tests.
    """

    store: Store
    tokens: Tokens
    settings: Settings
    params: dict[str, Any] = attrs.field(factory=dict[str, Any])
    body: Any = None
    token: str | None = None
    api_key: str | None = None
    poison: Poison = attrs.field(factory=lambda: Poison())
    apply_items: int | None = None

    @property
    def now_ms(self) -> float:
        """The clock's time."""
        return self.settings.now_ms()


SignalTriple = tuple[int, int, int]


@attrs.define
class Poison:
    """Signals and readings that make a write fail as a whole."""

    signals: set[SignalTriple] = attrs.field(factory=set[SignalTriple])
    readings: dict[SignalTriple, set[float]] = attrs.field(factory=dict[SignalTriple, set[float]])
    named: bool = False

    def __bool__(self) -> bool:
        return bool(self.signals or self.readings)
