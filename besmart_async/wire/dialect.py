"""The two dialects of the service: how each operation goes over the wire, as one table each.

A resource method checks its arguments and names the operation; the table says which HTTP method, which path, where each
argument goes and under which name. `documented` is the API document 0.1.5. `live` is what public material shows of the
service of today (up to 0.62); nobody who wrote it could call that service. An operation or an argument that a dialect
does not have is refused before anything is sent, with the name of the dialect that has it.

The rows. Arguments are written as words: `name*` is required, `get_last=last_acq` is sent under another name. Arguments
in the placeholders of the path are always required.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal, TypeVar

import attrs
import orjson

from besmart_async.errors import BesmartConfigError, InvalidInputError, Response, UnsupportedOperationError
from besmart_async.models.queries import SignalQuery
from besmart_async.models.values import JsonValue
from besmart_async.wire.operation import Auth, Operation

T = TypeVar("T")

DialectName = Literal["documented", "live"]
"""`documented`: the API document 0.1.5. `live`: the service of today, as public material shows it."""

_PLACEHOLDER = re.compile(r"{(\w+)}")


@attrs.frozen
class Parameter:
    """An argument in the query or body of a request: its name on the wire, and whether it has to be given."""

    name: str
    required: bool


def _parameters(words: str) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for word in words.split():
        argument, _, name = word.removesuffix("*").partition("=")
        found[argument] = Parameter(name or argument, word.endswith("*"))
    return found


@attrs.frozen(kw_only=True)
class RequestForm:
    """How one operation goes over the wire.

    Attributes:
        method: HTTP method.
        path: the path with its `{placeholders}`, relative to the base URL.
        query: the arguments that go into the query.
        fields: the arguments that are the fields of a JSON object in the body.
        items: the fields of each object in a body that is a list of queries.
        content_type: media type of the body.
        statuses: what the service answers when it worked. Any 2xx is taken for success.
        auth: which credentials go with it.
        envelope: the one field of the body's object that holds what is written; None if that is the body.
        placeholders: the arguments in the path.
        required: the arguments that have to be given.
        item_names: name on the wire of each of `items`.
    """

    method: str
    path: str
    query: Mapping[str, Parameter]
    fields: Mapping[str, Parameter]
    items: Mapping[str, Parameter]
    content_type: str | None
    statuses: tuple[int, ...]
    auth: Auth
    envelope: str | None
    placeholders: tuple[str, ...]
    required: tuple[str, ...]
    item_names: Mapping[str, str]

    def takes(self, argument: str) -> bool:
        """Return whether the operation has such an argument, or such an option of a query."""
        return (
            argument in self.placeholders or argument in self.query or argument in self.fields or argument in self.items
        )


def _row(
    method: str,
    path: str,
    *,
    query: str = "",
    fields: str = "",
    items: str = "",
    content_type: str | None = None,
    statuses: tuple[int, ...] = (200,),
    auth: Auth = Auth.BEARER,
    envelope: str | None = None,
) -> RequestForm:
    """Return a row of a table, with its arguments in words."""
    in_query, in_body, in_items = map(_parameters, (query, fields, items))
    placeholders = tuple(_PLACEHOLDER.findall(path))
    needed = [name for part in (in_query, in_body) for name, one in part.items() if one.required]
    return RequestForm(
        method=method,
        path=path,
        query=in_query,
        fields=in_body,
        items=in_items,
        content_type=content_type,
        statuses=statuses,
        auth=auth,
        envelope=envelope,
        placeholders=placeholders,
        required=(*placeholders, *needed),
        item_names={argument: one.name for argument, one in in_items.items()},
    )


@attrs.frozen
class Dialect:
    """One dialect: its name, and the form of each operation that it has."""

    name: DialectName
    forms: Mapping[str, RequestForm] = attrs.field(repr=False)

    def form(self, operation: str) -> RequestForm:
        """Return the form of an operation.

        Raises:
            UnsupportedOperationError: this dialect does not have it.
        """
        form = self.forms.get(operation)
        if form is None:
            name, _, version = operation.partition("@")
            raise UnsupportedOperationError(
                f"{name} version {version}" if version else name, self.name, _dialects_with(operation)
            )
        return form

    def operation(
        self,
        name: str,
        arguments: Mapping[str, JsonValue] | None = None,
        *,
        replay: bool,
        writes: bool,
        decode: Callable[[Response], T],
        body: bytes | None = None,
        done_if_repeated: frozenset[int] = frozenset(),
        form: str | None = None,
    ) -> Operation[T]:
        """Return an operation in this dialect's form.

        Args:
            name: namespace and method.
            arguments: the checked arguments by name; those that are None are not sent.
            replay: whether sending it twice does no harm.
            writes: whether it changes something.
            decode: makes the result of a 2xx answer.
            body: an encoded body, of an operation whose arguments do not make it.
            done_if_repeated: error statuses that after a lost answer mean that the first try worked.
            form: the row of the table, where it is not `name`.

        Raises:
            UnsupportedOperationError: this dialect does not have the operation.
            InvalidInputError: this dialect does not have an argument that is given, or requires one that is not.
        """
        row = self.form(name if form is None else form)
        given = {key: value for key, value in (arguments or {}).items() if value is not None}
        self._check(name, row, given)
        return Operation(
            name=name,
            method=row.method,
            path=row.path,
            path_params={key: _in_path(given[key]) for key in row.placeholders},
            query=query(*((row.query[key].name, value) for key, value in given.items() if key in row.query)),
            body=_body(row, given, body),
            content_type=row.content_type,
            auth=row.auth,
            replay=replay,
            writes=writes,
            done_if_repeated=done_if_repeated,
            decode=decode,
        )

    def check_changes(self, name: str, arguments: Mapping[str, JsonValue]) -> None:
        """Check that a change changes something: one argument that is not in the path is given.

        Raises:
            InvalidInputError: there is nothing to change.
        """
        placeholders = self.form(name).placeholders
        if all(value is None for key, value in arguments.items() if key not in placeholders):
            first = next(key for key in arguments if key not in placeholders)
            raise InvalidInputError(first, None, "nothing to change; give at least one field")

    def check_query(self, asked: SignalQuery, form: str = "signals.read_bulk", field: str = "query") -> None:
        """Check that the bulk read has every option that a query gives.

        Raises:
            InvalidInputError: it does not have one of them.
        """
        items = self.form(form).items
        for option, value in asked.options.items():
            if option not in items:
                raise InvalidInputError(f"{field}.{option}", value, self._lacking(form, option))

    def _check(self, operation: str, form: RequestForm, given: Mapping[str, JsonValue]) -> None:
        for argument, value in given.items():
            if not form.takes(argument):
                raise InvalidInputError(argument, value, self._lacking(operation, argument))
        for argument in form.required:
            if argument not in given:
                problem = f"the {self.name} dialect requires it for {operation}; give a value"
                raise InvalidInputError(argument, None, problem)

    def _lacking(self, operation: str, argument: str) -> str:
        others = [one.name for one in DIALECTS.values() if (form := one.forms.get(operation)) and form.takes(argument)]
        advice = f"the {others[0]} dialect has it" if others else "leave it out"
        return f"the {self.name} dialect has no such argument of {operation}; {advice}"


def _body(form: RequestForm, given: Mapping[str, JsonValue], encoded: bytes | None) -> bytes | None:
    if form.fields:
        return orjson.dumps({one.name: given[key] for key, one in form.fields.items() if key in given})
    if encoded is not None and form.envelope is not None:
        return b'{"%b":%b}' % (form.envelope.encode(), encoded)
    return encoded


def _in_path(value: JsonValue) -> int | str:
    return value if isinstance(value, int) else text_of(value)


def _dialects_with(operation: str) -> tuple[DialectName, ...]:
    return tuple(one.name for one in DIALECTS.values() if operation in one.forms)


_JSON, _TEXT = "application/json", "text/plain"
_SENSOR = "/sensors/{client_cid}.{sensor_mid}"
_METERS, _LIVE_METERS = "/sensors/{client_cid}/meters", "/clients/{client_cid}/meters"
_STATES = "/sensors/states"
_DATA, _ONE = "/sensors/signals/data", "/sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data"
_WEATHER = "/weather/external"

_DETAILS = "sensor_eid lat lon info"
_METER_TYPE = "meter_type_name* meter_type_id* description number_of_phases* is_ami is_balance is_dcu"
_LIVE_METER_TYPE = (
    "meter_type_name=name* number_of_phases* description is_balance is_ami is_dcu is_remote prefix_name"
    " default_cap_period"
)
_RUN = "task_priority task_async since till"
_WINDOW = "since* till* get_last delta_t raw output_unit_id signal_origin_id"
_ITEM = "client_cid* sensor_mid* signal_type_moid* since* till*"
_ITEMS = f"{_ITEM} get_last delta_t raw output_unit_id signal_origin_id filters is_chart"
_LIVE_ITEMS = f"{_ITEM} get_last=last_acq delta_t raw output_unit_id signal_origin_id=origin_id filters is_chart"
_LIVE_ITEMS_V2 = (
    f"{_ITEM} get_last=last_acq delta_t raw output_unit_id signal_origin_id filters is_chart apply_multiplier"
)
_WEATHER_WINDOW = f"{_WINDOW} is_chart variant"

_DOCUMENTED: dict[str, RequestForm] = {
    "users.login": _row("POST", "/users/token", content_type=_TEXT, auth=Auth.API_KEY),
    "users.refresh": _row("GET", "/users/token"),
    "sensors.types": _row("GET", "/sensors/types"),
    "sensors.create": _row(
        "POST",
        "/sensors",
        query=f"name* sensor_type_id* client_cid* {_DETAILS} uncertain negligible",
        statuses=(201,),
    ),
    "sensors.get": _row("GET", _SENSOR),
    "sensors.update": _row("PUT", _SENSOR, query=f"name sensor_type_id {_DETAILS} comments uncertain negligible"),
    "sensors.delete": _row("DELETE", _SENSOR),
    "meter_types.list": _row("GET", _METERS),
    "meter_types.create": _row("POST", _METERS, query=_METER_TYPE, statuses=(201,)),
    "meter_types.update": _row("PUT", _METERS, query=_METER_TYPE),
    "meter_types.delete": _row("DELETE", _METERS),
    "signals.types": _row("GET", "/sensors/signals/types"),
    "signals.read": _row("GET", _ONE, query=f"{_WINDOW} filters is_chart"),
    "signals.write@1": _row("PUT", _ONE, query="unit", content_type=_JSON),
    "signals.read_bulk@1": _row("POST", _DATA, items=_ITEMS, content_type=_JSON),
    "signals.write_bulk@1": _row("PUT", _DATA, content_type=_JSON),
    "sensor_states.list": _row("GET", _STATES, query="client_cid* sensor_mid*"),
    "sensor_states.list_for_signal": _row(
        "GET", f"{_STATES}/signals", query="client_cid* sensor_mid* signal_type_moid*"
    ),
    "sensor_states.create": _row(
        "POST", _STATES, query="client_cid* sensor_mid* since* till info meter_eid meter_type_name", statuses=(201,)
    ),
    "sensor_states.update": _row(
        "PUT", f"{_STATES}/{{sensor_state_id}}", query="since till info meter_eid meter_type_name"
    ),
    "sensor_states.delete": _row("DELETE", f"{_STATES}/{{sensor_state_id}}"),
    "signal_states.create": _row(
        "POST",
        f"{_STATES}/{{sensor_state_id}}/signals",
        query="signal_type_moid* value_for_since value_for_till info",
        statuses=(201,),
    ),
    "signal_states.update": _row(
        "PUT", f"{_STATES}/signals/{{signal_state_id}}", query="value_for_since value_for_till info"
    ),
    "signal_states.delete": _row("DELETE", f"{_STATES}/signals/{{signal_state_id}}"),
    "tasks.run_graph": _row("POST", "/tasks/graphs/run", query=_RUN, content_type=_TEXT, statuses=(201,)),
    "tasks.run_graph_by_name": _row(
        "POST", "/tasks/graphs/run/name", query=f"graph_name* {_RUN}", content_type=_TEXT, statuses=(200, 202)
    ),
}
"""Every row is from the operation of this path in the API document 0.1.5."""

_CREATED, _CHANGED = (201, 200), (204,)

_LIVE: dict[str, RequestForm] = {
    "users.login": _row("POST", "/users/token", content_type=_JSON, auth=Auth.API_KEY),
    "users.refresh": _row("GET", "/users/token"),
    "sensors.types": _row("GET", "/sensors/types"),
    "sensors.create": _row(
        "POST",
        "/sensors",
        query=f"name* sensor_type_id* client_cid* {_DETAILS} uncertain negligible",
        statuses=_CREATED,
    ),
    "sensors.get": _row("GET", _SENSOR),
    "sensors.update": _row(
        "PUT",
        _SENSOR,
        fields=f"name* sensor_type_id* {_DETAILS} comments uncertain negligible balance_calculation node_id",
        content_type=_JSON,
        statuses=_CHANGED,
    ),
    "sensors.delete": _row("DELETE", _SENSOR, statuses=_CHANGED),
    "meter_types.list": _row("GET", _LIVE_METERS),
    "meter_types.create": _row("POST", _LIVE_METERS, fields=_LIVE_METER_TYPE, content_type=_JSON, statuses=_CREATED),
    "meter_types.update": _row("PUT", f"{_LIVE_METERS}/{{meter_type_id}}", query=_LIVE_METER_TYPE, statuses=_CHANGED),
    "meter_types.delete": _row("DELETE", f"{_LIVE_METERS}/{{meter_type_id}}", statuses=_CHANGED),
    "signals.types": _row("GET", "/sensors/signals/types"),
    "signals.read": _row("GET", _ONE, query=f"{_WINDOW} is_chart apply_multiplier time_series_type"),
    "signals.write@1": _row("PUT", _ONE, query="unit", content_type=_JSON, statuses=_CHANGED),
    "signals.write@2": _row("PUT", f"{_ONE}/v2", query="unit", content_type=_JSON, statuses=_CHANGED, envelope="data"),
    "signals.read_bulk@1": _row("POST", _DATA, items=_LIVE_ITEMS, content_type=_JSON),
    "signals.read_bulk@2": _row("POST", f"{_DATA}/v2", items=_LIVE_ITEMS_V2, content_type=_JSON),
    "signals.write_bulk@1": _row("PUT", _DATA, content_type=_JSON, statuses=_CHANGED),
    "signals.write_bulk@2": _row("PUT", f"{_DATA}/v2", content_type=_JSON, statuses=_CHANGED),
    "sensor_states.list": _row("GET", _STATES, query="client_cid* sensor_mid*"),
    "sensor_states.list_for_signal": _row(
        "GET", f"{_STATES}/signals", query="client_cid* sensor_mid* signal_type_moid*"
    ),
    "sensor_states.create": _row(
        "POST",
        _STATES,
        query="client_cid* sensor_mid* since till info meter_eid meter_type_id",
        statuses=_CREATED,
    ),
    "sensor_states.update": _row(
        "PUT",
        f"{_STATES}/{{sensor_state_id}}",
        query="since till info meter_eid meter_type_id",
        statuses=_CHANGED,
    ),
    "sensor_states.delete": _row("DELETE", f"{_STATES}/{{sensor_state_id}}", statuses=_CHANGED),
    "signal_states.create": _row(
        "POST",
        f"{_STATES}/{{sensor_state_id}}/signals",
        query="signal_type_moid* value_for_since value_for_till info",
        statuses=_CREATED,
    ),
    "signal_states.update": _row(
        "PUT",
        f"{_STATES}/signals/{{signal_state_id}}",
        query="value_for_since value_for_till info",
        statuses=_CHANGED,
    ),
    "signal_states.patch": _row(
        "PATCH",
        f"{_STATES}/signals/{{signal_state_id}}",
        fields="value_for_since value_for_till",
        content_type=_JSON,
        statuses=_CHANGED,
    ),
    "signal_states.delete": _row("DELETE", f"{_STATES}/signals/{{signal_state_id}}", statuses=_CHANGED),
    "tasks.run_graph_by_name": _row(
        "POST", "/tasks/graphs/run/name", query=f"graph_name* {_RUN}", content_type=_JSON, statuses=(200, 202)
    ),
    "weather.find_mid": _row("GET", f"{_WEATHER}/find/mid", query="lat* lon*"),
    "weather.read": _row("GET", f"{_WEATHER}/{{sensor_mid}}/signals/{{signal_type_moid}}/data", query=_WEATHER_WINDOW),
    "weather.read_at": _row("GET", f"{_WEATHER}/{{lat}}/{{lon}}/{{signal_type_moid}}/data", query=_WEATHER_WINDOW),
}
"""Every row is from public material about the service of today; `docs/dialects.md` says what is only assumed."""


def _with_newest(rows: Mapping[str, RequestForm]) -> dict[str, RequestForm]:
    """Return the rows, with the newest version of each operation that has versions (`name@1`) under its plain name."""
    newest = {name.partition("@")[0]: form for name, form in sorted(rows.items())}
    return {**rows, **newest}


DOCUMENTED = Dialect("documented", _with_newest(_DOCUMENTED))
LIVE = Dialect("live", _with_newest(_LIVE))
DIALECTS: dict[DialectName, Dialect] = {"documented": DOCUMENTED, "live": LIVE}


def dialect_named(name: object) -> Dialect:
    """Return a dialect by its name.

    Raises:
        BesmartConfigError: there is none of that name.
    """
    for dialect in DIALECTS.values():
        if dialect.name == name:
            return dialect
    raise BesmartConfigError(f"dialect={name!r}: give {' or '.join(map(repr, DIALECTS))}")


# -- arguments as texts ----------------------------------------------------------------------------------------------


def query(*parameters: tuple[str, JsonValue]) -> tuple[tuple[str, str], ...]:
    """Return the parameters that are not None, in order, as texts."""
    return tuple((name, text_of(value)) for name, value in parameters if value is not None)


def text_of(value: JsonValue) -> str:
    """Return one value as it is written in a query or a path."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return orjson.dumps(value).decode()
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")  # never an exponent
    return str(value)
