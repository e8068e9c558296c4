"""`besmart check --suggest` as a user calls it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from besmart_async.cli.exits import Exit

DATA = Path(__file__).parents[2] / "examples" / "data"
Run = Callable[..., Any]


def test_only_the_mapping_file_is_on_standard_output_and_it_works(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = csv_file("1.1;01.07.2024 00:00;1,5", "1.1;01.07.2024 01:00;2,5", header="Zaehler;Zeit;Verbrauch kWh")
    done = besmart("check", path, "--suggest", "--time-zone", "UTC", "--signal-type", "1-0:1.8.0")
    assert done.code == Exit.OK
    assert "2 readings, 0 rejected rows" in done.err
    mapping = tmp_path / "m.toml"
    mapping.write_text(done.out, encoding="utf-8")
    assert besmart("ingest", path, "--mapping", mapping, "--simulate", "--verify").code == Exit.OK


def test_the_suggestion_for_the_samples_reads_them_whole(besmart: Run, tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text(besmart("check", DATA / "uk-electricity.csv.gz", "--suggest").out, encoding="utf-8")
    report = besmart("check", DATA / "uk-electricity.csv.gz", "--mapping", mapping)
    assert report.out == besmart("check", DATA / "uk-electricity.csv.gz").out


def test_further_files_are_held_against_the_mapping_of_the_first(besmart: Run, csv_file: Callable[..., Path]) -> None:
    one = csv_file("M1;2024-07-01 00:00;1,5", header="PPE;Zeit;kWh", name="a.csv")
    like = csv_file("M2;2024-07-01 00:00;1,5", header="PPE;Zeit;kWh", name="b.csv")
    other = csv_file("M2,2024-07-01 00:00,1.5", header="meter,time,value", name="c.csv")
    done = besmart("check", one, like, other, "--suggest")
    assert "b.csv: the same mapping, 1 reading" in done.err
    assert "c.csv: needs a mapping of its own" in done.err


@pytest.mark.parametrize("option", ["--json", "--online"])
def test_options_that_do_not_belong_are_refused(besmart: Run, csv_file: Callable[..., Path], option: str) -> None:
    done = besmart("check", csv_file(), "--suggest", option)
    assert done.code == Exit.USAGE
    assert f"leave out {option}" in done.err


def test_a_pipe_cannot_be_read_twice(besmart: Run) -> None:
    done = besmart("check", "-", "--suggest")
    assert done.code == Exit.USAGE
    assert "save it to a file" in done.err
