"""Signals: their types, and reading and writing their data."""

from __future__ import annotations

from typing import Any

import attrs
import orjson

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import not_found, unprocessable
from besmart_async.simulator.http.responses import ServiceResponse
from besmart_async.simulator.routing.declarations import (
    BOOL,
    COLUMNS,
    COLUMNS_EXAMPLE,
    INT,
    NOT_FOUND,
    OK,
    TEXT,
    UNAUTHORIZED,
    UNPROCESSABLE,
    Body,
    Param,
    Reply,
    Route,
    closed,
    listed,
    model,
    nullable,
    path,
    query,
)
from besmart_async.simulator.routing.validation import item_values
from besmart_async.simulator.signal_data import units
from besmart_async.simulator.signal_data.reading import MAX_DELTA_T, WindowQuery, read
from besmart_async.simulator.signal_data.writing import apply, checked_item, checked_write


def list_types(context: RequestContext) -> ServiceResponse:
    """All signal types."""
    rows = context.store.rows(
        "SELECT t.signal_type_moid, t.symbol, t.is_incremental, t.description, t.unit_id, t.group_id,"
        ' t.group_name AS "group", t.obis_mapping, t.chart_expected_unit, t.keep_prefix'
        " FROM signal_type AS t ORDER BY signal_type_moid"
    )
    for row in rows:
        row.update(
            is_incremental=bool(row["is_incremental"]),
            keep_prefix=bool(row["keep_prefix"]),
            unit_symbol=units.BY_ID[row["unit_id"]].symbol,
        )
        if context.settings.oddities:
            row["signal_type_moid"] = str(row["signal_type_moid"])
        row.update(context.dialect.signal_type_fields)
    return ServiceResponse.of(200, rows)


def read_many(context: RequestContext) -> ServiceResponse:
    """One answer per query in the order of the queries; signals the service does not know are left out."""
    if not isinstance(context.body, list):
        unprocessable("the body must be a list", "body")
    items: list[Any] = context.body
    context.limit_items(len(items))
    queries = [WindowQuery.of(item_values(item, READ_FIELDS, i), f"item {i}") for i, item in enumerate(items)]
    answers = [read(context, asked) for asked in queries]
    return ServiceResponse(200, orjson.dumps([found for found in answers if found is not None]))


def write_many(context: RequestContext) -> ServiceResponse:
    """Store all items, or none if one of them is refused."""
    if not isinstance(context.body, list):
        unprocessable("the body must be a list", "body")
    items: list[Any] = context.body
    context.limit_items(len(items))
    writes = [checked_item(context, item, i) for i, item in enumerate(items)]
    context.limit_readings(sum(len(write.columns.time) for write in writes))
    if context.apply_items is not None:
        apply(context, writes[: context.apply_items])
        return ServiceResponse(200)
    apply(context, writes)
    return context.dialect.changed()


def read_one(context: RequestContext) -> ServiceResponse:
    """A list of one answer."""
    values = dict(context.params)
    values.pop("filters", None)  # a JSON string here, an object in the bulk; not applied either way
    found = read(context, WindowQuery.of(values, "the query"))
    if found is None:
        not_found()
    return ServiceResponse(200, orjson.dumps([found]))


def write_one(context: RequestContext) -> ServiceResponse:
    """Store the columns; 404 for an unknown sensor or signal type."""
    write = checked_write(context, context.params, context.body)
    context.limit_readings(len(write.columns.time))
    apply(context, [write])
    return context.dialect.changed()


_SINCE, _TILL = "Start date (UTC unix timestamp in ms)", "End date (UTC unix timestamp in ms)"
_LAST = "Get only records with newest acq time for the same cap times"
_OPTIONS = (
    query("get_last", "boolean", description=_LAST),
    query("delta_t", "integer", description="Aggregate time (in minutes)", minimum=1, maximum=MAX_DELTA_T),
    query("raw", "boolean", description="Fetch raw signal"),
    query("output_unit_id", "integer", description="Output unit id"),
    query("signal_origin_id", "integer", description="Signal origin id"),
    query("filters", "string", description="Data filters for complex structures", holds_json=True),
    query("is_chart", "boolean", description="Use expected chart output unit"),
)
_PATH_KEY = (
    path("client_cid", 12, "Client CID"),
    path("sensor_mid", 122, "Sensor MID"),
    path("signal_type_moid", 32, "Signal type MOID"),
)


def _field(param: Param) -> Param:
    kind = "object" if param.name == "filters" else param.kind
    return attrs.evolve(param, place="item", kind=kind, holds_json=False)


_WINDOW = (
    query("since", "number", required=True, description=_SINCE),
    query("till", "number", required=True, description=_TILL),
)
READ_FIELDS = {param.name: _field(param) for param in (*_PATH_KEY, *_WINDOW, *_OPTIONS)}

_ITEM = {
    "client_cid": INT,
    "sensor_mid": INT,
    "signal_type_moid": INT,
    "data": model(COLUMNS),
    "unit": nullable(TEXT),
}
_ITEM_EXAMPLE: dict[str, Any] = {
    "client_cid": 12,
    "sensor_mid": 122,
    "signal_type_moid": 32,
    "data": COLUMNS_EXAMPLE,
    "unit": "kW.h",
}
_KEY_FIELDS = ["client_cid", "sensor_mid", "signal_type_moid"]
_WRITE_ITEM = closed(
    {
        **{param.name: param.schema() for param in _PATH_KEY},
        "data": closed(COLUMNS, list(COLUMNS)),
        "unit": TEXT,
    },
    [*_KEY_FIELDS, "data"],
)
_READ_ITEM = closed(
    {name: param.schema() for name, param in READ_FIELDS.items()},
    [name for name, param in READ_FIELDS.items() if param.required],
)
_READ_EXAMPLE: dict[str, Any] = {
    "client_cid": 1,
    "sensor_mid": 1,
    "signal_type_moid": 1,
    "since": 1577836800000,
    "till": 1580515200000,
    "get_last": True,
    "delta_t": 60,
    "raw": False,
    "output_unit_id": 1,
    "signal_origin_id": 1,
    "filters": {},
    "is_chart": False,
}
_TYPE = model(
    {
        "signal_type_moid": {"anyOf": [INT, TEXT]},
        "symbol": TEXT,
        "is_incremental": BOOL,
        "description": TEXT,
        "unit_id": INT,
        "unit_symbol": TEXT,
        "group_id": INT,
        "group": TEXT,
        "obis_mapping": nullable(TEXT),
        "chart_expected_unit": nullable(TEXT),
        "keep_prefix": BOOL,
    }
)
_READ = Reply(200, "Successfully read signal data", listed(model(_ITEM)), [_ITEM_EXAMPLE])
_ONE = "/sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data"

ROUTES = (
    Route(
        operation="sensors.get_signals_types",
        method="GET",
        path="/sensors/signals/types",
        tag="Signals",
        summary="Get signals types",
        handler=list_types,
        replies=(Reply(200, "Successfully read signals types", listed(_TYPE)), UNAUTHORIZED),
    ),
    Route(
        operation="sensors.post_signals_data",
        method="POST",
        path="/sensors/signals/data",
        tag="Signals",
        summary="Get multiple signals data",
        handler=read_many,
        description="Signals the service does not know are missing from the answer.",
        body=Body(media="application/json", schema=listed(_READ_ITEM), example=[_READ_EXAMPLE]),
        replies=(_READ, UNAUTHORIZED, UNPROCESSABLE),
    ),
    Route(
        operation="sensors.put_signals_data",
        method="PUT",
        path="/sensors/signals/data",
        tag="Signals",
        summary="Put multiple signals data",
        handler=write_many,
        description="All items are stored, or none.",
        body=Body(media="application/json", schema=listed(_WRITE_ITEM), example=[_ITEM_EXAMPLE]),
        replies=(OK, UNAUTHORIZED, UNPROCESSABLE),
    ),
    Route(
        operation="sensors.get_id_signals_id_data",
        method="GET",
        path=_ONE,
        tag="Signals",
        summary="Get signal data",
        handler=read_one,
        params=(*_PATH_KEY, *_WINDOW, *_OPTIONS),
        replies=(_READ, UNAUTHORIZED, NOT_FOUND),
    ),
    Route(
        operation="sensors.put_id_signals_id_data",
        method="PUT",
        path=_ONE,
        tag="Signals",
        summary="Put signal data",
        handler=write_one,
        params=(*_PATH_KEY, query("unit", "string", description="Signal unit")),
        body=Body(media="application/json", schema=closed(COLUMNS, []), example=COLUMNS_EXAMPLE),
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
    ),
)
