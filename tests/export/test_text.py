"""CSV and JSON lines, read again by others."""

import csv
import io
import json
from typing import Any

import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.export.rows import Times
from besmart_async.export.text import CsvSink, JsonLinesSink

KEY = SignalKey(12, 122, 32)
ODD: list[Any] = [0.1 + 0.2, 3, 'a "b", c\nd', True, None, {"x": [1, 2]}, -1e300]


def csv_of(data: SignalData, times: Times = "iso", *, escape_formulas: bool = False) -> str:
    stream = io.BytesIO()
    sink = CsvSink(stream, times, escape_formulas=escape_formulas)
    assert sum(sink.write(data)) == len(data)
    sink.finish()
    return stream.getvalue().decode()


def test_csv_is_one_reading_a_row() -> None:
    data = SignalData(KEY, [1577836800000, 1577837700000], [1.5, 2.0], origin=[1, 4], unit="kW.h")
    assert csv_of(data) == (
        "client_cid,sensor_mid,signal_type_moid,time,value,unit,type,origin\n"
        "12,122,32,2020-01-01T00:00:00Z,1.5,kW.h,DBL,1\n"
        "12,122,32,2020-01-01T00:15:00Z,2.0,kW.h,DBL,4\n"
    )
    assert csv_of(data, "both").splitlines()[1] == "12,122,32,2020-01-01T00:00:00Z,1577836800000,1.5,kW.h,DBL,1"
    assert csv_of(data, "ms").splitlines()[1] == "12,122,32,1577836800000,1.5,kW.h,DBL,1"


def test_every_line_break_within_a_text_is_quoted() -> None:
    texts = ["a\rb", "c\nd", "e\r\nf", "\r", "plain"]
    written = csv_of(SignalData(KEY, list(range(5)), texts, type="STR", unit="k\rW"))
    rows = list(csv.DictReader(io.StringIO(written, newline="")))
    assert [row["value"] for row in rows] == texts
    assert {row["unit"] for row in rows} == {"k\rW"}
    assert written.endswith("\n")
    assert not written.endswith("\r\n")


def test_texts_that_a_spreadsheet_would_run_can_be_escaped() -> None:
    run = ["=1+1", "+cmd|x", "-cmd", "@SUM(A1)", "\t=1"]
    plain: list[Any] = ["-5", "+1.5e3", "text", "", -2.5, 3, None]
    data = SignalData(KEY, list(range(12)), [*run, *plain], type="STR", unit="=x")
    escaped = list(csv.DictReader(io.StringIO(csv_of(data, escape_formulas=True), newline="")))
    assert [row["value"] for row in escaped] == [f"'{text}" for text in run] + [
        "-5",
        "+1.5e3",
        "text",
        "",
        "-2.5",
        "3",
        "",
    ]
    assert {row["unit"] for row in escaped} == {"'=x"}
    as_is = list(csv.DictReader(io.StringIO(csv_of(data), newline="")))
    assert [row["value"] for row in as_is][:5] == run


def test_any_value_stays_readable_as_csv() -> None:
    data = SignalData(KEY, list(range(len(ODD))), ODD, type="STR", origin=None)
    found = [row["value"] for row in csv.DictReader(io.StringIO(csv_of(data), newline=""))]
    assert float(found[0]) == ODD[0]
    assert found[1:] == ["3", 'a "b", c\nd', "true", "", '{"x":[1,2]}', "-1e+300"]


def test_any_value_is_itself_in_json_lines() -> None:
    stream = io.BytesIO()
    sink = JsonLinesSink(stream, "both")
    assert list(sink.write(SignalData(KEY, list(range(len(ODD))), ODD, type=None, unit="kW"))) == [len(ODD)]
    sink.finish()
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [one["value"] for one in found] == ODD
    assert found[1] == {
        "client_cid": 12,
        "sensor_mid": 122,
        "signal_type_moid": 32,
        "time": "1970-01-01T00:00:00.001Z",
        "unix_ms": 1,
        "value": 3,
        "unit": "kW",
        "type": None,
        "origin": 1,
    }


@pytest.mark.parametrize("sink", [CsvSink, JsonLinesSink])
def test_the_stream_stays_open(sink: type[CsvSink | JsonLinesSink]) -> None:
    stream = io.BytesIO()
    made = sink(stream, "iso")
    made.finish()
    del made
    assert not stream.closed
