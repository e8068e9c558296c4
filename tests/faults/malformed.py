"""Calls that are wrong in one argument, drawn from dice: over all public methods, each with what it is to be told."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import attrs
import numpy as np

from besmart_async import (
    BatchPolicy,
    BesmartClient,
    Reader,
    ReadPolicy,
    RetryPolicy,
    SensorKey,
    SignalData,
    SignalKey,
    SignalQuery,
    Timeouts,
    Writer,
)
from tests.resources.calls import CALLS, Call
from tests.resources.test_refusals import REFUSED

KEY = SignalKey(9, 1, 34)
SURROGATE = "half a pair: \ud800"


@attrs.frozen
class Malformed:
    """One wrong call.

    Attributes:
        what: its name.
        fields: the arguments that an error may name.
        make: makes it; may already raise, or return something to await.
        setting: it is a setting, refused with `BesmartConfigError`.
    """

    what: str
    fields: frozenset[str]
    make: Callable[[], Awaitable[object] | object] = attrs.field(repr=False)
    setting: bool = False


Draw = Callable[[random.Random], Any]


def one_of(*values: Any) -> Draw:
    return lambda dice: dice.choice(values)


def wrong_id(dice: random.Random) -> Any:
    drawn = [-dice.randrange(1, 10**9), 2**63 + dice.randrange(10**9), dice.random(), str(dice.randrange(100))]
    return dice.choice([*drawn, True, None, float("nan"), [1], b"1", object(), Decimal(1), np.array([1, 2])])


def wrong_time(dice: random.Random) -> Any:
    far = 10 ** dice.randrange(17, 30)
    naive = datetime(2024, 1, 1) + timedelta(minutes=dice.randrange(10**6))
    odd = [True, None, "2024-01-01", b"0", 1j, object(), np.datetime64("NaT"), Decimal(1), date(2024, 1, 1), {}]
    return dice.choice([far, -far, naive, float("nan"), float("inf"), -float("inf"), *odd])


def wrong_value(dice: random.Random) -> Any:
    nan, inf = float("nan"), float("inf")
    nested = {"a": [dice.randrange(9), {"b": dice.choice([nan, inf, object(), {1}])}]}
    odd = [1j, object(), {1}, b"1", nested, SURROGATE, {1: 2}, 2**70, np.datetime64("2024"), datetime.now(UTC)]
    return dice.choice([nan, inf, -inf, np.float64("nan"), np.float32("inf"), Decimal(1), *odd])


def wrong_columns(dice: random.Random) -> tuple[Any, Any, str]:
    """Times and values of which one cannot be, and which."""
    rows = dice.randrange(1, 20)
    times: Any = list(range(rows))
    values: Any = [dice.random() for _ in range(rows)]
    row = dice.randrange(rows)
    kind = dice.randrange(8)
    if kind == 0:
        return times, values[:-1] if rows > 1 else [*values, 1.0], "value"
    if kind == 1:
        values[row] = dice.choice([float("nan"), float("inf"), object(), 1j, {1}])
        return times, values, "value"
    if kind == 2:
        times[row] = dice.choice([None, float("nan"), "x", datetime(2024, 1, 1), 10**18])
        return times, values, "time"
    if kind == 3:
        return np.zeros((rows, 2)), values, "time"
    if kind == 4:
        return times, np.zeros((rows, 2)), "value"
    if kind == 5:
        return times, np.array([1j] * rows), "value"
    if kind == 6:
        return np.array(["NaT"] * rows, "datetime64[ms]"), values, "time"
    return times, 5.0, "value"


WRONG_KEY = one_of(None, "9.1.34", (9, 1, 34), SensorKey(9, 1), 9, object(), b"9.1.34")
WRONG_TYPE = one_of("", None, 5, b"DBL", SURROGATE, object(), ["DBL"], [])
WRONG_UNIT = one_of("", 5, b"kW", SURROGATE, ["kW"], object())
WRONG_FLAG = one_of(0, 1, "true", [], object(), np.True_)
WRONG_DATA = one_of(None, "data", 5, KEY, [1], {"time": [1]}, (1, 2), object(), SignalData.missing(KEY))
WRONG_TEXT_KEYS = one_of(
    "", "9.1", "9.1.34.5", "a.b.c", "9,1,34", " 9.1.34", "9.1.-34", "9.1." + "9" * 30, None, 5, b"9.1.34"
)
WRONG_FILTERS = one_of("", "{", "[]", 5, [1], {"a": float("nan")}, {1: 2}, {"a": object()}, SURROGATE)


def draw(dice: random.Random, writer: Writer, reader: Reader, client: BesmartClient) -> Malformed:
    """Draw one wrong call; about half of them are of the resources."""
    kind = dice.random()
    if kind < 0.35:
        return _of_a_resource(dice, client)
    if kind < 0.65:
        return _of_a_writer(dice, writer)
    if kind < 0.8:
        return _of_a_reader(dice, reader)
    return _of_a_value(dice) if kind < 0.93 else _of_a_setting(dice)


def _of_a_resource(dice: random.Random, client: BesmartClient) -> Malformed:
    call: Call = dice.choice([call for call in CALLS if call.arguments])
    field = dice.choice(sorted(call.arguments))
    value = dice.choice(REFUSED[call.sdk][field])
    also = {"since", "till"} if field in {"since", "till"} else set()
    return Malformed(call.sdk, frozenset({field, *also}), lambda: call.of(client, {**call.arguments, field: value}))


def _of_a_writer(dice: random.Random, writer: Writer) -> Malformed:
    good: dict[str, Any] = {"key": KEY, "time": 1, "value": 1.0}
    wrong: dict[str, Draw] = {
        "key": WRONG_KEY, "time": wrong_time, "value": wrong_value, "type": WRONG_TYPE, "origin": wrong_id,
        "unit": WRONG_UNIT,
    }  # fmt: skip
    way = dice.randrange(6)
    if way <= 1:
        field = dice.choice(sorted(wrong))
        arguments = {**good, field: wrong[field](dice)}
        return Malformed(f"write {arguments[field]!r}", frozenset({field}), lambda: writer.write(**arguments))
    if way == 2:
        times, values, field = wrong_columns(dice)
        return Malformed("write columns", frozenset({field}), lambda: writer.write(KEY, times, values))
    if way == 3:
        field = dice.choice(["key", "time", "origin"])
        arguments = {"key": KEY, "time": 1, field: wrong[field](dice)}
        return Malformed("remove", frozenset({field}), lambda: writer.remove(**arguments))
    data = WRONG_DATA(dice)
    method = writer.write_data if way == 4 else writer.deliver
    return Malformed(method.__name__, frozenset({"data"}), lambda: method(data))


def _of_a_reader(dice: random.Random, reader: Reader) -> Malformed:
    if dice.random() < 0.3:
        query: Any = dice.choice([None, "x", KEY, 5, SignalData.missing(KEY)])
        return Malformed("read_query", frozenset({"query"}), lambda: reader.read_query(query))
    field, arguments, named = _window(dice)
    return Malformed(f"read {field}", named, lambda: reader.read(**arguments))


def _window(dice: random.Random) -> tuple[str, dict[str, Any], frozenset[str]]:
    wrong: dict[str, Draw] = {
        "key": WRONG_KEY, "since": wrong_time, "till": wrong_time, "get_last": WRONG_FLAG, "raw": WRONG_FLAG,
        "is_chart": WRONG_FLAG, "delta_t": one_of(0, -1, 1.5, "5", True, [1]),
        "output_unit_id": one_of(-1, 1.5, "5", True, [1]), "signal_origin_id": one_of(-1, 1.5, "5", True, [1]),
        "filters": WRONG_FILTERS,
    }  # fmt: skip
    field = dice.choice(sorted(wrong))
    arguments = {"key": KEY, "since": 0, "till": 1000, field: wrong[field](dice)}
    return field, arguments, frozenset({"since", "till"} if field in {"since", "till"} else {field})


def _of_a_value(dice: random.Random) -> Malformed:
    way = dice.randrange(5)
    if way == 0:
        text = WRONG_TEXT_KEYS(dice)
        return Malformed("SignalKey.parse", frozenset({"key"}), lambda: SignalKey.parse(text))
    if way == 1:
        names = ("client_cid", "sensor_mid", "signal_type_moid")
        field = dice.choice(names)
        parts: dict[str, Any] = {**dict.fromkeys(names, 1), field: wrong_id(dice)}
        return Malformed("SignalKey", frozenset({field}), lambda: SignalKey(**parts))
    if way == 2:
        field, arguments, named = _window(dice)
        return Malformed(f"SignalQuery {field}", named, lambda: SignalQuery(**arguments))
    if way == 3:
        times, values, field = wrong_columns(dice)
        return Malformed("SignalData", frozenset({field}), lambda: SignalData(KEY, times, values))
    field = dice.choice(["type", "origin", "unit"])
    value = {
        "type": one_of("", 5, b"DBL", ["DBL", ""], ["DBL"], [1, 2]),
        "origin": one_of(-1, 1.5, "1", [1], [1, -1], [1, "a"], True),
        "unit": WRONG_UNIT,
    }[field](dice)
    return Malformed(
        f"SignalData {field}", frozenset({field}), lambda: SignalData(KEY, [1, 2], [1.0, 2.0], **{field: value})
    )


def _of_a_setting(dice: random.Random) -> Malformed:
    policies: Sequence[type[Any]] = (BatchPolicy, ReadPolicy, RetryPolicy, Timeouts)
    policy = dice.choice(policies)
    field = dice.choice([field.name for field in attrs.fields(policy)])
    value = dice.choice([-1, -0.5, float("nan"), "5", True, [1], object()])
    return Malformed(f"{policy.__name__}.{field}", frozenset({field}), lambda: policy(**{field: value}), setting=True)
