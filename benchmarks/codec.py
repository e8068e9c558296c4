"""Columns to bytes and back, per reading, against the hand-written ways; in one process, in turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import numpy as np
import orjson

from benchmarks.measuring import Row, compare
from besmart_async import Response, SignalData, SignalKey
from besmart_async.wire.columns import encode_items, item_of
from besmart_async.wire.series import decode_series

_SIGNALS_AT_ONCE = 200
"""As many as a reader asks for in one call."""
_HERE = (1, 96, 10_000)
"""Readings per signal: one, a day of quarter hours, and long."""
_GOALS = {10_000: {"orjson + numpy": (2.0, 3.0)}}

Items = list[dict[str, Any]]


def rows(*, readings: int, rounds: int) -> list[Row]:
    """Compare encoding and decoding of one bulk body with short, day-long and long columns."""
    signals = {length: min(max(1, readings // length), _SIGNALS_AT_ONCE) for length in _HERE}
    return [row for length in _HERE for row in _with_length(length, signals[length], rounds)]


def _with_length(length: int, signals: int, rounds: int) -> list[Row]:
    rng = np.random.default_rng(1)
    time = 1_577_836_800_000 + 900_000 * np.arange(length)
    keys = [SignalKey(12, mid, 32) for mid in range(signals)]
    data = [SignalData(key, time, rng.random(length).round(3), unit="kW.h") for key in keys]
    items = orjson.loads(encode_items([item_of(one) for one in data]))
    body = orjson.dumps(items)
    answer = Response(200, {}, body)
    encode: dict[str, Callable[[], object]] = {
        "ours": lambda: encode_items([item_of(one) for one in data]),
        "orjson over lists": lambda: orjson.dumps(items),
        "json over lists": lambda: json.dumps(items),
    }
    decode: dict[str, Callable[[], object]] = {
        "ours": lambda: decode_series(answer),
        "orjson + numpy": lambda: _arrays(orjson.loads(body)),
        "json + numpy": lambda: _arrays(json.loads(body)),
    }
    encode["msgspec over lists"], decode["msgspec + numpy"] = _with_msgspec(items, body)
    count = length * signals
    decoded = compare(f"decode, {length:,} readings per signal", "reading", count, decode, rounds)
    return [
        compare(f"encode, {length:,} readings per signal", "reading", count, encode, rounds),
        attrs.evolve(decoded, goals=_GOALS.get(length, {})),
    ]


def _with_msgspec(items: Items, body: bytes) -> tuple[Callable[[], object], Callable[[], object]]:
    """As msgspec is meant to be used: it knows the types of what comes."""
    data = msgspec.defstruct("Data", [("time", list[int]), ("value", list[float]), ("type", list[str])])
    item = msgspec.defstruct("Item", [("sensor_mid", int), ("data", data)])
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(list[item]).decode  # type: ignore[valid-type]

    def arrays() -> object:
        return [(np.array(one.data.time), np.array(one.data.value)) for one in decode(body)]  # type: ignore[attr-defined]

    return lambda: encode(items), arrays


def _arrays(items: Items) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(np.array(item["data"]["time"]), np.array(item["data"]["value"])) for item in items]
