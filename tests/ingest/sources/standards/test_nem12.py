"""NEM12: channels, days, qualities and what is refused. The shapes are after nem-reader's examples and issues."""

from pathlib import Path

import pytest

from besmart_async.ingest import SourceError
from besmart_async.ingest.sources import sources_of
from besmart_async.ingest.sources.layout import FileForm
from besmart_async.ingest.sources.standards import Nem12Source
from tests.ingest.file_readings import FileReadings, readings_of

MIDNIGHT = 1_717_164_000_000  # 2024-06-01T00:00+10:00
NMI = "NMI0000001"


def channel(suffix: str = "E1", minutes: int = 30, unit: str = "KWH") -> str:
    return f"200,{NMI},E1B1Q1,1,{suffix},N1,SERIAL1,{unit},{minutes},"


def day(*values: str, date: str = "20240601", quality: str = "A") -> str:
    return f"300,{date},{','.join(values)},{quality},,,20240602010000,"


def values(count: int, first: float = 1.0) -> list[str]:
    return [f"{first + place / 100:.2f}" for place in range(count)]


def file(tmp_path: Path, *records: str, end: str = "900\n", name: str = "data.csv") -> Path:
    path = tmp_path / name
    path.write_text("\n".join(["100,NEM12,202406020100,MDP1,RETAILER1", *records, end]), encoding="utf-8")
    return path


def read(tmp_path: Path, *records: str, mapping: str = "", end: str = "900\n") -> FileReadings:
    return readings_of(file(tmp_path, *records, end=end), mapping)


def origins(tmp_path: Path, *records: str) -> list[str]:
    [page] = Nem12Source(file(tmp_path, *records)).pages()
    return [page.chunk.text("origin", place) for place in range(len(page.chunk))]


def test_each_channel_is_a_signal_of_its_meter_in_its_unit(tmp_path: Path) -> None:
    found = read(
        tmp_path, channel("E1"), day(*values(48)), channel("B1"), day(*values(48, 5)), channel("Q1", unit="kVArh")
    )
    assert list(found.readings) == [(NMI, "E1", "KWH"), (NMI, "B1", "KWH")]
    assert found.rejects == []


def test_times_are_at_utc_plus_10_all_year_and_the_first_value_starts_at_midnight(tmp_path: Path) -> None:
    january = day(*values(48), date="20240101")
    found = read(tmp_path, channel(), january, day(*values(48)), mapping='[time]\nzone = "Australia/Sydney"\n').readings
    [readings] = found.values()
    assert readings[0] == (1_704_031_200_000, 1.0)
    assert readings[48:50] == [(MIDNIGHT, 1.0), (MIDNIGHT + 1_800_000, 1.01)]
    assert len(readings) == 96


@pytest.mark.parametrize(("minutes", "count"), [(5, 288), (15, 96), (30, 48)])
def test_the_interval_length_says_how_many_values_a_day_has(tmp_path: Path, minutes: int, count: int) -> None:
    [readings] = read(tmp_path, channel(minutes=minutes), day(*values(count))).readings.values()
    assert len(readings) == count
    assert readings[1][0] - readings[0][0] == minutes * 60_000


def test_a_day_with_another_number_of_values_is_refused_as_a_whole(tmp_path: Path) -> None:
    """After nem-reader#40: a 300 record that does not fit its interval length gave readings wrong times."""
    found = read(tmp_path, channel(minutes=30), day(*values(47)), "400,1,47,S53,,", day(*values(48), date="20240602"))
    assert [(reject.row, reject.column) for reject in found.rejects] == [(3, None)]
    assert "does not have 48 values" in found.rejects[0].reason
    assert [len(readings) for readings in found.readings.values()] == [48]


def test_qualities_are_origins(tmp_path: Path) -> None:
    for quality, origin in (("A", "measured"), ("S14", "estimated"), ("E52", "estimated"), ("F17", "corrected")):
        assert set(origins(tmp_path, channel(), day(*values(48), quality=quality))) == {origin}


def test_a_varying_quality_is_that_of_the_ranges_below_it(tmp_path: Path) -> None:
    varying = day(*values(48), quality="V")
    found = origins(tmp_path, channel(), varying, "400,1,40,A,,", "400,41,46,S53,,", "400,47,48,F14,,")
    assert found == ["measured"] * 40 + ["estimated"] * 6 + ["corrected"] * 2


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (["400,1,40,A,,"], "no 400 record says that of interval 41"),
        (["400,1,49,A,,"], "does not say a quality for some of the intervals 1 to 48"),
        (["400,9,4,A,,"], "does not say a quality"),
        (["400,1,48,V,,"], "does not say a quality"),
    ],
)
def test_a_day_whose_ranges_do_not_say_all_qualities_is_refused(tmp_path: Path, events: list[str], reason: str) -> None:
    found = read(tmp_path, channel(), day(*values(48), quality="V"), *events)
    assert found.readings == {}
    assert [reject.row for reject in found.rejects] == [3]
    assert reason in found.rejects[0].reason


def test_null_values_are_left_out(tmp_path: Path) -> None:
    blank = ["", *values(47)]
    [readings] = read(tmp_path, channel(), day(*blank, quality="V"), "400,1,2,N,,", "400,3,48,A,,").readings.values()
    assert readings[0] == (MIDNIGHT + 2 * 1_800_000, 1.01)
    assert len(readings) == 46


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (day("", *values(47)), "no value for interval 1"),
        (day("x", *values(47)), "'x', which is not a number"),
        (day("1e999", *values(47)), "too large"),
        (day(*values(48), date="20240631"), "no date"),
        (day(*values(48), quality="Z"), "does not have 48 values and then a quality"),
        ("301,1", "is not a NEM12 record"),
        ('300,"', "is not CSV"),
    ],
)
def test_a_record_that_cannot_be_read_is_rejected_with_its_line(tmp_path: Path, record: str, reason: str) -> None:
    found = read(tmp_path, channel(), record)
    assert [(reject.row, reject.record[-1][2]) for reject in found.rejects] == [(3, record)]
    assert reason in found.rejects[0].reason
    assert found.readings == {}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (channel(minutes=7), "interval length '7'"),
        (channel(unit=""), "has no unit"),
        (channel(suffix=""), "has no NMI suffix"),
        ("200,,E1,1,E1,N1,S,KWH,30,", "has no NMI"),
    ],
)
def test_a_channel_that_cannot_be_read_takes_its_days_with_it(tmp_path: Path, record: str, reason: str) -> None:
    found = read(tmp_path, channel(), record, day(*values(48)), "400,1,48,A,,")
    assert found.readings == {}
    assert [reject.row for reject in found.rejects] == [3, 4]
    assert reason in found.rejects[0].reason


def test_a_file_that_is_cut_off_says_so_and_keeps_its_whole_days(tmp_path: Path) -> None:
    found = read(tmp_path, channel(), day(*values(48)), end="")
    assert [len(readings) for readings in found.readings.values()] == [48]
    assert "cut off" in found.rejects[0].reason


def test_manual_readings_are_not_read_and_a_range_without_a_day_is_rejected(tmp_path: Path) -> None:
    found = read(tmp_path, channel(), day(*values(48)), "500,O,S01,20240602000000,123.4", "400,1,48,A,,")
    assert [(reject.row, reject.reason) for reject in found.rejects] == [(5, "follows no 300 record")]


def test_nem13_is_named(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("100,NEM13,202406020100,MDP1,RETAILER1\n250,NMI0000001,11,1,1,11,N\n900\n", encoding="utf-8")
    [source] = sources_of([str(path)])
    with pytest.raises(SourceError, match=r"is NEM13 \(accumulated"):
        source.check()


def test_options_about_columns_and_times_do_not_change_it(tmp_path: Path) -> None:
    mapping = (
        '[file]\nlayout = "wide"\nheader_row = 0\n[columns]\nmeter = 1\ndate = 2\n[wide]\nfirst = 3\nlast = 50\n'
        '[time]\nformat = "%Y%m%d"\ninterval = "end"\nresolution = "30min"\n[values]\ndecimal = ","\n'
    )
    [readings] = read(tmp_path, channel(), day(*values(48)), mapping=mapping).readings.values()
    assert readings[:2] == [(MIDNIGHT, 1.0), (MIDNIGHT + 1_800_000, 1.01)]


def test_a_meter_of_the_whole_file_contradicts_it(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"names its meters itself; leave out file\.meter"):
        sources_of([str(file(tmp_path, channel()))], FileForm(meter="M1"))


def test_small_pages_hold_each_reading_once(tmp_path: Path) -> None:
    days = [day(*values(48), date=f"202406{number:02d}") for number in range(1, 11)]
    pages = list(Nem12Source(file(tmp_path, channel(), *days), chunk_rows=100).pages())
    assert len(pages) > 3
    assert sum(len(page.chunk) for page in pages) == 480
