"""The document's `Signal` schema, which no operation of 0.1.5 returns but its page describes."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from besmart_async.models.sensors import Info
from besmart_async.models.values import JsonValue


@attrs.frozen(kw_only=True)
class SignalPeriod:
    """One of a `Signal`'s states. `since` and `till` are UTC unix milliseconds."""

    id: int | None = None
    info: Info = None
    since: int | float | None = None
    till: int | float | None = None
    state_eid: str | None = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])


@attrs.frozen(kw_only=True)
class Signal:
    """The schema `Signal`. `type` and `type_name` are declared boolean and shown as text: either is kept as it came."""

    id: int | None = None
    name: str | None = None
    owner: bool | None = None
    states: tuple[SignalPeriod, ...] = ()
    type: str | bool | None = None
    type_name: str | bool | None = None
    unit: str | None = None
    write: bool | None = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])
