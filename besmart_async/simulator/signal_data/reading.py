"""One window of one signal, read as the query asks."""

from __future__ import annotations

from typing import Any

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import unprocessable
from besmart_async.simulator.signal_data import aggregation, units
from besmart_async.simulator.storage.readings import ReadingColumns, newest, without_removed

MAX_DELTA_T = 60 * 24 * 366 * 100


@attrs.frozen(kw_only=True)
class WindowQuery:
    """What a read asks for, checked."""

    client_cid: int
    sensor_mid: int
    signal_type_moid: int
    since: float
    till: float
    get_last: bool = False
    delta_t: int | None = None
    raw: bool = False
    output_unit_id: int | None = None
    signal_origin_id: int | None = None
    filters: dict[str, Any] | None = None  # for complex structures, of which the document says nothing: not applied
    is_chart: bool = False
    name: str

    @classmethod
    def of(cls, values: dict[str, Any], name: str) -> WindowQuery:
        """Build from validated fields.

        Raises:
            Refusal: 422 for a window that ends before it starts, or an unknown unit.
        """
        asked = cls(**values, name=name)
        if asked.since > asked.till:
            unprocessable(f"{name}: since is greater than till", "since")
        if asked.output_unit_id is not None and asked.output_unit_id not in units.BY_ID:
            unprocessable(f"{name}: unknown output_unit_id {asked.output_unit_id}", "output_unit_id")
        return asked

    @property
    def key(self) -> tuple[int, int, int]:
        """The signal."""
        return self.client_cid, self.sensor_mid, self.signal_type_moid


def read(context: RequestContext, asked: WindowQuery) -> dict[str, Any] | None:
    """The answer's item, None for a sensor or signal type that does not exist."""
    signal_type = context.store.signal_type(asked.signal_type_moid)
    if signal_type is None or not context.store.has_sensor(asked.client_cid, asked.sensor_mid):
        return None
    unit = units.BY_ID[signal_type["unit_id"]]
    incremental = bool(signal_type["is_incremental"])
    target = _target(asked, unit, signal_type["chart_expected_unit"], incremental=incremental)
    columns = _rows(context, asked)
    if asked.delta_t is not None:
        columns = aggregation.aggregate(columns, asked.delta_t, incremental=incremental)
    if not units.convertible(unit, target):
        columns = aggregation.as_power(newest(columns))
        unit = units.POWER_OF[unit.unit_id]
    _convert(columns, unit, target)
    item = {
        "client_cid": asked.client_cid,
        "sensor_mid": asked.sensor_mid,
        "signal_type_moid": asked.signal_type_moid,
        "data": attrs.asdict(columns, recurse=False),
        "unit": target.symbol,
    }
    return {**item, **context.dialect.read_fields}


def _rows(context: RequestContext, asked: WindowQuery) -> ReadingColumns:
    columns = context.store.readings.window(
        asked.key,
        asked.since,
        asked.till,
        inclusive=context.settings.till_inclusive,
        origin=asked.signal_origin_id,
    )
    if asked.get_last or asked.delta_t is not None:
        columns = newest(columns)
    return columns if asked.raw and asked.delta_t is None else without_removed(columns)


def _target(
    asked: WindowQuery, unit: units.UnitOfMeasure, chart: str | None, *, incremental: bool
) -> units.UnitOfMeasure:
    """The unit of the answer: the one asked for, the chart's, or the signal type's own."""
    if asked.output_unit_id is not None:
        target = units.BY_ID[asked.output_unit_id]
        if not units.convertible(unit, target):
            unprocessable(
                f"{asked.name}: output_unit_id: {unit.symbol!r} cannot be given in {target.symbol!r}", "output_unit_id"
            )
        return target
    expected = units.BY_SYMBOL.get(chart or "") if asked.is_chart else None
    if expected is None:
        return unit
    power = units.POWER_OF.get(unit.unit_id)
    chartable = incremental and power is not None and units.convertible(power, expected)
    return expected if chartable or units.convertible(unit, expected) else unit


def _convert(columns: ReadingColumns, unit: units.UnitOfMeasure, target: units.UnitOfMeasure) -> None:
    if unit is target:
        return
    converted = units.convert(columns.value, unit, target)
    if set(columns.type) <= {"DBL"}:
        columns.value = converted
    else:
        rows = zip(columns.type, columns.value, converted, strict=True)
        columns.value = [new if kind == "DBL" else old for kind, old, new in rows]
