"""Columns to bytes and back, per reading, against the hand-written ways."""

from __future__ import annotations

import json

import numpy as np
import orjson

from benchmarks.measuring import Row, compare
from besmart_async import Response, SignalData, SignalKey
from besmart_async.wire.columns import encode_item, join_items
from besmart_async.wire.series import decode_series


def rows(*, readings: int, rounds: int) -> list[Row]:
    """Compare encoding and decoding of one bulk body with short, day-long and long columns."""
    return [row for length in (1, 96, 10_000) for row in _with_length(length, max(1, readings // length), rounds)]


def _with_length(length: int, signals: int, rounds: int) -> list[Row]:
    rng = np.random.default_rng(1)
    time = 1_577_836_800_000 + 900_000 * np.arange(length)
    keys = [SignalKey(12, mid, 32) for mid in range(signals)]
    items = [SignalData(key, time, rng.random(length).round(3), unit="kW.h") for key in keys]
    columns = [(data.key.sensor_mid, data.time.tolist(), data.value.tolist()) for data in items]
    body = join_items(map(encode_item, items))
    answer = Response(200, {}, body)

    def ours() -> bytes:
        return join_items(map(encode_item, items))

    def as_lists() -> list[dict[str, object]]:
        return [_item(mid, times, values, length) for mid, times, values in columns]

    def decode_by_hand() -> list[tuple[np.ndarray, np.ndarray]]:
        return [(np.array(i["data"]["time"]), np.array(i["data"]["value"])) for i in orjson.loads(body)]

    count = length * signals
    encode = {
        "ours": ours,
        "orjson over lists": lambda: orjson.dumps(as_lists()),
        "json": lambda: json.dumps(as_lists()),
    }
    decode = {"ours": lambda: decode_series(answer), "orjson + numpy": decode_by_hand, "json": lambda: json.loads(body)}
    return [
        compare(f"encode, {length} readings per signal", "reading", count, encode, rounds),
        compare(f"decode, {length} readings per signal", "reading", count, decode, rounds),
    ]


def _item(mid: int, times: list[int], values: list[float], length: int) -> dict[str, object]:
    data = {"time": times, "value": values, "type": ["DBL"] * length, "origin": [1] * length}
    return {"client_cid": 12, "sensor_mid": mid, "signal_type_moid": 32, "data": data, "unit": "kW.h"}
