"""Signal states: a register's values at the ends of a sensor state."""

from __future__ import annotations

from besmart_async.simulator.answers import Answer, done
from besmart_async.simulator.call import Call
from besmart_async.simulator.endpoints.sensor_states import SIGNAL_STATE
from besmart_async.simulator.forms import info_form
from besmart_async.simulator.refusals import not_found
from besmart_async.simulator.replies import INT, NOT_FOUND, OK, UNAUTHORIZED, model
from besmart_async.simulator.routes import Reply, Route, path, query


def create(call: Call) -> Answer:
    """Create a signal state; 404 for an unknown sensor state or signal type."""
    state_id, moid = call.params["sensor_state_id"], call.params["signal_type_moid"]
    state = call.store.row("SELECT 1 FROM sensor_state WHERE sensor_state_id = ?", state_id)
    if state is None or call.store.signal_type(moid) is None:
        not_found()
    signal_state_id = call.store.insert("signal_state", call.params)
    row = call.store.row("SELECT * FROM signal_state WHERE signal_state_id = ?", signal_state_id)
    assert row is not None  # noqa: S101  # just inserted
    row["info"] = info_form(row["info"], call.settings)
    return Answer.of(201, row)


def update(call: Call) -> Answer:
    """Change what is given."""
    changes = dict(call.params)
    signal_state_id = changes.pop("signal_state_id")
    if not call.store.update("signal_state", changes, signal_state_id=signal_state_id):
        not_found()
    return done(call.settings)


def delete(call: Call) -> Answer:
    """Delete a signal state."""
    if not call.store.delete("signal_state", signal_state_id=call.params["signal_state_id"]):
        not_found()
    return done(call.settings)


_VALUES = (
    query("value_for_since", "number", description="Value for state start"),
    query("value_for_till", "number", description="Value for state end"),
    query("info", "string", description="Additional information"),
)
_ID = path("signal_state_id", 798649, "Signal state ID")

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
