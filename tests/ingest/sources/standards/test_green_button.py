"""Green Button: usage points, reading types, units, directions and qualities, in shapes after OpenESPI's examples."""

from pathlib import Path

import pytest

from besmart_async.ingest import SourceError
from besmart_async.ingest.sources import sources_of
from besmart_async.ingest.sources.layout import FileForm
from besmart_async.ingest.sources.standards import GreenButtonSource
from tests.ingest.file_readings import FileReadings, readings_of

T0 = 1_717_225_200
HOUR = 3600
ESPI = 'xmlns="http://naesb.org/espi"'
POINT = "/espi/1_1/resource/RetailCustomer/1/UsagePoint"


def entry(content: str, *links: tuple[str, str]) -> str:
    shown = "".join(f'<link rel="{rel}" href="{href}"/>' for rel, href in links)
    return f"<entry>{shown}<content>{content}</content></entry>"


def kind(uom: str = "72", power: str = "0", flow: str = "1", more: str = "", *links: tuple[str, str]) -> str:
    direction = f"<flowDirection>{flow}</flowDirection>" if flow else ""
    fields = f"{more}{direction}<powerOfTenMultiplier>{power}</powerOfTenMultiplier><uom>{uom}</uom>"
    return entry(f"<ReadingType {ESPI}><intervalLength>3600</intervalLength>{fields}</ReadingType>", *links)


def reading(start: object, value: object, quality: str = "") -> str:
    mark = f"<ReadingQuality><quality>{quality}</quality></ReadingQuality>" if quality else ""
    shown = "" if value is None else f"<value>{value}</value>"
    period = f"<timePeriod><duration>3600</duration><start>{start}</start></timePeriod>"
    return f"<IntervalReading>{mark}{period}{shown}</IntervalReading>"


def block(*readings: str, links: tuple[tuple[str, str], ...] = ()) -> str:
    interval = f"<interval><duration>86400</duration><start>{T0}</start></interval>"
    return entry(f"<IntervalBlock {ESPI}>{interval}{''.join(readings)}</IntervalBlock>", *links)


def feed(*entries: str, head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> str:
    return f'{head}<feed xmlns="http://www.w3.org/2005/Atom"><title>Usage</title>{"".join(entries)}</feed>'


def linked(point: str, number: str, *readings: str) -> list[str]:
    """A meter reading with one block, linked to a usage point and a reading type as utilities do."""
    meter = f"{POINT}/{point}/MeterReading/{number}"
    return [
        entry(f"<UsagePoint {ESPI}/>", ("self", f"{POINT}/{point}")),
        entry(f"<MeterReading {ESPI}/>", ("self", meter), ("related", f"/ReadingType/{number}")),
        block(*readings, links=(("self", f"{meter}/IntervalBlock/1"), ("up", f"{meter}/IntervalBlock"))),
    ]


def read(tmp_path: Path, *entries: str, mapping: str = "", name: str = "usage.xml") -> FileReadings:
    path = tmp_path / name
    path.write_text(feed(*entries), encoding="utf-8")
    return readings_of(path, mapping)


ONE = block(reading(T0, 974), reading(T0 + HOUR, 881))


def test_readings_are_at_unix_seconds_in_the_unit_of_their_type(tmp_path: Path) -> None:
    found = read(tmp_path, kind(), ONE)
    assert found.readings == {("usage", "Wh forward", "Wh"): [(T0 * 1000, 974.0), ((T0 + HOUR) * 1000, 881.0)]}
    assert found.rejects == []


@pytest.mark.parametrize(
    ("uom", "power", "unit", "value"),
    [
        ("72", "0", "Wh", 974.0),
        ("72", "3", "kWh", 974.0),
        ("72", "-3", "mWh", 974.0),
        ("72", "-5", "mWh", 9.74),
        ("72", "1", "Wh", 9740.0),
        ("72", "5", "kWh", 97400.0),
        ("38", "-2", "mW", 9740.0),
        ("169", "-5", "therm", 0.00974),
        ("42", "-3", "m3", 0.974),
    ],
)
def test_the_power_of_ten_is_a_prefix_as_far_as_there_is_one(
    tmp_path: Path, uom: str, power: str, unit: str, value: float
) -> None:
    [((_, _, found), readings)] = read(tmp_path, kind(uom, power), ONE).readings.items()
    assert (found, readings[0][1]) == (unit, value)


def test_directions_and_registers_are_signal_types_of_their_own(tmp_path: Path) -> None:
    forward, reverse = linked("A", "1", reading(T0, 1)), linked("A", "2", reading(T0, 2))
    total = linked("B", "3", reading(T0, 3))
    types = [
        kind("72", "0", "1", "", ("self", "/ReadingType/1")),
        kind("72", "0", "19", "", ("self", "/ReadingType/2")),
        kind("72", "0", "1", "<accumulationBehaviour>1</accumulationBehaviour>", ("self", "/ReadingType/3")),
    ]
    found = read(tmp_path, *forward, *reverse, *total, *types).readings
    assert {key[:2]: readings[0][1] for key, readings in found.items()} == {
        ("A", "Wh forward"): 1.0,
        ("A", "Wh reverse"): 2.0,
        ("B", "Wh forward register"): 3.0,
    }


def test_two_reading_types_never_become_one_signal(tmp_path: Path) -> None:
    hourly, daily = linked("A", "1", reading(T0, 1)), linked("A", "2", reading(T0, 24))
    types = [kind("72", "0", "1", "", ("self", f"/ReadingType/{number}")) for number in (1, 2)]
    found = read(tmp_path, *hourly, *daily, *types).readings
    assert {key[1] for key in found} == {
        "Wh forward 3600 s, ReadingType 1",
        "Wh forward 3600 s, ReadingType 2",
    }


def test_a_block_without_links_in_a_file_of_several_types_is_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, kind(), kind(flow="19"), ONE)
    assert found.readings == {}
    assert [reject.row for reject in found.rejects] == [1, 2]
    assert "links to no reading type" in found.rejects[0].reason


def test_without_a_direction_the_signal_type_is_what_the_user_says(tmp_path: Path) -> None:
    assert [key[1] for key in read(tmp_path, kind(flow=""), ONE).readings] == [""]


def test_the_only_kind_of_a_usage_point_may_be_what_the_user_says_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "gas.xml"
    path.write_text(feed(kind("169"), ONE), encoding="utf-8")
    [page] = GreenButtonSource(path).pages()
    assert page.chunk.standard is not None
    assert page.chunk.standard.signals["therm forward"] == ""
    types = [kind(uom, "0", "1", "", ("self", f"/ReadingType/{number}")) for number, uom in ((1, "72"), (2, "38"))]
    path.write_text(
        feed(*types, *linked("A", "1", reading(T0, 1)), *linked("A", "2", reading(T0, 2))), encoding="utf-8"
    )
    [page] = GreenButtonSource(path).pages()
    assert page.chunk.standard is not None
    assert "W forward" not in page.chunk.standard.signals


def test_the_meter_of_a_file_may_be_told(tmp_path: Path) -> None:
    assert list(read(tmp_path, kind(), ONE, mapping='[file]\nmeter = "M1"\n').by_meter) == ["M1"]
    several = [*linked("A", "1", reading(T0, 1)), *linked("B", "1", reading(T0, 2))]
    found = read(
        tmp_path, kind("72", "0", "1", "", ("self", "/ReadingType/1")), *several, mapping='[file]\nmeter = "M1"\n'
    )
    assert found.readings == {}
    assert "names no usage point, and the file has several" in found.rejects[0].reason


def test_qualities_are_origins(tmp_path: Path) -> None:
    path = tmp_path / "usage.xml"
    marks = {
        "": "measured",
        "17": "measured",
        "7": "corrected",
        "8": "estimated",
        "11": "calculated",
        "12": "predicted",
    }
    path.write_text(feed(kind(), block(*(reading(T0, 1, mark) for mark in marks))), encoding="utf-8")
    [page] = GreenButtonSource(path).pages()
    assert [page.chunk.text("origin", place) for place in range(len(marks))] == list(marks.values())


def test_a_reading_without_a_value_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, kind(), block(reading(T0, None), reading(T0 + HOUR, 2)))
    assert found.by_meter == {"usage": [((T0 + HOUR) * 1000, 2.0)]}
    assert found.rejects == []


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (reading("2024-06-01", 1), "which is not unix seconds"),
        (reading(T0 * 1000, 1), "which is not unix seconds"),
        (reading(T0, "1,5"), "'1,5', which is not a number"),
        (reading(T0, 1, "99"), "has the quality '99'"),
    ],
)
def test_a_reading_that_is_not_certain_is_rejected_with_its_number(tmp_path: Path, wrong: str, reason: str) -> None:
    found = read(tmp_path, kind(), block(reading(T0, 1), wrong))
    assert [reject.row for reject in found.rejects] == [2]
    assert reason in found.rejects[0].reason


@pytest.mark.parametrize(("uom", "power", "reason"), [("999", "0", "unit code"), ("72", "99", "powerOfTenMultiplier")])
def test_a_type_that_is_not_known_rejects_its_readings(tmp_path: Path, uom: str, power: str, reason: str) -> None:
    found = read(tmp_path, kind(uom, power), ONE)
    assert found.readings == {}
    assert all(reason in reject.reason for reject in found.rejects)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            feed(kind(), ONE, head='<!DOCTYPE lol [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'),
            "document type declaration",
        ),
        (feed(kind(), ONE)[:-40], "ends too early"),
        (feed(kind(), ONE).replace("</value>", "</wert>"), "is not well-formed XML"),
        (feed(kind()), "holds no interval readings"),
        (
            feed(f"<entry><content><UsagePoint {ESPI}>{'<a>' * 80}{'</a>' * 80}</UsagePoint></content></entry>"),
            "nested deeper",
        ),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "usage.xml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=reason):
        GreenButtonSource(path).check()


def test_a_folder_is_searched_for_green_button_among_its_xml_files(tmp_path: Path) -> None:
    (tmp_path / "usage.xml").write_text(feed(kind(), ONE), encoding="utf-8")
    (tmp_path / "other.xml").write_text("<settings/>", encoding="utf-8")
    assert [source.name for source in sources_of([str(tmp_path)])] == [str(tmp_path / "usage.xml")]


def test_standard_input_is_refused() -> None:
    with pytest.raises(SourceError, match="cannot be Green Button XML"):
        sources_of(["-"], FileForm(format="green-button"))
