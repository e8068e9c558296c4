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
    fields_schema,
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
    return _read_many(context, READ_FIELDS)


def read_many_live(context: RequestContext) -> ServiceResponse:
    """The same, with the names of the live service, and also those that its clients still send."""
    return _read_many(context, _LIVE_READ_FIELDS)


def read_many_v2(context: RequestContext) -> ServiceResponse:
    """The same, with the names of version 2."""
    return _read_many(context, _READ_FIELDS_V2)


def _read_many(context: RequestContext, fields: dict[str, Param]) -> ServiceResponse:
    if not isinstance(context.body, list):
        unprocessable("the body must be a list", "body")
    items: list[Any] = context.body
    context.limit_items(len(items))
    values = [_plain(item_values(item, fields, i)) for i, item in enumerate(items)]
    queries = [WindowQuery.of(asked, f"item {i}") for i, asked in enumerate(values)]
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
    values = _plain(context.params)
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


def write_one_v2(context: RequestContext) -> ServiceResponse:
    """Store the columns in `data` of the body."""
    if not isinstance(context.body, dict) or context.body.keys() != {"data"}:
        unprocessable("the body must be an object with data, and nothing else", "body")
    body: dict[str, Any] = context.body
    context.body = body["data"]
    return write_one(context)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """A query under the document's names. There are no multipliers here, so options about them change nothing."""
    found = {_PLAIN_NAMES.get(name, name): value for name, value in values.items()}
    return {name: value for name, value in found.items() if name not in _WITHOUT_EFFECT}


_PLAIN_NAMES = {"last_acq": "get_last", "origin_id": "signal_origin_id"}
_WITHOUT_EFFECT = {"apply_multiplier", "time_series_type"}
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

_LIVE_OPTIONS = (
    *(one for one in _OPTIONS if one.name != "filters"),
    query("apply_multiplier", "boolean", description="Apply the multiplier"),
    query("time_series_type", "integer", description="Type of the time series", minimum=0, maximum=2),
)


def _renamed(names: dict[str, str]) -> dict[str, Param]:
    return {names.get(name, name): attrs.evolve(one, name=names.get(name, name)) for name, one in READ_FIELDS.items()}


_LIVE_READ_FIELDS = {**READ_FIELDS, **_renamed({"get_last": "last_acq", "signal_origin_id": "origin_id"})}
_READ_FIELDS_V2 = {**_renamed({"get_last": "last_acq"}), "apply_multiplier": _field(_LIVE_OPTIONS[-2])}

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
_READ_ITEM = fields_schema(tuple(READ_FIELDS.values()))
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
_LIVE_READ_EXAMPLE: dict[str, Any] = {
    name: value for name, value in _READ_EXAMPLE.items() if name not in {"get_last", "signal_origin_id"}
} | {"last_acq": True}
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

_WRITE_MANY = Route(
    operation="sensors.put_signals_data",
    method="PUT",
    path="/sensors/signals/data",
    tag="Signals",
    summary="Put multiple signals data",
    handler=write_many,
    description="All items are stored, or none.",
    body=Body(media="application/json", schema=listed(_WRITE_ITEM), example=[_ITEM_EXAMPLE]),
    replies=(OK, UNAUTHORIZED, UNPROCESSABLE),
)
_WRITE_ONE = Route(
    operation="sensors.put_id_signals_id_data",
    method="PUT",
    path=_ONE,
    tag="Signals",
    summary="Put signal data",
    handler=write_one,
    params=(*_PATH_KEY, query("unit", "string", description="Signal unit")),
    body=Body(media="application/json", schema=closed(COLUMNS, []), example=COLUMNS_EXAMPLE),
    replies=(OK, UNAUTHORIZED, NOT_FOUND),
)

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
        dialect="documented",
    ),
    Route(
        operation="sensors.post_signals_data",
        method="POST",
        path="/sensors/signals/data",
        tag="Signals",
        summary="Get multiple signals data",
        handler=read_many_live,
        description="Signals the service does not know are missing from the answer.",
        body=Body(
            media="application/json",
            schema=listed(fields_schema(tuple(_LIVE_READ_FIELDS.values()))),
            example=[_LIVE_READ_EXAMPLE],
        ),
        replies=(_READ, UNAUTHORIZED, UNPROCESSABLE),
        dialect="live",
    ),
    Route(
        operation="sensors.post_signals_data",
        version=2,
        method="POST",
        path="/sensors/signals/data/v2",
        tag="Signals",
        summary="Get multiple signals data, version 2",
        handler=read_many_v2,
        description="Signals the service does not know are missing from the answer.",
        body=Body(
            media="application/json",
            schema=listed(fields_schema(tuple(_READ_FIELDS_V2.values()))),
            example=[_LIVE_READ_EXAMPLE],
        ),
        replies=(_READ, UNAUTHORIZED, UNPROCESSABLE),
        dialect="live",
    ),
    _WRITE_MANY,
    attrs.evolve(
        _WRITE_MANY,
        version=2,
        path="/sensors/signals/data/v2",
        summary="Put multiple signals data, version 2",
        dialect="live",
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
        dialect="documented",
    ),
    Route(
        operation="sensors.get_id_signals_id_data",
        method="GET",
        path=_ONE,
        tag="Signals",
        summary="Get signal data",
        handler=read_one,
        params=(*_PATH_KEY, *_WINDOW, *_LIVE_OPTIONS),
        replies=(_READ, UNAUTHORIZED, NOT_FOUND),
        dialect="live",
    ),
    _WRITE_ONE,
    attrs.evolve(
        _WRITE_ONE,
        version=2,
        path=f"{_ONE}/v2",
        summary="Put signal data, version 2",
        handler=write_one_v2,
        body=Body(
            media="application/json",
            schema=closed({"data": closed(COLUMNS, [])}, ["data"]),
            example={"data": COLUMNS_EXAMPLE},
        ),
        dialect="live",
    ),
)
