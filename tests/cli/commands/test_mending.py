"""Rejects, mended in their file and ingested with the same command, become what they ought to have been."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from besmart_async.cli.exits import Exit
from besmart_async.simulator import Simulator

Run = Callable[..., Any]
MIDNIGHT = datetime(2024, 10, 26, 22, tzinfo=UTC)  # in Warsaw, on a day of 25 hours
HOURS = [f"{hour:02}:00" for hour in range(24)]
COUNTED = [f"H{hour}" for hour in range(1, 25)]
MAPPING = '[file]\nheader_row = 2\ndelimiter = ";"\n[columns]\nmeter = 1\ndate = "Doba"\n[wide]\nfirst = 3\nlast = 26\n'


def mended(path: Path, values: dict[str, str]) -> None:
    """Write good values over the bad ones, behind the columns that tell what was wrong."""
    with path.open(newline="") as file:
        delimiter = ";" if ";" in file.readline() else ","
        file.seek(0)
        rows = list(csv.reader(file, delimiter=delimiter))
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(
            [*row[:6], *(values.get(cell, cell) for cell in row[6:])] for row in rows
        )


def stored(service: Simulator) -> dict[float, Any]:
    return {reading.time: reading.value for reading in service.stored(12, 122, 32)}


@pytest.mark.parametrize("longer", [False, True])
def test_counted_values_of_a_long_day(besmart: Run, service: Simulator, tmp_path: Path, longer: bool) -> None:
    path, rejects, mapping = tmp_path / "wide.csv", tmp_path / "rejects.csv", tmp_path / "m.toml"
    mapping.write_text(MAPPING)
    values = [str(hour) for hour in range(25)]
    bad = {3: "x", 24 if longer else 7: "y"}
    day = ";".join(bad.get(hour, value) for hour, value in enumerate(values))
    good = ";".join(["1"] * 24)
    path.write_text(
        f"exported by hand\nPPE;Doba;{';'.join(COUNTED)}\n12.122;2024-06-01;{good}\n12.122;2024-10-27;{day}\n"
    )
    command = ["--mapping", mapping, "--time-zone", "Europe/Warsaw", "--signal-type", "1.8.0", "--no-chart"]
    assert besmart("ingest", path, *command, "--rejects", rejects).code == Exit.REJECTED
    mended(rejects, {"x": values[3], "y": values[max(bad)]})
    done = besmart("ingest", rejects, *command)
    assert (done.code, done.err) == (Exit.OK, "")
    wanted = {(MIDNIGHT + timedelta(hours=hour)).timestamp() * 1000: float(hour) for hour in range(25)}
    found = stored(service)
    assert {time: found.get(time) for time in wanted} == wanted


def test_times_of_a_clock_that_come_twice(besmart: Run, service: Simulator, tmp_path: Path) -> None:
    path, rejects = tmp_path / "wide.csv", tmp_path / "rejects.csv"
    day = ",".join("x" if hour == 5 else str(hour) for hour in range(24))
    path.write_text(f"meter,date,{','.join(HOURS)}\n12.122,2024-10-27,{day}\n")
    command = ["--time-zone", "Europe/Warsaw", "--signal-type", "1.8.0", "--no-chart"]
    done = besmart("ingest", path, *command, "--rejects", rejects)
    assert "row 2: 02:00='2024-10-27 02:00' comes twice in Europe/Warsaw" in done.err
    mended(rejects, {"x": "5"})
    assert besmart("ingest", rejects, *command, "--dst", "earlier").code == Exit.OK
    found = stored(service)
    assert (found[(MIDNIGHT + timedelta(hours=2)).timestamp() * 1000]) == 2.0
    assert (found[(MIDNIGHT + timedelta(hours=6)).timestamp() * 1000]) == 5.0


def test_what_is_not_mended_is_told_again(besmart: Run, tmp_path: Path) -> None:
    path, rejects = tmp_path / "wide.csv", tmp_path / "rejects.csv"
    day = ",".join("x" if hour in (5, 7) else str(hour) for hour in range(24))
    path.write_text(f"meter,date,{','.join(HOURS)}\n12.122,2024-06-01,{day}\n")
    command = ["--simulate", "--time-zone", "Europe/Warsaw", "--signal-type", "1.8.0", "--no-chart"]
    besmart("ingest", path, *command, "--rejects", rejects)
    again = besmart("ingest", rejects, *command)
    assert again.code == Exit.REJECTED
    assert [line.split(": ")[1] for line in again.err.splitlines()] == [
        "05:00='x' is not a number",
        "07:00='x' is not a number",
    ]
