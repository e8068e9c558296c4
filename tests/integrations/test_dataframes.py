"""Long frames of pandas, polars and arrow, to signals and back: the same rules for all three."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

pytest.importorskip("pandas")
pytest.importorskip("polars")
pytest.importorskip("pyarrow")

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from besmart_async import InvalidInputError, SignalData, SignalKey
from besmart_async.integrations.dataframes import from_arrow, from_pandas, from_polars, to_arrow, to_pandas, to_polars

ONE, OTHER = SignalKey(12, 122, 32), SignalKey(12, 123, 32)
MOMENT = datetime(2020, 1, 1, tzinfo=UTC)
MOMENT_MS = 1_577_836_800_000


class Library:
    """A data frame library: how to make a frame of columns, and signals of a frame, and back."""

    def __init__(self, frame: Callable[[Any], Any], read: Callable[..., Any], write: Callable[[Any], Any]) -> None:
        self.frame = frame
        self._read = read
        self.write = write

    def read(self, columns: dict[str, Any], **options: Any) -> list[SignalData]:
        found: list[SignalData] = self._read(self.frame(columns), **options)
        return found

    def through(self, items: list[SignalData]) -> list[SignalData]:
        found: list[SignalData] = self._read(self.write(items))
        return found


LIBRARIES = {
    "pandas": Library(pd.DataFrame, from_pandas, to_pandas),
    "polars": Library(pl.DataFrame, from_polars, to_polars),
    "arrow": Library(pa.table, from_arrow, to_arrow),
}


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> Library:
    return LIBRARIES[request.param]


def rows(**more: Any) -> dict[str, Any]:
    return {"key": ["12.122.32", "12.122.32"], "time": [1, 2], "value": [1.0, 2.0]} | more


def ids(client_cid: Any, sensor_mid: Any, signal_type_moid: Any) -> dict[str, Any]:
    key = {"client_cid": [client_cid], "sensor_mid": [sensor_mid], "signal_type_moid": [signal_type_moid]}
    return {"time": [1], "value": [1.0], **key}


def test_rows_are_grouped_by_signal_in_the_order_of_their_first_rows(library: Library) -> None:
    keys = ["12.123.32", "12.122.32", "12.123.32", "12.122.32"]
    found = library.read({"key": keys, "time": [4, 1, 3, 2], "value": [0.4, 0.1, 0.3, 0.2]})
    assert found == [SignalData(OTHER, [4, 3], [0.4, 0.3]), SignalData(ONE, [1, 2], [0.1, 0.2])]


def test_three_columns_of_ids_are_a_key(library: Library) -> None:
    key = {"client_cid": [12, 12, 12], "sensor_mid": [123, 122, 123], "signal_type_moid": [32, 32, 32]}
    found = library.read({**key, "time": [1, 2, 3], "value": [1.0, 2.0, 3.0]})
    assert found == [SignalData(OTHER, [1, 3], [1.0, 3.0]), SignalData(ONE, [2], [2.0])]


def test_columns_may_have_other_names(library: Library) -> None:
    columns = {"c": [12], "s": [122], "t": [32], "at": [1], "kWh": [1.5], "kind": ["INT"], "o": [2], "u": ["kW.h"]}
    names = {"time": "at", "value": "kWh", "type": "kind", "origin": "o", "unit": "u"}
    assert library.read(columns, key_columns=("c", "s", "t"), **names) == [
        SignalData(ONE, [1], [1.5], "INT", 2, "kW.h")
    ]
    assert library.read(rows(signal=["12.123.32"] * 2), key_columns="signal")[0].key == OTHER


def test_one_signal_in_two_units_is_two(library: Library) -> None:
    found = library.read(rows(unit=["kW.h", None]))
    assert found == [SignalData(ONE, [1], [1.0], unit="kW.h"), SignalData(ONE, [2], [2.0])]


def test_types_and_origins_are_one_value_or_one_per_row(library: Library) -> None:
    (uniform,) = library.read(rows(type=["RM", "RM"], origin=[2, 2]))
    assert (uniform.type, uniform.origin) == ("RM", 2)
    (mixed,) = library.read(rows(type=["DBL", "RM"], origin=[1, 2]))
    assert mixed == SignalData(ONE, [1, 2], [1.0, 2.0], ["DBL", "RM"], [1, 2])
    assert mixed.origin is not None
    assert np.asarray(mixed.origin).dtype == np.int64


def test_a_signal_that_tells_no_type_and_origin_tells_none(library: Library) -> None:
    (found,) = library.read(rows(type=[None, None], origin=[None, None]))
    assert (found.type, found.origin) == (None, None)


def test_aware_datetimes_are_moments(library: Library) -> None:
    times = [MOMENT, MOMENT + timedelta(milliseconds=1)]
    assert library.read(rows(time=times))[0].time.tolist() == [MOMENT_MS, MOMENT_MS + 1]


def test_naive_datetimes_are_refused(library: Library) -> None:
    with pytest.raises(InvalidInputError, match="without a time zone"):
        library.read(rows(time=[datetime(2020, 1, 1), datetime(2020, 1, 2)]))


def test_fractions_of_a_millisecond_stay_with_their_signal(library: Library) -> None:
    found = library.read(rows(key=["12.122.32", "12.123.32"], time=[1.5, 2.0]))
    assert [data.time.dtype.kind for data in found] == ["f", "i"]


def test_null_values_are_null_readings(library: Library) -> None:
    one, other = library.through([SignalData(ONE, [1, 2], [1.5, None]), SignalData(OTHER, [3], [2.5])])
    assert one.value.tolist() == [1.5, None]
    assert other.value.dtype == np.float64


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        (rows(value=[1.0, float("nan")]), "value[1]"),
        (rows(value=[1.0, float("inf")]), "value[1]"),
        (rows(key=["12.122.32", "12.122"]), "key[1]"),
        (rows(key=["12.122.32", None]), "key[1]"),
        (rows(unit=["kW.h", ""]), "unit[1]"),
        (rows(type=["DBL", ""]), "type[1]"),
        (rows(type=["DBL", None]), "type[1]"),
        (rows(origin=[1, -1]), "origin[1]"),
        (rows(time=[1, 10**18]), "time[1]"),
        (rows(time=[MOMENT, None]), "time[1]"),
        (
            {"time": [1], "value": [1.0], "client_cid": [1], "sensor_mid": [-5], "signal_type_moid": [1]},
            "sensor_mid[0]",
        ),
        (
            {"time": [1], "value": [1.0], "client_cid": [1.5], "sensor_mid": [5], "signal_type_moid": [1]},
            "client_cid[0]",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_with_its_column_and_row(library: Library, columns: Any, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        library.read(columns)
    assert caught.value.field == field


def test_the_row_named_is_the_frames_and_not_the_signals(library: Library) -> None:
    keys = ["12.122.32", "12.123.32", "12.122.32", "12.123.32"]
    with pytest.raises(InvalidInputError) as caught:
        library.read({"key": keys, "time": [1] * 4, "value": [1.0] * 4, "type": ["DBL", "DBL", "DBL", None]})
    assert caught.value.field == "type[3]"


def test_a_column_that_is_missing_is_named_beside_those_there_are(library: Library) -> None:
    with pytest.raises(InvalidInputError, match=r"valeu.*key, time, value"):
        library.read(rows(), value="valeu")
    with pytest.raises(InvalidInputError, match="units"):
        library.read(rows(), unit="units")
    with pytest.raises(InvalidInputError, match="client_cid"):
        library.read({"time": [1], "value": [1.0]})
    with pytest.raises(InvalidInputError, match="three"):
        library.read(rows(), key_columns=("time", "value"))


def test_one_key_written_in_two_ways_is_one_signal(library: Library) -> None:
    assert library.read(rows(key=["12.122.32", "012.122.32"])) == [SignalData(ONE, [1, 2], [1.0, 2.0])]


def test_a_frame_without_rows_has_no_signals(library: Library) -> None:
    assert library.through([]) == []
    assert library.through([SignalData.missing(ONE), SignalData(OTHER, [], [])]) == []


def test_signals_come_back_as_they_went(library: Library) -> None:
    items = [
        SignalData(OTHER, [2, 1], [2.5, 1.5], ["DBL", "RM"], [1, 5], "kW.h"),
        SignalData(ONE, [MOMENT_MS], [3], "INT", None, "V"),
        SignalData(SignalKey(1, 2, 3), [1.25], [4.0], None, 2),
    ]
    assert library.through(items) == items


def test_frames_hold_only_signal_data(library: Library) -> None:
    with pytest.raises(InvalidInputError, match=r"items\[1\]"):
        library.write([SignalData(ONE, [1], [1.0]), "12.122.32"])


def test_columns_have_the_same_names_and_kinds_whatever_is_in_them() -> None:
    full = [SignalData(ONE, [1.5], [1.0], unit="V"), SignalData(OTHER, [MOMENT_MS], [1.0], None, None)]
    for items in (full, full[:1], full[1:], []):
        frame = to_pandas(items)
        assert list(frame.columns) == ["key", "time", "value", "type", "origin", "unit"]
        assert frame.dtypes.to_dict() == to_pandas(full).dtypes.to_dict()
        assert str(frame["time"].dtype) == "datetime64[us, UTC]"
        schema = to_polars(items).schema
        assert schema == to_polars(full).schema
        assert to_arrow(items).schema == to_arrow(full).schema


def test_a_pandas_frame_tells_which_signals_had_no_answer() -> None:
    frame = to_pandas([SignalData(ONE, [1], [1.0]), SignalData.missing(OTHER)])
    assert frame.attrs == {"absent": ["12.123.32"]}


def test_texts_beside_numbers_stay_what_they_are_in_pandas_and_become_json_elsewhere() -> None:
    items = [SignalData(ONE, [1], [1.5]), SignalData(OTHER, [2], ["open"])]
    assert from_pandas(to_pandas(items)) == items
    assert to_polars(items)["value"].to_list() == ["1.5", '"open"']


def test_the_index_of_a_pandas_frame_may_be_the_time() -> None:
    data = SignalData(ONE, [MOMENT_MS, MOMENT_MS + 1], [1.0, 2.0])
    assert from_pandas(data.to_pandas().assign(key="12.122.32")) == [data]


def test_rows_count_by_position_whatever_the_index_of_a_pandas_frame() -> None:
    frame = pd.DataFrame(rows(key=["12.122.32", "x"]), index=[7, 7])
    with pytest.raises(InvalidInputError) as caught:
        from_pandas(frame)
    assert caught.value.field == "key[1]"


def test_two_pandas_columns_of_one_name_are_refused() -> None:
    frame = pd.DataFrame([["12.122.32", 1, 1.0, 2.0]], columns=["key", "time", "value", "value"])
    with pytest.raises(InvalidInputError, match="two columns"):
        from_pandas(frame)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "int32", "float32", "int64[pyarrow]", "double[pyarrow]"])
def test_pandas_values_may_be_of_any_number_type(dtype: str) -> None:
    (found,) = from_pandas(pd.DataFrame(rows()).astype({"value": dtype}))
    assert found.value.dtype.kind in "if"
    assert found.value.tolist() == [1, 2]


def test_nulls_of_pandas_nullable_columns_are_null_readings() -> None:
    frame = pd.DataFrame(rows(value=pd.array([1, None], "Int64")))
    assert from_pandas(frame)[0].value.tolist() == [1, None]


def test_categories_are_as_good_as_texts() -> None:
    frame = pd.DataFrame(rows(unit=["V", "V"])).astype({"key": "category", "unit": "category"})
    expected = [SignalData(ONE, [1, 2], [1.0, 2.0], unit="V")]
    assert from_pandas(frame) == expected
    assert (
        from_polars(pl.DataFrame(rows(unit=["V", "V"])).cast({"key": pl.Categorical, "unit": pl.Categorical}))
        == expected
    )
    table = pa.table(rows(unit=["V", "V"]))
    for name in ("key", "unit"):
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    assert from_arrow(table) == expected


def test_structures_of_polars_and_arrow_are_json_values() -> None:
    values = [{"a": [1, 2]}, {"a": []}]
    assert from_polars(pl.DataFrame(rows(value=values)))[0].value.tolist() == values
    assert from_arrow(pa.table(rows(value=values)))[0].value.tolist() == values


def test_chunks_of_an_arrow_table_are_one_column() -> None:
    table = pa.concat_tables([pa.table(rows()), pa.table(rows(key=["12.123.32", "12.122.32"]))])
    assert [len(data) for data in from_arrow(table)] == [3, 1]


def test_no_signal_is_a_view_of_the_frame() -> None:
    value = np.array([1.0, 2.0])
    frame = pd.DataFrame(rows(), copy=False).assign(value=value)
    (found,) = from_pandas(frame)
    value[0] = 5.0
    assert not np.shares_memory(found.value, frame["value"].to_numpy())
    assert found.value.tolist() == [1.0, 2.0]


def test_frames_of_one_signal_of_many_and_of_pandas_can_be_merged() -> None:
    data = SignalData(SignalKey(12, 122, 32), [1_700_000_000_000, 1_700_000_900_000], [1.0, 2.0])
    own = pd.DataFrame({"celsius": [7.0]}, index=pd.to_datetime(["2023-11-14T22:00Z"], utc=True).rename("time"))
    own.index = pd.DatetimeIndex(own.index).as_unit("us")  # pandas 3 makes them so by itself
    for other in (own, to_pandas([data]).set_index("time"), to_pandas([]).set_index("time")):
        assert len(pd.merge_asof(data.to_pandas(), other, on="time")) == 2
