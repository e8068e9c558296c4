"""`besmart check` as a user calls it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from besmart_async.cli.exits import Exit

DATA = Path(__file__).parents[3] / "examples" / "data"
COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()", "check"]

Run = Callable[..., Any]


def test_the_sample_is_told_in_80_columns_without_colour(besmart: Run) -> None:
    done = besmart("check", DATA / "il-electricity.csv.gz", DATA / "uk-electricity.csv.gz")
    assert done.code == Exit.OK
    assert done.err == ""
    assert "rows            96,838 of 2 files" in done.out
    assert "period       from 2012-01-03T00:00Z to 2018-02-08T06:00Z (UTC)" in done.out
    assert "every        30 min      2 signals" in done.out
    assert "gaps                32 with 15,728 readings missing" in done.out
    assert "nothing since 2012-10-12T10:30Z" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "\x1b" not in done.out


def test_rejects_are_listed_with_code_3(besmart: Run) -> None:
    done = besmart("check", DATA / "clock-changes.csv", "--time-zone", "America/Chicago")
    assert done.code == Exit.REJECTED
    assert "row 98: time='2016-11-06T01:00:00' comes twice in America/Chicago" in done.err
    assert besmart("check", DATA / "clock-changes.csv", "--time-zone", "America/Chicago", "--dst", "infer").code == 0


def test_the_file_of_rejects_has_all_of_them_and_can_be_mended(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = csv_file(*(f"1.1,1-0:1.8.0,2024-06-01T00:{n:02}:00Z,x,kWh" for n in range(30)))
    rejects = tmp_path / "rejects.csv"
    done = besmart("check", path, "--rejects", rejects)
    assert done.code == Exit.REJECTED
    assert "and 10 more rejected rows; --rejects FILE lists all" in done.err
    text = rejects.read_text(encoding="utf-8")
    assert text.count("is not a number") == 30
    rejects.write_text(text.replace(",x,", ",1.5,"), encoding="utf-8")
    assert besmart("check", rejects).code == Exit.OK


def test_json_is_all_there_is_on_standard_output(besmart: Run) -> None:
    done = besmart("check", DATA / "uk-electricity.csv.gz", "--json")
    report = json.loads(done.out)
    assert (report["rows"], report["repeats_equal"], report["gaps"]) == (58_004, 39, 32)
    assert (report["since"], report["resolutions"]) == ("2012-01-03T00:00Z", {"1800000": 2})
    assert report["findings"][0]["kind"] == "gap"


def test_a_mapping_file_tells_what_the_files_mean_and_options_go_before_it(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = csv_file("M1;01.06.2024 00:00;1,5", header="PPE;Zeit;Wert")
    mapping = tmp_path / "m.toml"
    mapping.write_text(
        '[columns]\nmeter = "PPE"\ntime = "Zeit"\nvalue = "Wert"\n'
        '[time]\nzone = "Europe/Warsaw"\nformat = "%d.%m.%Y %H:%M"\n[values]\ndecimal = ","\n',
        encoding="utf-8",
    )
    report = json.loads(besmart("check", path, "--mapping", mapping, "--json").out)
    assert report["since"] == "2024-05-31T22:00Z"
    report = json.loads(besmart("check", path, "--mapping", mapping, "--time-zone", "UTC", "--json").out)
    assert report["since"] == "2024-06-01T00:00Z"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["{file}", "--mapping", "none.toml"], "none.toml: cannot be opened"),
        (["{file}", "--format", "xls"], "xls: is no format; known are csv, parquet, dsmr"),
        (["nothing/*.csv"], "no file matches"),
        (["{file}", "--time-zone", "Mars"], "--time-zone: 'Mars'"),
        ([], "FILES"),
    ],
)
def test_wrong_usage_is_explained_with_code_2(
    besmart: Run, csv_file: Callable[..., Path], arguments: list[str], words: str
) -> None:
    path = csv_file("M1,A+,2024-01-01T00:00Z,1,kWh")
    done = besmart("check", *[argument.format(file=path) for argument in arguments])
    assert done.code == Exit.USAGE
    assert words in done.err
    assert done.out == ""


def test_a_damaged_file_is_told_with_code_1(besmart: Run, tmp_path: Path) -> None:
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes((DATA / "il-electricity.csv.gz").read_bytes()[:-1000])
    done = besmart("check", cut)
    assert done.code == Exit.ERROR
    assert "failed: " in done.err
    assert "damaged or incomplete gzip data" in done.err


@pytest.mark.usefixtures("service")
def test_online_meters_types_and_units_are_looked_up(besmart: Run, csv_file: Callable[..., Path]) -> None:
    path = csv_file("1.2,A+,1704067200000,1,kWh", "M9,A+,1704067200000,1,kWh", "1.2,A+,1704067200000,1,V")
    assert besmart("check", path).code == Exit.OK
    done = besmart("check", path, "--online")
    assert done.code == Exit.REJECTED
    assert "row 3: meter='M9' is no known meter" in done.err
    assert "row 4: unit='V' cannot be converted to the signal type's kW.h" in done.err


def test_standard_input_is_checked() -> None:
    given = (DATA / "uk-electricity.csv.gz").read_bytes()
    done = subprocess.run([*COMMAND, "-"], input=given, capture_output=True, check=False)
    assert done.returncode == Exit.OK
    assert b"rows            58,004 of standard input" in done.stdout


def test_a_table_of_meters_among_the_files_of_a_folder_is_left_out_and_named(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    csv_file("1.1,1-0:1.8.0,2024-06-01T00:00Z,1,kWh")
    (tmp_path / "meters.csv").write_text("meter,client_cid,sensor_mid\nM1,1,1\n", encoding="utf-8")
    done = besmart("check", tmp_path)
    assert done.code == Exit.OK
    assert "meters.csv: a table of meters" in done.err
    done = besmart("ingest", tmp_path, "--simulate")
    assert done.code == Exit.OK
    assert "meters.csv: a table of meters" in done.err


def test_ends_of_periods_are_reported_at_their_starts_as_ingest_stores_them(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = csv_file("1.1,1-0:1.29.0,2024-06-01T01:00Z,1,kWh", "1.1,1-0:1.8.0,2024-06-01T01:00Z,1,kWh")
    mapping = tmp_path / "m.toml"
    mapping.write_text('[time]\ninterval = "end"\nresolution = "1h"\n', encoding="utf-8")
    report = json.loads(besmart("check", path, "--mapping", mapping, "--json").out)
    assert (report["since"], report["till"]) == ("2024-06-01T00:00Z", "2024-06-01T01:00Z")


def test_a_header_is_shown_with_its_own_delimiter(besmart: Run, csv_file: Callable[..., Path]) -> None:
    done = besmart("check", csv_file("M1;2024;1", header="PPE;Doba;Wert"))
    assert done.code == Exit.USAGE
    assert "the header is 'PPE;Doba;Wert' (delimiter ;)" in done.err


@pytest.mark.parametrize("said", ["", 'dst = "infer"\n', 'dst = "infer"\nends = "elapsed"\n'])
@pytest.mark.parametrize(("fits", "other", "again"), [("clock", "elapsed", "03:00"), ("elapsed", "clock", "02:00")])
def test_it_says_which_ends_of_periods_fit_where_an_hour_repeats(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path, fits: str, other: str, again: str, said: str
) -> None:
    labels = sorted(["01:00", "02:00", "03:00", again, "04:00", "05:00"])
    path = csv_file(*(f"M1,A+,2024-10-27 {label},1,kWh" for label in labels))
    (tmp_path / "m.toml").write_text(
        f'[time]\nzone = "Europe/Warsaw"\ninterval = "end"\nresolution = "1h"\n{said}', encoding="utf-8"
    )
    done = besmart("check", path, "--mapping", tmp_path / "m.toml")
    assert (
        f'time.ends    "{fits}" fits the hour that repeats (dst = "infer"); "{other}" would reject 3 more rows'
        in done.out
    )
    report = json.loads(besmart("check", path, "--mapping", tmp_path / "m.toml", "--json").out)
    assert report["rejected_by_ends"] == {fits: 0, other: 3}


def test_without_a_repeated_hour_or_ends_nothing_is_said_of_it(besmart: Run, csv_file: Callable[..., Path]) -> None:
    path = csv_file("M1,A+,2024-07-01 01:00,1,kWh", "M1,A+,2024-07-01 02:00,1,kWh")
    assert "time.ends" not in besmart("check", path, "--time-zone", "Europe/Warsaw").out
