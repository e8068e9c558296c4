"""P1 telegrams: those that the library's own tests hold, and damaged ones."""

import gzip
from pathlib import Path

import pytest

from besmart_async.ingest.parse.parser import ParseOptions, Parser
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import Page, SourceError, TelegramSource, sources_of

SAMPLE = Path(__file__).parents[2] / "data" / "telegrams.p1"

Row = tuple[str, str, str, str, str]


def readings(page: Page) -> dict[int, Row]:
    chunk = page.chunk
    return {
        int(chunk.rows[place]): tuple(chunk.text(role, place) for role in ("meter", "signal", "time", "value", "unit"))  # type: ignore[misc]
        for place in range(len(chunk))
    }


def read(path: Path) -> Page:
    [page] = TelegramSource(path).pages()
    return page


def test_each_line_with_a_value_and_a_unit_is_a_reading_of_its_meter() -> None:
    found = readings(read(SAMPLE))
    assert found[6] == (
        "3960221976967177082151037881335713",
        "1-0:1.8.1",
        "2016-11-13T20:57:57+01:00",
        "1581.123",
        "kWh",
    )
    assert found[42] == ("K8EG004046395507", "1-0:1.8.1", "2017-01-02T19:20:02+01:00", "4.426", "kWh")
    assert found[82][2] == "2020-04-26T22:33:25+02:00"


def test_a_gas_meter_behind_it_has_its_own_name_and_time() -> None:
    found = readings(read(SAMPLE))
    assert found[116] == ("G0039001936990619", "0-2:24.2.1", "2020-04-26T22:30:01+02:00", "246.138", "m3")
    assert found[152] == ("7FLO2119033733", "0-1:24.2.3", "2020-05-12T13:45:58+02:00", "112.384", "m3")


def test_old_meters_tell_no_time_except_that_of_the_gas_meter() -> None:
    page = read(SAMPLE)
    old = [reject for reject in page.rejects if "tells no time" in reject.reason]
    assert [reject.row for reject in old] == [160, 161, 162, 163, 165, 166, 167]
    assert page.rejects == tuple(old)
    assert readings(page)[173] == ("2222ABCD123456789", "0-1:24.3.0", "2009-02-12T16:00:00", "1.001", "m3")


def test_a_clock_without_summer_or_winter_mark_needs_a_zone_like_any_other() -> None:
    chunk = read(SAMPLE).chunk
    refused = Parser(ParseOptions()).parse(chunk)[1]
    assert [(reject.row, reject.reason[:17]) for reject in refused] == [(173, "has no UTC offset")]
    taken, rejects = Parser(ParseOptions(time_zone="Europe/Amsterdam")).parse(chunk)
    assert rejects == []
    assert len(taken) == len(chunk)
    assert taken.time[-1] == 1234450800000


def test_a_telegram_with_a_wrong_checksum_is_refused_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "damaged.p1"
    path.write_bytes(SAMPLE.read_bytes().replace(b"001581.123", b"001581.124"))
    page = read(path)
    assert page.rejects[0] == Reject(
        str(path), 1, None, "/KFM5KAIFA-METER", "begins a telegram whose checksum is wrong"
    )
    assert min(readings(page)) > 36


def test_a_telegram_that_is_cut_off_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    whole = SAMPLE.read_bytes().split(b"\r\n")
    path = tmp_path / "cut.p1"
    path.write_bytes(b"\r\n".join([*whole[:20], *whole[36:60]]))
    page = read(path)
    assert [(reject.row, reject.reason) for reject in page.rejects] == [
        (1, "begins a telegram that is cut off"),
        (21, "begins a telegram that is cut off"),
    ]
    assert len(page.chunk) == 0


def test_packed_logs_with_other_line_ends_are_read_the_same(tmp_path: Path) -> None:
    path = tmp_path / "log.dsmr.gz"
    path.write_bytes(gzip.compress(SAMPLE.read_bytes().replace(b"\r\n", b"\n")))
    [source] = sources_of([str(path)])
    [page] = source.pages()
    assert readings(page) == readings(read(SAMPLE))


def test_what_comes_before_damage_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.p1.gz"
    path.write_bytes(gzip.compress(SAMPLE.read_bytes() * 500)[:-20])
    read_on = TelegramSource(path, chunk_rows=10_000_000).pages()
    assert len(next(read_on).chunk) > 20_000
    with pytest.raises(SourceError, match="damaged or incomplete gzip data"):
        next(read_on)
