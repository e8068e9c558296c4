"""Signal types."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from besmart_async.models.values import JsonValue


@attrs.frozen(kw_only=True)
class SignalType:
    """One of `GET /sensors/signals/types`. Every field may be missing; unknown fields are in `extra`.

    Those from `is_measurement` on are known from the dialect `live` only.
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
    is_measurement: bool | None = None
    time_series_type: int | None = None
    data_model_type: int | None = None
    apply_multiplier: bool | None = None
    apply_current_ratio: bool | None = None
    apply_voltage_ratio: bool | None = None
    draw_chart: bool | None = None
    chart_expected_summary: JsonValue = None
    columns: JsonValue = None
    payload_mapping: JsonValue = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])
