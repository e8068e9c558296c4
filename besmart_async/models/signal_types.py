"""Signal types."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from besmart_async.models.values import JsonValue


@attrs.frozen(kw_only=True)
class SignalType:
    """One of `GET /sensors/signals/types`. Every field may be missing; unknown fields are in `extra`.

    `is_incremental` is True for registers that count up; `obis_mapping` is the OBIS code, such as `"1.8.0"`.
    """

    signal_type_moid: int | None = None
    symbol: str | None = None
    is_incremental: bool | None = None
    description: str | None = None
    unit_id: int | None = None
    unit_symbol: str | None = None
    group_id: int | None = None
    group: str | None = None
    obis_mapping: str | None = None
    chart_expected_unit: str | None = None
    keep_prefix: bool | None = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])
