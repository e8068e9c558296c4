"""What a handler of an operation is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from besmart_async.simulator.dialect import DocumentedDialect, dialect_of
from besmart_async.simulator.http.refusals import unprocessable

if TYPE_CHECKING:
    from besmart_async.simulator.faults import Poison
    from besmart_async.simulator.http.tokens import Tokens
    from besmart_async.simulator.settings import Settings
    from besmart_async.simulator.storage.store import EntityStore


@attrs.define(kw_only=True)
class RequestContext:
    """One validated request, and what its handler may use.

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

    store: EntityStore
    tokens: Tokens
    settings: Settings
    params: dict[str, Any] = attrs.field(factory=dict[str, Any])
    body: Any = None
    token: str | None = None
    api_key: str | None = None
    poison: Poison
    apply_items: int | None = None
    graph_names: set[str] = attrs.field(factory=set[str])
    runs: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])

    @property
    def dialect(self) -> DocumentedDialect:
        """The dialect to answer in."""
        return dialect_of(self.settings)

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
