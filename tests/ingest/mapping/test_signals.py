"""Mapping: signal types by any of their names, units in the service's writing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from besmart_async import SensorKey, SignalKey, SignalType
from besmart_async.ingest.mapping.meters import KnownMeters, Meter
from besmart_async.ingest.mapping.signals import Mapper, Resolved, SignalTypes, unit_symbol
from besmart_async.ingest.parse.parser import ParseOptions, Parser
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import CsvSource

TYPES = SignalTypes(
    [
        SignalType(signal_type_moid=32, symbol="A+", obis_mapping="1.8.0", unit_symbol="kW.h", unit_id=1),
        SignalType(signal_type_moid=34, symbol="profile", obis_mapping="1-0:1.29.0*255", unit_symbol="kW.h"),
        SignalType(signal_type_moid=40, symbol="T1", obis_mapping="1-0:2.8.0"),
        SignalType(signal_type_moid=41, symbol="T2", obis_mapping="1-1:2.8.0"),
        SignalType(symbol="without id"),
    ]
)


@pytest.mark.parametrize(
    ("name", "moid"),
    [
        ("32", 32),
        ("A+", 32),
        ("1.8.0", 32),
        ("1-0:1.8.0", 32),
        ("1-0:1.8.0*255", 32),
        ("1.8.0.255", 32),
        ("1.29.0", 34),
        ("1-0:1.29.0*255", 34),
        ("1-1:2.8.0", 41),
    ],
)
def test_a_signal_type_is_found_by_id_symbol_or_obis_code(name: str, moid: int) -> None:
    assert TYPES.find(name) == moid


def test_an_ambiguous_code_is_not_guessed() -> None:
    assert "40, 41" in str(TYPES.find("2.8.0"))


@pytest.mark.parametrize("name", ["9.9.9", "a+", "without id", "33"])
def test_an_unknown_type_is_told_with_those_known(name: str) -> None:
    assert "it knows 1.8.0" in str(TYPES.find(name))


@pytest.mark.parametrize(
    ("text", "symbol"),
    [("kWh", "kW.h"), ("Wh", "W.h"), ("MVAh", "MVA.h"), ("kvarh", "kvar.h"), ("kW.h", "kW.h"), ("V", "V"), ("", None)],
)
def test_units_are_written_as_the_service_writes_them(text: str, symbol: str | None) -> None:
    assert unit_symbol(text) == symbol


async def resolve(path: Path, mapper: Mapper) -> tuple[Resolved, list[Reject]]:
    [page] = CsvSource(path).pages()
    readings, rejects = Parser(ParseOptions()).parse(page.chunk)
    assert rejects == []
    return await mapper.resolve(readings)


async def test_rows_go_to_their_signal_and_the_others_are_rejected(csv_file: Callable[..., Path]) -> None:
    path = csv_file(
        "1.1,A+,1704067200000,1", "X,A+,1704067200000,1", "1.1,?,1704067200000,1", header="meter,obis,time,value"
    )
    resolved, rejects = await resolve(path, Mapper(KnownMeters(), TYPES))
    assert [resolved.targets[place].key for place in resolved.target] == [SignalKey(1, 1, 32)]
    assert [(reject.row, reject.column, reject.value) for reject in rejects] == [(3, "meter", "X"), (4, "obis", "?")]


async def test_the_row_decides_the_type_then_the_meter_then_the_option(csv_file: Callable[..., Path]) -> None:
    meters = KnownMeters({"A": Meter(SensorKey(1, 1), "profile"), "B": Meter(SensorKey(1, 2))})
    path = csv_file("A,32,1704067200000,1", "A,,1704067200000,1", "B,,1704067200000,1", header="meter,obis,time,value")
    resolved, rejects = await resolve(path, Mapper(meters, TYPES, "T1"))
    assert rejects == []
    assert [str(resolved.targets[place].key) for place in resolved.target] == ["1.1.32", "1.1.34", "1.2.40"]


async def test_without_any_type_rows_are_rejected(csv_file: Callable[..., Path]) -> None:
    path = csv_file("1.1,1704067200000,1", header="meter,time,value")
    _, [reject] = await resolve(path, Mapper(KnownMeters(), TYPES))
    assert "--signal-type" in reject.reason


async def test_names_of_one_signal_share_its_number(csv_file: Callable[..., Path]) -> None:
    meters = KnownMeters({"A": Meter(SensorKey(1, 1))})
    path = csv_file("A,A+,1704067200000,1", "1.1,1.8.0,1704067200000,1", header="meter,obis,time,value")
    resolved, _ = await resolve(path, Mapper(meters, TYPES))
    assert {target.number for target in resolved.targets} == {0}


REGISTER = SignalTypes(
    [
        SignalType(signal_type_moid=32, obis_mapping="1.8.0", is_incremental=True, unit_symbol="kW.h"),
        SignalType(signal_type_moid=34, obis_mapping="1.29.0", is_incremental=False, unit_symbol="kW.h"),
        SignalType(signal_type_moid=99, obis_mapping="96.1.0"),
    ]
)


async def resolved_of(path: Path, how: ParseOptions) -> tuple[Resolved, list[Reject]]:
    [page] = CsvSource(path).pages()
    readings, rejects = Parser(how).parse(page.chunk)
    assert rejects == []
    return await Mapper(KnownMeters(), REGISTER).resolve(readings)


async def test_periods_are_moved_from_their_end_to_their_start_and_registers_stay(
    csv_file: Callable[..., Path],
) -> None:
    path = csv_file("1.1,1.29.0,1704067200000,1", "1.1,1.8.0,1704067200000,1", header="meter,obis,time,value")
    resolved, _ = await resolved_of(path, ParseOptions(interval="end", resolution_ms=900_000))
    assert resolved.readings.time.tolist() == [1704066300000, 1704067200000]


async def test_values_are_converted_to_the_unit_of_their_signal_type_and_what_cannot_be_is_a_reject(
    csv_file: Callable[..., Path],
) -> None:
    units = ("Wh", "kWh", "", "MWh", "kW", "furlong")
    path = csv_file(*(f"1.1,1.8.0,1704067200000,1500,{unit}" for unit in units), "1.1,96.1.0,1704067200000,7,xyz")
    resolved, rejects = await resolved_of(path, ParseOptions())
    readings = resolved.readings
    assert readings.value.tolist() == [1.5, 1500.0, 1500.0, 1_500_000.0, 7.0]
    assert readings.unit is not None
    assert [readings.unit.text(row) for row in range(5)] == ["kW.h", "kW.h", "", "kW.h", "xyz"]
    assert [(reject.row, reject.column, reject.value) for reject in rejects] == [
        (6, "unit", "kW"),
        (7, "unit", "furlong"),
    ]


async def test_a_unit_for_all_rows_holds_where_the_row_has_none(csv_file: Callable[..., Path]) -> None:
    path = csv_file("1.1,1.8.0,1704067200000,1500,", "1.1,1.8.0,1704067200000,1,kWh")
    resolved, _ = await resolved_of(path, ParseOptions(unit="Wh"))
    assert resolved.readings.value.tolist() == [1.5, 1.0]
    path = csv_file("1.1,1.8.0,1704067200000,1500", header="meter,obis,time,value")
    resolved, rejects = await resolved_of(path, ParseOptions(unit="W"))
    assert len(resolved.readings) == 0
    assert str(rejects[0]) == f"{path} row 2: unit='W' cannot be converted to the signal type's kW.h"


async def test_the_files_own_names_of_signal_types_are_translated(csv_file: Callable[..., Path]) -> None:
    path = csv_file("1.1,Pobór,1704067200000,1", "1.1,x,1704067200000,1", header="meter,obis,time,value")
    resolved, rejects = await resolved_of(path, ParseOptions(signals={"Pobór": "1.29.0", "x": "nothing"}))
    assert [str(resolved.targets[place].key) for place in resolved.target] == ["1.1.34"]
    assert [(reject.value, reject.reason[:31]) for reject in rejects] == [("x", "is no signal type of the servic")]


async def test_values_are_multiplied_by_the_factor_of_their_meter(csv_file: Callable[..., Path]) -> None:
    meters = KnownMeters({"A": Meter(SensorKey(1, 1), factor=40.0), "B": Meter(SensorKey(1, 2), factor=2.0)})
    path = csv_file(
        "A,A+,1704067200000,1.5,kWh", "B,A+,1704067200000,2,Wh", "1.3,A+,1704067200000,3,kWh", "B,A+,1704067200000,1,V"
    )
    [page] = CsvSource(path).pages()
    readings, _ = Parser(ParseOptions(factors={"B": 2000.0})).parse(page.chunk)
    resolved, rejects = await Mapper(meters, TYPES).resolve(readings)
    values = dict(
        zip((str(resolved.targets[place].key) for place in resolved.target), resolved.readings.value, strict=True)
    )
    assert values == {"1.1.32": 60.0, "1.2.32": 4.0, "1.3.32": 3.0}
    assert [(reject.column, reject.value) for reject in rejects] == [("unit", "V")]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("1-0:1.8.0*255", None),
        ("1.8.0", None),
        ("1-1:1.8.0", None),
        ("1.0.1.8.0.255", None),
        ("1-0:1.8.0*01", "of billing period 1"),
        ("1.8.0&02", "of billing period 2"),
        ("1.8.0*00", "of billing period 0"),
        ("1-0:1.8.0.1", "of billing period 1"),
        ("6-1:1.8.0", "of heat"),
        ("7-0:1.8.0*255", "of gas"),
        ("8-1:1.8.0", "of water"),
        ("1-2:1.8.0", "of channel 2"),
    ],
)
def test_medium_channel_and_billing_period_of_an_obis_code_count(code: str, said: str | None) -> None:
    """After IEC 62056-61, and read-outs that have 1.8.0 and 1.8.0*01 one below the other."""
    found = REGISTER.find(code)
    assert found == 32 if said is None else (said in str(found) and "is no signal type of the service" in str(found))


def test_a_signal_type_of_another_medium_is_found_by_its_code() -> None:
    types = SignalTypes(
        [SignalType(signal_type_moid=1, obis_mapping="1.8.0"), SignalType(signal_type_moid=7, obis_mapping="7-0:1.8.0")]
    )
    assert types.find("7-0:1.8.0*255") == 7
    assert types.find("1-0:1.8.0") == 1
    assert "of heat" in str(types.find("6-0:1.8.0*255"))


async def test_two_channels_of_one_quantity_do_not_overwrite_each_other(csv_file: Callable[..., Path]) -> None:
    path = csv_file("1.1,1-0:1.8.0,1704067200000,1", "1.1,1-1:1.8.0,1704067200000,2", header="meter,obis,time,value")
    resolved, rejects = await resolved_of(path, ParseOptions())
    assert resolved.readings.value.tolist() == [1.0]
    assert [reject.reason for reject in rejects] == ["is of channel 1, and readings of channel 0 go to the same signal"]
