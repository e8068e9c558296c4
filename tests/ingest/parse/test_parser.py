"""Chunks to readings: each bad row gives one reject, with the column at fault."""

from collections.abc import Callable
from pathlib import Path

import pytest

from besmart_async.ingest.parse.parser import ParsedReadings, ParseOptions, Parser
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import CsvSource

HEADER = "meter,OBIS,Time,value,unit,origin,zone"


@pytest.fixture
def parse(csv_file: Callable[..., Path]) -> Callable[..., tuple[ParsedReadings, list[Reject]]]:
    def run(*rows: str, header: str = HEADER, how: ParseOptions | None = None) -> tuple[ParsedReadings, list[Reject]]:
        [page] = CsvSource(csv_file(*rows, header=header)).pages()
        return Parser(how or ParseOptions()).parse(page.chunk)

    return run


def test_good_rows_become_numbers(parse: Callable[..., tuple[ParsedReadings, list[Reject]]]) -> None:
    readings, rejects = parse(
        "1.1,A+,1704067200000,1.5,kWh,2,",
        "1.1,A+,2024-01-01T01:00,-2,kWh,Estimated,Europe/Warsaw",
        "1.1,,2024-01-01T00:30Z,0,,,",
    )
    assert rejects == []
    assert readings.time.tolist() == [1704067200000, 1704067200000, 1704069000000]
    assert readings.value.tolist() == [1.5, -2.0, 0.0]
    assert readings.origin.tolist() == [2, 4, 1]


def test_a_bad_row_is_one_reject_with_its_title_value_and_reason(
    parse: Callable[..., tuple[ParsedReadings, list[Reject]]],
) -> None:
    readings, rejects = parse(
        "1.1,A+,1704067200000,1.5,kWh,,",
        "1.1,A+,yesterday,x,kWh,,",
        ",A+,1704067200000,x,kWh,,",
        "1.1,A+,1704067200000,x,kWh,,",
        "1.1,A+,1704067200000,1,kWh,guessed,",
        "1.1,A+,2024-01-01,1,kWh,,Nowhere",
    )
    assert readings.rows.tolist() == [2]
    assert [(reject.row, reject.column, reject.value) for reject in rejects] == [
        (3, "Time", "yesterday"),
        (4, "meter", ""),
        (5, "value", "x"),
        (6, "origin", "guessed"),
        (7, "zone", "Nowhere"),
    ]


def test_the_order_of_rows_decides_a_repeated_hour_for_each_signal_alone(
    parse: Callable[..., tuple[ParsedReadings, list[Reject]]],
) -> None:
    how = ParseOptions(time_zone="Europe/Warsaw", dst="infer")
    rows = [f"{meter},{signal},2024-10-27T02:30,1,,," for signal in ("A+", "A-") for meter in ("1.1", "1.2")]
    readings, rejects = parse(*rows, *rows, how=how)
    assert rejects == []
    assert len(set(readings.time[:4].tolist())) == 1
    assert (readings.time[4:] - readings.time[:4]).tolist() == [3_600_000] * 4


def test_optional_columns_may_be_missing(parse: Callable[..., tuple[ParsedReadings, list[Reject]]]) -> None:
    readings, rejects = parse("1.1,1704067200000,1", header="meter,time,value")
    assert rejects == []
    assert (readings.signal, readings.unit, readings.zone) == (None, None, None)
    assert readings.origin.tolist() == [1]


def test_missing_values_and_ignored_signals_are_left_out_and_own_names_of_origins_are_known(
    parse: Callable[..., tuple[ParsedReadings, list[Reject]]],
) -> None:
    how = ParseOptions(missing=("-", "brak"), ignored=frozenset({"status"}), origins={"S": 4, "measured": 5})
    readings, rejects = parse(
        "1.1,A+,1704067200000,-,kWh,,",
        "1.1,A+,never,brak,kWh,,",
        "1.1,status,never,x,,,",
        "1.1,A+,1704067200000,1,kWh,s,",
        "1.1,A+,1704067200000,2,kWh,Measured,",
        "1.1,A+,1704067200000,,kWh,,",
        how=how,
    )
    assert (readings.rows.tolist(), readings.origin.tolist()) == ([5, 6], [4, 5])
    assert [(reject.row, reject.reason) for reject in rejects] == [(7, "is empty")]


def test_times_are_read_as_they_are_said_to_be_written(
    parse: Callable[..., tuple[ParsedReadings, list[Reject]]],
) -> None:
    how = ParseOptions(time_zone="Europe/Warsaw", time_format="%d.%m.%Y %H:%M")
    rows = [f"1.1,A+,{time},1,,," for time in ("01.01.2024 01:00", "1.1.2024 1:00", "2024-01-01T00:00Z", "")]
    readings, rejects = parse(*rows, how=how)
    assert readings.time.tolist() == [1704067200000] * 2
    assert [(reject.value, reject.reason) for reject in rejects] == [
        ("2024-01-01T00:00Z", "is not written as %d.%m.%Y %H:%M"),
        ("", "is empty"),
    ]


def test_options_are_written_as_earlier_versions_did_since_that_identifies_a_checkpoint() -> None:
    assert repr(ParseOptions(time_zone="UTC", missing=("-",), origins={"est": 4})) == (
        "Reading(time_zone='UTC', dst=None, time_format=None, interval='start', resolution_ms=None,"
        " decimal_comma=False, missing=('-',), unit=None, origins={'est': 4}, signals={}, ignored=frozenset())"
    )
