"""Entities from the wire: one cattrs converter that holds every rule, and the decoders that resources name.

Rules (API document and live-service notes):
- every field is optional, null reads as absent, unknown fields go to `extra`;
- ids and counts may be integers, whole floats or digits in a string; texts may come as numbers;
- `since` / `till` are milliseconds or ISO 8601; `info` is an object or JSON text; `signal_states` may be `[[]]`;
- `expiration` is milliseconds, or seconds where it is below 1e11; a refresh may say `id` for `user_id`;
- fields that only public material about the service of today names hold a value of another kind than expected in
  `extra`, instead of failing; a meter type may say `name` for `meter_type_name`;
- what is acknowledged without content may be `"OK"`, `"Created"`, any other JSON, or an empty body.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs
import cattrs
import orjson
from cattrs.gen import make_dict_structure_fn, override

from besmart_async.errors import DecodeError, InvalidInputError, Response
from besmart_async.models.keys import SensorKey
from besmart_async.models.meter_types import MeterType
from besmart_async.models.times import to_ms
from besmart_async.models.tokens import Token
from besmart_async.models.values import JsonValue
from besmart_async.wire.found import found, integer

T = TypeVar("T")

_SECONDS_BELOW = 1e11
"""An `expiration` below this is in seconds: as milliseconds it would lie in 1973."""

_MOST_PARTS = 8_000_000
"""Values of an answer that are parsed one by one: more would take gigabytes of memory, from some megabytes of text.
Columns of readings do not count, as long as they come in the documented form."""

_MANY_PARTS_BYTES = 1 << 20
"""Smaller texts are not counted through."""


def check_parts(response: Response) -> None:
    """Refuse an answer that would take far more memory parsed than as text.

    Raises:
        DecodeError: it has too many values.
    """
    content = response.content
    if len(content) <= _MANY_PARTS_BYTES:
        return
    containers = content.count(b"[") + content.count(b"{")
    if content.count(b",") + 4 * containers > _MOST_PARTS:  # an empty list takes as much memory as four numbers
        raise DecodeError(f"more than {_MOST_PARTS} values in one answer; ask for less at once", response=response)


def json_of(response: Response) -> Any:
    """Return the JSON of an answer, None for an empty one.

    Raises:
        DecodeError: the body is not JSON (an HTML page, say, or cut off, or too deep), or it has too many parts.
    """
    if not response.content.strip():
        return None
    check_parts(response)
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        kind = response.headers.get("content-type", "no content type")
        problem = f"not JSON but {kind}, {len(response.content)} bytes ({error})"
        raise DecodeError(problem, response=response) from None


def acknowledged(response: Response) -> None:
    """Accept `"OK"`, `"Created"`, other JSON or an empty body as done.

    Raises:
        DecodeError: the body is something else, such as the page of a proxy in between.
    """
    json_of(response)


def one(cls: type[T]) -> Callable[[Response], T]:
    """Return a decoder for one entity; a list of one is taken too."""

    def decode(response: Response) -> T:
        value = json_of(response)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return structure(cls, value, response)

    return decode


def many(cls: type[T]) -> Callable[[Response], list[T]]:
    """Return a decoder for a list of entities; null and an empty body are an empty list."""

    def decode(response: Response) -> list[T]:
        value = json_of(response)
        if value is None:
            return []
        if isinstance(value, Mapping):
            value = [value]
        if not isinstance(value, list):
            raise DecodeError(f"expected a list, found {found(value)}", response=response)
        return structure(list[cls], value, response)  # type: ignore[valid-type]

    return decode


def created_sensor(response: Response) -> SensorKey:
    """Decode `{"client_cid": ..., "sensor_mid": ...}` of a created sensor.

    Raises:
        DecodeError: a part of the key is missing or no id.
    """
    value = json_of(response)
    parts = [_member(value, name, response) for name in ("client_cid", "sensor_mid")]
    try:
        return SensorKey(*parts)
    except InvalidInputError as error:
        raise DecodeError(f"no id: {error.value!r}", path=f"$.{error.field}", response=response) from None


def found_mid(response: Response) -> int:
    """Decode the `sensor_mid` of weather: an integer, or an object that has it as `sensor_mid`, `mid` or `id`.

    Raises:
        DecodeError: there is none.
    """
    value = json_of(response)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping):
        name = next((name for name in ("sensor_mid", "mid", "id") if value.get(name) is not None), "sensor_mid")
        return _member(value, name, response)
    try:
        return integer(value)
    except ValueError as error:
        raise DecodeError(str(error), response=response) from None


def token(response: Response) -> Token:
    """Decode a session token; errors never show the answer.

    Raises:
        DecodeError: there is no token in it.
    """
    try:
        value = json_of(response)
    except DecodeError as error:
        raise DecodeError(error.problem) from None
    if isinstance(value, Mapping) and value.get("user_id") is None and "id" in value:
        value = {name: part for name, part in value.items() if name != "id"} | {"user_id": value["id"]}
    given = value.get("token") if isinstance(value, Mapping) else None
    if not isinstance(given, str) or not given:
        raise DecodeError("no token in the answer to a login or refresh", path="$.token")
    if not given.isascii() or not given.isprintable() or " " in given:
        raise DecodeError("a token that no header can carry", path="$.token")
    try:
        return structure(Token, value, response)
    except DecodeError as error:
        raise DecodeError("a field of the token is malformed", path=error.path) from None


def structure(cls: type[T], value: object, response: Response | None = None) -> T:
    """Make `cls` of parsed JSON.

    Raises:
        DecodeError: naming the first bad field.
    """
    try:
        return _CONVERTER.structure(value, cls)
    except (cattrs.BaseValidationError, ValueError, TypeError) as error:
        problem, _, path = cattrs.transform_error(error, path="$", format_exception=_reason)[0].rpartition(" @ ")
        raise DecodeError(problem, path=path, response=response) from None


def _reason(error: BaseException, _: object) -> str:
    return str(error.args[0]) if error.args else type(error).__name__


def _member(value: Any, name: str, response: Response) -> int:
    if not isinstance(value, Mapping):
        raise DecodeError(f"expected an object, found {found(value)}", response=response)
    try:
        return integer(value.get(name))
    except ValueError as error:
        raise DecodeError(str(error), path=f"$.{name}", response=response) from None


def _integer(value: object, _: object = None) -> int:
    return integer(value)


def _number(value: object, _: object = None) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError(f"expected a number, found {found(value)}")


def _boolean(value: object, _: object = None) -> bool:
    if isinstance(value, bool | int | str):
        shown = str(value).lower()
        if shown in {"true", "1", "false", "0"}:
            return shown in {"true", "1"}
    raise ValueError(f"expected true or false, found {found(value)}")


def _text(value: object, _: object = None) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"expected a text, found {found(value)}")


def _moment(value: object, _: object = None) -> int | float | None:
    if value is None:
        return None
    if isinstance(value, str) and not value.replace(".", "", 1).isdecimal():
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"expected milliseconds or an ISO 8601 time, found {found(value)}") from None
        return to_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return to_ms(_number(value))


def _expiration(value: object, _: object = None) -> float | None:
    if value is None:
        return None
    number = _number(value)
    return number * 1000 if number < _SECONDS_BELOW else number


def _info(value: object, _: object = None) -> Any:
    if value is None or isinstance(value, Mapping):
        return value
    if isinstance(value, str):
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
        return parsed if isinstance(parsed, Mapping) else value
    raise ValueError(f"expected an object or a text, found {found(value)}")


def _as_is(value: object, _: object = None) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    raise ValueError(f"expected a text or a boolean, found {found(value)}")


def _extra(value: Mapping[str, JsonValue], _: object = None) -> Mapping[str, JsonValue]:
    return value


_FIELD_RULES: dict[str, Callable[..., Any]] = {
    "since": _moment,
    "till": _moment,
    "expiration": _expiration,
    "info": _info,
    "sensor_custom_fields": _info,
    "sensor_state_custom_fields": _info,
    "type": _as_is,
    "type_name": _as_is,
    "extra": _extra,
    **dict.fromkeys(
        (
            "balance_calculation",
            "acq_min",
            "existing_sensor_state",
            "chart_expected_summary",
            "columns",
            "payload_mapping",
            "default_cap_period",
        ),
        _extra,
    ),
}
"""Fields whose wire form is more than their type says. The API uses each of these names in one sense only."""


_ASSUMED: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("read", "is_measurement", "apply_multiplier", "apply_current_ratio", "apply_voltage_ratio",
                     "draw_chart", "is_remote"), _boolean),
    **dict.fromkeys(("time_series_type", "data_model_type", "meter_type_id"), _integer),
    **dict.fromkeys(("prefix_name",), _text),
}  # fmt: skip
"""Fields that no document gives a type: a value that does not fit stays in `extra`, as it came."""

_ALIASES: dict[type[Any], dict[str, str]] = {MeterType: {"name": "meter_type_name"}}
"""Names that the dialect `live` gives to fields of an entity."""


def _entity(cls: type[Any], converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    names = {field.name for field in attrs.fields(cls)} - {"extra"}
    rules: Any = {name: override(struct_hook=rule) for name, rule in _FIELD_RULES.items() if name in names | {"extra"}}
    inner = make_dict_structure_fn(cls, converter, **rules)
    assumed = sorted(names & _ASSUMED.keys())
    aliases = _ALIASES.get(cls, {})

    def structure_entity(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValueError(f"expected an object, found {found(value)}")  # noqa: TRY004 - becomes a DecodeError with its path
        for alias, name in aliases.items():
            if value.get(name) is None and alias in value:
                value = {key: part for key, part in value.items() if key not in {alias, name}} | {name: value[alias]}
        known = {name: _filled(part) for name, part in value.items() if name in names and part is not None}
        unfit = {name for name in assumed if name in known and not _fits(_ASSUMED[name], known[name])}
        for name in unfit:
            del known[name]
        known["extra"] = {name: part for name, part in value.items() if name not in names or name in unfit}
        return inner(known, cls)

    return structure_entity


def _fits(rule: Callable[..., Any], part: Any) -> bool:
    try:
        rule(part)
    except ValueError:
        return False
    return True


def _filled(part: Any) -> Any:
    # The document shows `signal_states: [[]]` for a state without any.
    return [element for element in part if element != []] if isinstance(part, list) else part


def _build() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(int, _integer)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(bool, _boolean)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook_factory(attrs.has, lambda cls: _entity(cls, converter))
    return converter


_CONVERTER = _build()
