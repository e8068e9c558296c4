"""Meter types."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from besmart_async.models.values import JsonValue


@attrs.frozen(kw_only=True)
class MeterType:
    """One of `GET /sensors/{client_cid}/meters`. Every field may be missing; unknown fields are in `extra`.

    Those from `is_remote` on are known from the dialect `live` only.
    """

    id: int | None = None
    meter_type_name: str | None = None
    description: str | None = None
    number_of_phases: int | None = None
    is_balance: bool | None = None
    is_ami: bool | None = None
    is_dcu: bool | None = None
    is_remote: bool | None = None
    prefix_name: str | None = None
    default_cap_period: JsonValue = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])
