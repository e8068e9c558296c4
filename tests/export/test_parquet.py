"""Parquet, read again by pyarrow."""

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from besmart_async import InvalidInputError, SignalData, SignalKey
from besmart_async.export.parquet import ROW_GROUP, ParquetSink
from besmart_async.export.rows import Times

KEY = SignalKey(12, 122, 32)


def table(*parts: SignalData, times: Times = "iso") -> Any:
    stream = io.BytesIO()
    sink = ParquetSink(stream, times)
    for part in parts:
        assert sum(sink.write(part)) == len(part)
    sink.finish()
    assert not stream.closed
    return pq.ParquetFile(io.BytesIO(stream.getvalue()))


def test_columns_have_their_types() -> None:
    found = table(SignalData(KEY, [1577836800000], [0.1], unit="kW.h"), times="both").read().to_pylist()
    assert found == [
        {
            "client_cid": 12,
            "sensor_mid": 122,
            "signal_type_moid": 32,
            "time": datetime(2020, 1, 1, tzinfo=UTC),
            "unix_ms": 1577836800000,
            "value": 0.1,
            "value_json": None,
            "unit": "kW.h",
            "type": "DBL",
            "origin": 1,
        }
    ]


def test_what_no_double_holds_is_kept_as_json() -> None:
    data = SignalData(KEY, [1, 2, 3, 4, 5], [1, "on", True, 2**60, 5.5], type=["INT", "STR", "BOOL", "INT", "RM"])
    found = table(data).read()
    assert found["value"].to_pylist() == [1.0, None, None, None, None]
    assert found["value_json"].to_pylist() == [None, '"on"', "true", str(2**60), None]


def test_many_rows_become_row_groups_and_come_back_exactly() -> None:
    value = np.random.default_rng(0).random(ROW_GROUP * 2)
    found = table(SignalData(KEY, np.arange(len(value)), value))
    assert found.num_row_groups >= 2
    assert np.array_equal(found.read()["value"].to_numpy(), value)


def test_a_fraction_of_a_millisecond_is_kept_or_refused_never_cut() -> None:
    data = SignalData(KEY, [0.5], [1.0])
    assert table(data).read()["time"].to_pylist()[0].microsecond == 500
    with pytest.raises(InvalidInputError, match="ISO"):
        table(data, times="ms")


def test_without_readings_it_is_an_empty_table() -> None:
    assert table().read().num_rows == 0
