"""`SignalData` as pandas, polars and arrow tables, and that none of them is imported before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from besmart_async import SignalData, SignalKey

KEY = SignalKey(12, 122, 32)
T = 1_577_836_800_000
KINDS: dict[str, list[Any]] = {
    "doubles": [1.5, -0.0],
    "integers": [2**53 + 1, -1],
    "flags": [True, False],
    "texts": ["a", "b"],
    "doubles and nulls": [1.5, None],
    "flags and nulls": [None, True],
    "nulls": [None, None],
    "nothing": [],
}
IN_TEXTS: dict[str, tuple[list[Any], list[str | None]]] = {
    "numbers and texts": ([1.5, "a"], ["1.5", '"a"']),
    "flags and numbers": ([True, 1], ["true", "1"]),
    "integers past 64 bits": ([2**64 - 1, -1], ["18446744073709551615", "-1"]),
    "integers past 2**53 and doubles": ([2**53 + 1, 1.5], ["9007199254740993", "1.5"]),
    "structures": ([{"a": 1}, None], ['{"a":1}', None]),
}


def made(values: list[Any], fraction: float = 0, **others: Any) -> SignalData:
    return SignalData(KEY, [T + 1000 * row + fraction for row in range(len(values))], values, **others)


@pytest.mark.parametrize("fraction", [0, 0.5])
@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_a_table_reads_back_equal(values: list[Any], fraction: float) -> None:
    data = made(values, fraction, type=["DBL", "RM"][: len(values)], origin=[1, 2][: len(values)])
    frame, table, arrow = data.to_pandas(), data.to_polars(), data.to_arrow()
    assert SignalData(KEY, frame.index, frame["value"].tolist(), frame["type"], frame["origin"]) == data
    assert SignalData(KEY, table["time"], table["value"].to_list(), table["type"], table["origin"]) == data
    rows: dict[str, list[Any]] = arrow.to_pydict()
    assert SignalData(KEY, rows["time"], rows["value"], rows["type"], rows["origin"]) == data


@pytest.mark.parametrize(("values", "texts"), IN_TEXTS.values(), ids=IN_TEXTS)
def test_values_without_a_type_in_common_become_json_texts(values: list[Any], texts: list[str | None]) -> None:
    data = made(values)
    assert data.to_polars()["value"].to_list() == texts
    assert data.to_arrow()["value"].to_pylist() == texts
    assert data.to_pandas()["value"].tolist() == values


def test_a_pandas_frame_has_a_utc_index_and_tells_key_and_unit() -> None:
    frame = made([1.5, 2.5], unit="kW.h").to_pandas()
    assert frame.index.name == "time"
    assert str(frame.index.dtype) == "datetime64[us, UTC]"
    assert frame.index[0] == pd.Timestamp("2020-01-01", tz="UTC")
    assert list(frame.columns) == ["value", "type", "origin"]
    assert frame.attrs == {"key": "12.122.32", "unit": "kW.h"}
    frame.loc[frame.index[0], "value"] = 9.0  # the frame is the caller's own


def test_a_polars_frame_has_typed_columns() -> None:
    table = made([1.5, 2.5], type=None, origin=None).to_polars()
    assert table.schema == {
        "time": pl.Datetime("us", "UTC"), "value": pl.Float64(), "type": pl.String(), "origin": pl.Int64(),
    }  # fmt: skip
    assert table["type"].to_list() == [None, None]


def test_an_arrow_table_tells_key_and_unit_in_its_metadata() -> None:
    table = made([1.5], unit="kW.h").to_arrow()
    assert [str(field.type) for field in table.schema] == ["timestamp[us, tz=UTC]", "double", "string", "int64"]
    assert table.schema.metadata == {b"key": b"12.122.32", b"unit": b"kW.h"}
    assert made([1.5]).to_arrow().schema.metadata == {b"key": b"12.122.32"}


def test_times_before_1970_and_with_microseconds_are_exact() -> None:
    data = SignalData(KEY, [-1.5, 0.001, 4_417_977_600_000.011], [1.0, 2.0, 3.0])
    expected = np.array(
        ["1969-12-31T23:59:59.998500", "1970-01-01T00:00:00.000001", "2110-01-01T00:00:00.000011"], "M8[us]"
    )
    assert (pd.DatetimeIndex(data.to_pandas().index).tz_localize(None).to_numpy() == expected).all()
    assert (data.to_polars()["time"].to_numpy() == expected).all()


def test_importing_the_package_imports_no_table_or_server_library() -> None:
    heavy = [
        "pandas",
        "polars",
        "pyarrow",
        "matplotlib",
        "rich",
        "starlette",
        "uvicorn",
        "aiohttp",
        "altair",
        "anyio.pytest_plugin",
    ]
    code = f"import sys, besmart_async; print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


FRACTIONS = {"whole milliseconds": [0, 900_000], "a fraction": [0.5, 900_000.0], "none": []}


@pytest.mark.parametrize("times", FRACTIONS.values(), ids=FRACTIONS)
def test_frames_have_one_time_unit_whatever_their_times(times: list[float]) -> None:
    data = SignalData(KEY, times, [1.5] * len(times))
    assert str(data.to_pandas().index.dtype) == "datetime64[us, UTC]"
    assert data.to_polars()["time"].dtype == pl.Datetime("us", "UTC")
    assert str(data.to_arrow()["time"].type) == "timestamp[us, tz=UTC]"
