"""Sensor states: which meter stood where, and when. A state holds for since <= t < till."""

from __future__ import annotations

import math
from typing import Any

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import conflict, not_found, unprocessable
from besmart_async.simulator.http.responses import ServiceResponse
from besmart_async.simulator.routing.declarations import (
    BOOL,
    CONFLICT,
    INT,
    NOT_FOUND,
    NUMBER,
    OK,
    SERVER_ERROR,
    TEXT,
    UNAUTHORIZED,
    UNPROCESSABLE,
    Reply,
    Route,
    listed,
    model,
    nullable,
    path,
    query,
)

_STATES = (
    "SELECT s.*, m.id AS meter_type_id, m.is_ami AS meter_type_is_ami FROM sensor_state AS s LEFT JOIN meter_type AS m"
    " ON m.client_cid = s.client_cid AND m.meter_type_name = s.meter_type_name"
)


def list_of_sensor(context: RequestContext) -> ServiceResponse:
    """All states of a sensor, oldest first."""
    client_cid, sensor_mid = _existing_sensor(context)
    return ServiceResponse.of(200, _listed(context, client_cid, sensor_mid))


def list_of_signal(context: RequestContext) -> ServiceResponse:
    """The sensor's states that hold a signal state of the signal, with those signal states only."""
    client_cid, sensor_mid = _existing_sensor(context)
    moid = context.params["signal_type_moid"]
    if context.store.signal_type(moid) is None:
        not_found()
    states = _listed(context, client_cid, sensor_mid)
    for state in states:
        state["signal_states"] = [s for s in state["signal_states"] if s["signal_type_moid"] == moid]
    return ServiceResponse.of(200, [state for state in states if state["signal_states"]])


def create(context: RequestContext) -> ServiceResponse:
    """Create a state: 409 if it overlaps another of the sensor, 422 if since is not before till."""
    client_cid, _ = _existing_sensor(context)
    row: dict[str, Any] = {"since": context.now_ms, "till": None, **context.params}
    _whole_ms(row)
    _check_meter_type(context, client_cid, row)
    _check_period(context, row, 0)
    state_id = context.store.insert("sensor_state", row)
    state = context.store.row(f"{_STATES} WHERE s.sensor_state_id = ?", state_id)
    assert state is not None  # noqa: S101  # just inserted
    answer = _form(context, state)
    answer["signal_states"] = [[]] if context.settings.oddities else []
    return ServiceResponse.of(201, answer)


def update(context: RequestContext) -> ServiceResponse:
    """Change what is given, under the same rules as a creation."""
    changes = dict(context.params)
    state_id = changes.pop("sensor_state_id")
    state = context.store.row("SELECT * FROM sensor_state WHERE sensor_state_id = ?", state_id)
    if state is None:
        not_found()
    _check_meter_type(context, state["client_cid"], changes)
    _check_period(context, {**state, **changes}, state_id)
    context.store.update("sensor_state", changes, sensor_state_id=state_id)
    return context.dialect.changed()


def delete(context: RequestContext) -> ServiceResponse:
    """Delete a state with its signal states."""
    if not context.store.delete_state(context.params["sensor_state_id"]):
        not_found()
    return context.dialect.changed()


def _existing_sensor(context: RequestContext) -> tuple[int, int]:
    client_cid, sensor_mid = context.params["client_cid"], context.params["sensor_mid"]
    if not context.store.has_sensor(client_cid, sensor_mid):
        not_found()
    return client_cid, sensor_mid


def _whole_ms(row: dict[str, Any]) -> None:
    """The creation takes numbers, every answer shows integers: a fraction of a ms is cut off."""
    for name in ("since", "till"):
        if row[name] is not None:
            row[name] = math.floor(row[name])


def _check_meter_type(context: RequestContext, client_cid: int, row: dict[str, Any]) -> None:
    if "meter_type_id" in row:
        sql = "SELECT meter_type_name FROM meter_type WHERE client_cid = ? AND id = ?"
        found = context.store.row(sql, client_cid, row.pop("meter_type_id"))
        row["meter_type_name"] = found["meter_type_name"] if found else not_found()
    name = row.get("meter_type_name")
    sql = "SELECT 1 FROM meter_type WHERE client_cid = ? AND meter_type_name = ?"
    if name is not None and context.store.row(sql, client_cid, name) is None:
        not_found()


def _check_period(context: RequestContext, row: dict[str, Any], own_id: int) -> None:
    since, till = row["since"], row["till"]
    if till is not None and since >= till:
        unprocessable("Date since is same or greater than date till", "query", "till")
    sql = (
        "SELECT 1 FROM sensor_state WHERE client_cid = ? AND sensor_mid = ? AND sensor_state_id != ?"
        " AND (till IS NULL OR till > ?) AND (? IS NULL OR since < ?)"
    )
    if context.store.row(sql, row["client_cid"], row["sensor_mid"], own_id, since, till, till):
        conflict()


def _listed(context: RequestContext, client_cid: int, sensor_mid: int) -> list[dict[str, Any]]:
    sql = f"{_STATES} WHERE s.client_cid = ? AND s.sensor_mid = ? ORDER BY s.since"
    states = [_form(context, row) for row in context.store.rows(sql, client_cid, sensor_mid)]
    for state in states:
        sql = (
            "SELECT signal_state_id, signal_type_moid, value_for_since, value_for_till, info FROM signal_state"
            " WHERE sensor_state_id = ? ORDER BY signal_state_id"
        )
        state["signal_states"] = context.store.rows(sql, state["sensor_state_id"])
        for signal_state in state["signal_states"]:
            signal_state["info"] = context.dialect.info(signal_state["info"])
    return states


def _form(context: RequestContext, row: dict[str, Any]) -> dict[str, Any]:
    settings = context.settings
    meter_eid, is_ami = row["meter_eid"], row["meter_type_is_ami"]
    if settings.oddities and meter_eid is not None and meter_eid.isdecimal():
        meter_eid = int(meter_eid) if len(meter_eid) < 19 else meter_eid
    return {
        **context.dialect.shown(row),
        "since": context.dialect.state_time(row["since"]),
        "till": context.dialect.state_time(row["till"]),
        "meter_eid": meter_eid,
        "info": context.dialect.info(row["info"]),
        "meter_type_is_ami": None if is_ami is None else bool(is_ami),
    }


_TIME = {"anyOf": [INT, {"type": "string", "format": "date-time"}]}
_INFO = nullable({"anyOf": [TEXT, {"type": "object"}]})
SIGNAL_STATE = {
    "signal_state_id": INT,
    "signal_type_moid": INT,
    "value_for_since": nullable(NUMBER),
    "value_for_till": nullable(NUMBER),
    "info": _INFO,
}
_STATE = {
    "sensor_state_id": INT,
    "client_cid": INT,
    "sensor_mid": INT,
    "since": _TIME,
    "till": nullable(_TIME),
    "meter_eid": nullable({"anyOf": [TEXT, INT]}),
    "info": _INFO,
    "meter_type_name": nullable(TEXT),
    "meter_type_is_ami": nullable(BOOL),
}
_LISTED = listed(model({**_STATE, "signal_states": listed(model(SIGNAL_STATE))}))
_CREATED = model({**_STATE, "signal_states": listed({})})
# Milliseconds since 1970 that a JavaScript date can hold.
_EARLIEST, _LATEST = -8.64e15, 8.64e15
_SENSOR = (
    query("client_cid", "integer", required=True, description="Client CID"),
    query("sensor_mid", "integer", required=True, description="Sensor MID"),
)
_DETAILS = (
    query("info", "string", description="Additional information"),
    query("meter_eid", "string", description="Meter external ID"),
    query("meter_type_name", "string", description="Meter type name"),
)
_LIVE_DETAILS = (*_DETAILS[:2], query("meter_type_id", "integer", description="Meter type ID"))
_SINCE, _TILL = "Start date (UTC unix timestamp in ms)", "End date (UTC unix timestamp in ms)"
_ID = path("sensor_state_id", 21310, "State ID")

_PERIOD = (
    query("since", "number", required=True, description=_SINCE, minimum=_EARLIEST, maximum=_LATEST),
    query("till", "number", description=_TILL, minimum=_EARLIEST, maximum=_LATEST),
)
_NEW_PERIOD = (
    query("since", "integer", description=_SINCE, minimum=_EARLIEST, maximum=_LATEST),
    query("till", "integer", description=_TILL, minimum=_EARLIEST, maximum=_LATEST),
)
_CREATE = Route(
    operation="sensors.post_states",
    method="POST",
    path="/sensors/states",
    tag="Signals",
    summary="Create sensor state",
    handler=create,
    params=(*_SENSOR, *_PERIOD, *_DETAILS),
    replies=(
        Reply(201, "Successfully created state", _CREATED),
        UNAUTHORIZED,
        NOT_FOUND,
        CONFLICT,
        UNPROCESSABLE,
    ),
    dialect="documented",
)
_UPDATE = Route(
    operation="sensors.put_states_id",
    method="PUT",
    path="/sensors/states/{sensor_state_id}",
    tag="Signals",
    summary="Update sensor state",
    handler=update,
    params=(_ID, *_NEW_PERIOD, *_DETAILS),
    replies=(OK, UNAUTHORIZED, NOT_FOUND, CONFLICT, UNPROCESSABLE),
    dialect="documented",
)

ROUTES = (
    Route(
        operation="sensors.get_states",
        method="GET",
        path="/sensors/states",
        tag="Signals",
        summary="Get sensor states",
        handler=list_of_sensor,
        params=_SENSOR,
        replies=(
            Reply(200, "Successfully read signals states", _LISTED),
            UNAUTHORIZED,
            NOT_FOUND,
            CONFLICT,
            UNPROCESSABLE,
            SERVER_ERROR,
        ),
    ),
    _CREATE,
    attrs.evolve(
        _CREATE,
        description="A state without `since` starts now.",
        params=(*_SENSOR, attrs.evolve(_PERIOD[0], required=False), _PERIOD[1], *_LIVE_DETAILS),
        dialect="live",
    ),
    _UPDATE,
    attrs.evolve(_UPDATE, params=(_ID, *_NEW_PERIOD, *_LIVE_DETAILS), dialect="live"),
    Route(
        operation="sensors.delete_states_id",
        method="DELETE",
        path="/sensors/states/{sensor_state_id}",
        tag="Signals",
        summary="Delete sensor state",
        handler=delete,
        params=(_ID,),
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
    ),
    Route(
        operation="sensors.get_states_signals",
        method="GET",
        path="/sensors/states/signals",
        tag="Signals",
        summary="Get sensor states for signal",
        handler=list_of_signal,
        params=(
            *_SENSOR,
            query("signal_type_moid", "integer", required=True, description="Signal type MOID"),
        ),
        replies=(
            Reply(200, "Successfully read signals states for signal", _LISTED),
            UNAUTHORIZED,
            NOT_FOUND,
        ),
    ),
)
