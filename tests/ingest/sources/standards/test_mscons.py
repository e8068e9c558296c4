"""MSCONS: load profiles of German and Austrian market parties. The shapes are after BDEW's and edifactur's examples."""

from pathlib import Path

import pytest

from besmart_async.ingest import SourceError
from besmart_async.ingest.sources import sources_of
from besmart_async.ingest.sources.standards import MsconsSource
from tests.ingest.file_readings import FileReadings, readings_of

T0 = 1_717_192_800_000  # 2024-05-31T22:00Z
QUARTER = 900_000
METER = "DE0000000000000000000000000000001"


def quantity(
    status: str = "220", value: str = "12.5", start: str = "202405312200?+00", end: str = "202405312215?+00"
) -> str:
    return f"QTY+{status}:{value}'DTM+163:{start}:303'DTM+164:{end}:303'"


SECOND = quantity("67", "13.25", "202405312215?+00", "202405312230?+00")


def message(
    *body: str, meter: str = METER, obis: str = "1-1?:1.29.0:SRW", number: str = "1", end: str = "UNT+9+1'"
) -> str:
    head = (
        f"UNH+{number}+MSCONS:D:04B:UN:2.4c'BGM+7+DOC1+9'DTM+137:202406010600?+00:303'NAD+MS+9900000000001::293'UNS+D'"
    )
    return f"{head}NAD+DP'LOC+172+{meter}'LIN+1'PIA+5+{obis}'{''.join(body)}{end}"


def interchange(*messages: str, una: str = "", end: str | None = None) -> str:
    head = "UNB+UNOC:3+9900000000001:500+9900000000002:500+240602:0600+REF1++TL'"
    return f"{una}{head}{''.join(messages)}{f'UNZ+{len(messages)}+REF1' + chr(39) if end is None else end}"


def read(tmp_path: Path, text: str, mapping: str = "") -> FileReadings:
    path = tmp_path / "MSCONS_TL.txt"
    path.write_text(text, encoding="latin-1")
    return readings_of(path, mapping)


def test_quantities_are_readings_at_the_start_of_their_period(tmp_path: Path) -> None:
    found = read(tmp_path, interchange(message(quantity(), SECOND)))
    assert found.readings == {(METER, "1-1:1.29.0", "kWh"): [(T0, 12.5), (T0 + QUARTER, 13.25)]}
    assert found.rejects == []


def test_statuses_are_origins_and_unusable_values_are_left_out(tmp_path: Path) -> None:
    statuses = ("220", "67", "201", "Z18", "187", "79", "20")
    path = tmp_path / "m.edi"
    path.write_text(interchange(message(*map(quantity, statuses))), encoding="ascii")
    [page] = MsconsSource(path).pages()
    found = [page.chunk.text("origin", place) for place in range(len(page.chunk))]
    assert found[:6] == ["measured", "estimated", "estimated", "estimated", "predicted", "calculated"]
    assert [value for _, value in readings_of(path).readings[METER, "1-1:1.29.0", "kWh"]] == [12.5] * 6


def test_several_messages_meters_and_registers(tmp_path: Path) -> None:
    two = message(quantity(), "LIN+2'PIA+5+1-1?:2.29.0:SRW'", SECOND)
    other = message(quantity(value="-7"), meter="AT0010000000000000001000000000001", number="2", end="UNT+9+2'")
    found = read(tmp_path, interchange(two, other))
    assert {key: [value for _, value in readings] for key, readings in found.readings.items()} == {
        (METER, "1-1:1.29.0", "kWh"): [12.5],
        (METER, "1-1:2.29.0", "kWh"): [13.25],
        ("AT0010000000000000001000000000001", "1-1:1.29.0", "kWh"): [-7.0],
    }


def test_times_above_a_register_are_not_those_of_the_quantity_before(tmp_path: Path) -> None:
    period = "DTM+163:202404302200?+00:303'DTM+164:202405312200?+00:303'"
    other = f"NAD+DP'LOC+172+DE2'{period}LIN+1'{period}PIA+5+1-1?:1.29.0'"
    found = read(tmp_path, interchange(message(quantity(), other, SECOND)))
    assert found.by_meter == {METER: [(T0, 12.5)], "DE2": [(T0 + QUARTER, 13.25)]}


def test_offsets_other_than_utc_are_the_same_moments(tmp_path: Path) -> None:
    summer = quantity(start="202406010000?+02", end="202406010015?+02")
    assert read(tmp_path, interchange(message(summer))).by_meter == {METER: [(T0, 12.5)]}


def test_times_without_offset_need_a_zone(tmp_path: Path) -> None:
    """After edifactur#9: format 203 has no offset."""
    local = "QTY+220:12.5'DTM+163:202406010000:203'DTM+164:202406010015:203'"
    refused = read(tmp_path, interchange(message(local)))
    assert refused.readings == {}
    assert "has no UTC offset" in refused.rejects[0].reason
    mapping = '[time]\nzone = "Europe/Vienna"\nformat = "%d.%m.%Y %H:%M"\n'
    assert read(tmp_path, interchange(message(local)), mapping).by_meter == {METER: [(T0, 12.5)]}


def test_the_una_segment_says_the_marks_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    body = quantity().replace("?", "!").replace("12.5", "12,5")
    text = interchange(message(body, obis="1-1!:1.29.0:SRW"), una="UNA:+,! '").replace("?", "!")
    assert read(tmp_path, text.replace("'", "'\r\n")).by_meter == {METER: [(T0, 12.5)]}


def test_a_unit_in_the_message_counts_and_else_the_obis_code_says_it(tmp_path: Path) -> None:
    told = "QTY+220:0.0125:MWH'DTM+163:202405312200?+00:303'DTM+164:202405312215?+00:303'"
    reactive = message(quantity(), obis="1-1?:3.29.0")
    assert [key[2] for key in read(tmp_path, interchange(message(told))).readings] == ["MWh"]
    assert [key[2] for key in read(tmp_path, interchange(reactive)).readings] == ["kvarh"]


def test_a_register_has_the_moment_at_which_it_was_read(tmp_path: Path) -> None:
    reading = "QTY+220:4711'DTM+9:202405312200?+00:303'"
    found = read(tmp_path, interchange(message(reading, obis="1-1?:1.8.0")))
    assert found.readings == {(METER, "1-1:1.8.0", "kWh"): [(T0, 4711.0)]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (message(quantity("Z99")), "has the status 'Z99'"),
        (message(quantity(value="1,5")), "'1,5', which is not a number"),
        (message(quantity(), meter=""), "belongs to no metering point"),
        (message(quantity(), obis=""), "belongs to no register"),
        (message(quantity(), obis="7-1?:1.29.0"), "has no unit"),
        (message(quantity(), obis="1-1?:1.8.0"), "is about a period"),
        (message("QTY+220:1'DTM+163:202405312200?+00:303'"), "has only one end of its period"),
        (message("QTY+220:1'"), "has no time"),
        (message("QTY+220:1'DTM+9:202405312200?+00:303'"), "is not a register"),
        (message(quantity(start="20240531", end="20240601")), "is '20240531' in format '303'"),
        (message(quantity(start="202405322200?+00")), "is not a time"),
        (message(quantity(start="202405312230?+00")), "ends (DTM+164) before it starts"),
    ],
)
def test_a_quantity_that_is_not_certain_is_rejected(tmp_path: Path, text: str, reason: str) -> None:
    found = read(tmp_path, interchange(text))
    assert found.readings == {}
    assert len(found.rejects) == 1
    assert found.rejects[0].row > 9
    assert reason in found.rejects[0].reason


def test_a_message_that_is_cut_off_is_rejected_and_the_whole_ones_are_read(tmp_path: Path) -> None:
    cut = message(SECOND, meter="DE2", number="2", end="")
    found = read(tmp_path, interchange(message(quantity()), cut, end=""))
    assert found.by_meter == {METER: [(T0, 12.5)]}
    assert ["no end (UNT)" in reject.reason or "cut off" in reject.reason for reject in found.rejects] == [True, True]


def test_a_message_with_the_end_of_another_one_and_a_wrong_number_of_messages_are_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, interchange(message(quantity(), end="UNT+9+7'"), end="UNZ+3+REF1'"))
    assert found.readings == {}
    assert "that of another one" in found.rejects[0].reason
    assert "says 3 messages, and there are 1" in found.rejects[1].reason


def test_a_file_that_ends_within_a_segment_fails_after_what_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "m.edi"
    path.write_text(interchange(message(quantity())).removesuffix("'"), encoding="ascii")
    pages = MsconsSource(path).pages()
    assert len(next(pages).chunk) == 1
    with pytest.raises(SourceError, match=r"ends within segment 15 .*cut off"):
        next(pages)


def test_bytes_without_a_segment_end_are_not_gathered_without_end(tmp_path: Path) -> None:
    path = tmp_path / "m.edi"
    path.write_bytes(b"UNB+UNOC:3+" + b"x" * 300_000)
    with pytest.raises(SourceError, match="segment 1 does not end"):
        MsconsSource(path).check()


@pytest.mark.parametrize("kind", ["UTILMD", "INVOIC", "APERAK"])
def test_another_message_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.txt"
    path.write_text(interchange(message(quantity())).replace("MSCONS", kind), encoding="ascii")
    with pytest.raises(SourceError, match=f"holds an EDIFACT message of type {kind}; only MSCONS has readings"):
        sources_of([str(path)])
