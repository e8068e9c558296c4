"""Signal states: a register's values at the ends of a sensor state."""

from __future__ import annotations

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.endpoints.sensor_states import SIGNAL_STATE
from besmart_async.simulator.http.refusals import not_found
from besmart_async.simulator.http.responses import ServiceResponse
from besmart_async.simulator.routing.declarations import (
    INT,
    NOT_FOUND,
    OK,
    UNAUTHORIZED,
    Body,
    Reply,
    Route,
    fields_schema,
    model,
    path,
    query,
)
from besmart_async.simulator.routing.validation import body_values


def create(context: RequestContext) -> ServiceResponse:
    """Create a signal state; 404 for an unknown sensor state or signal type."""
    state_id, moid = context.params["sensor_state_id"], context.params["signal_type_moid"]
    state = context.store.row("SELECT 1 FROM sensor_state WHERE sensor_state_id = ?", state_id)
    if state is None or context.store.signal_type(moid) is None:
        not_found()
    signal_state_id = context.store.insert("signal_state", context.params)
    row = context.store.row("SELECT * FROM signal_state WHERE signal_state_id = ?", signal_state_id)
    assert row is not None  # noqa: S101  # just inserted
    row["info"] = context.dialect.info(row["info"])
    return ServiceResponse.of(201, row)


def update(context: RequestContext) -> ServiceResponse:
    """Change what is given."""
    changes = dict(context.params)
    signal_state_id = changes.pop("signal_state_id")
    if not context.store.update("signal_state", changes, signal_state_id=signal_state_id):
        not_found()
    return context.dialect.changed()


def patch(context: RequestContext) -> ServiceResponse:
    """Change the values that the body holds."""
    context.params.update(body_values(context.body, _BODY_FIELDS))
    return update(context)


def delete(context: RequestContext) -> ServiceResponse:
    """Delete a signal state."""
    if not context.store.delete("signal_state", signal_state_id=context.params["signal_state_id"]):
        not_found()
    return context.dialect.changed()


_VALUES = (
    query("value_for_since", "number", description="Value for state start"),
    query("value_for_till", "number", description="Value for state end"),
    query("info", "string", description="Additional information"),
)
_ID = path("signal_state_id", 798649, "Signal state ID")
_BODY_FIELDS = tuple(attrs.evolve(one, place="item") for one in _VALUES[:2])

ROUTES = (
    Route(
        operation="sensors.post_states_id_signals",
        method="POST",
        path="/sensors/states/{sensor_state_id}/signals",
        tag="Signals",
        summary="Create signal state for sensor state",
        handler=create,
        params=(
            path("sensor_state_id", 21310, "State ID"),
            query("signal_type_moid", "integer", required=True, description="Signal type MOID"),
            *_VALUES,
        ),
        replies=(
            Reply(201, "Successfully created signal state", model({"sensor_state_id": INT, **SIGNAL_STATE})),
            UNAUTHORIZED,
            NOT_FOUND,
        ),
    ),
    Route(
        operation="sensors.put_states_signals_id",
        method="PUT",
        path="/sensors/states/signals/{signal_state_id}",
        tag="Signals",
        summary="Update sensor state for signal",
        handler=update,
        params=(_ID, *_VALUES),
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
    ),
    Route(
        operation="sensors.patch_states_signals_id",
        method="PATCH",
        path="/sensors/states/signals/{signal_state_id}",
        tag="Signals",
        summary="Change values of a sensor state for signal",
        handler=patch,
        params=(_ID,),
        body=Body(media="application/json", schema=fields_schema(_BODY_FIELDS), example={"value_for_since": 6}),
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
        dialect="live",
    ),
    Route(
        operation="sensors.delete_states_signals_id",
        method="DELETE",
        path="/sensors/states/signals/{signal_state_id}",
        tag="Signals",
        summary="Delete sensor state for signal",
        handler=delete,
        params=(_ID,),
        replies=(OK, UNAUTHORIZED, NOT_FOUND),
    ),
)
