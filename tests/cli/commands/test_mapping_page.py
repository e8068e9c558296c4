"""The mapping file of the documentation, run as it stands there, with a file as it describes."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest

from besmart_async.simulator import Simulator
from tests.cli.conftest import Done
from tests.services import served_in_a_thread

PAGE = Path(__file__).parents[3] / "docs" / "mapping-files.md"
WARSAW = ZoneInfo("Europe/Warsaw")
METERS = ("590310600000000017", "590310600000000024", "PL-EID")


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    found = re.search(r"<!-- test: mapping -->\n```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found
    path = tmp_path / "mapping.toml"
    path.write_text(found[1], encoding="utf-8")
    (tmp_path / "meters.csv").write_text(f"meter,client_cid,sensor_mid\n{METERS[1]},12,123\n", encoding="utf-8")
    return path


def hours(day: date) -> int:
    start, end = (datetime(one.year, one.month, one.day, tzinfo=WARSAW) for one in (day, day + timedelta(days=1)))
    return round((end.timestamp() - start.timestamp()) / 3600)


def rows() -> Iterator[list[str]]:
    """Two meters and two registers over both changes of the clock in 2024, with a status that is no reading."""
    yield ["Raport dobowy"]
    yield ["PPE", "Kod OBIS", "Doba", *(f"H{n}" for n in range(1, 26))]
    for day in (date(2024, 3, 30), date(2024, 3, 31), date(2024, 6, 1), date(2024, 10, 27)):
        for meter in METERS[:2]:
            for signal in ("Pobór", "Status"):
                cells = [f"{n / 1000:.3f}".replace(".", ",") for n in range(1, hours(day) + 1)]
                yield [meter, signal, day.strftime("%d.%m.%Y"), *cells, *[""] * (25 - len(cells))]
    yield [METERS[0], "Pobór", "02.06.2024", "brak", "-", *["0,5"] * 22, ""]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "doby.csv"
    with path.open("w", encoding="cp1250", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows())
    return path


@attrs.frozen
class Told:
    """How a command with --json ended."""

    code: int
    report: dict[str, Any]
    rejected: list[dict[str, Any]]
    err: str


@pytest.fixture
def run(besmart: Callable[..., Done]) -> Callable[..., Told]:
    def told(*arguments: object) -> Told:
        done = besmart(*arguments, "--json")
        lines = [done.out] if arguments[0] == "check" else done.out.splitlines()  # an ingest tells one event a line
        events = [json.loads(line) for line in lines]
        rejected = [event for event in events if event.get("event") == "reject"]
        return Told(done.code, events[-1], rejected, done.err)

    return told


def with_our_sensors() -> Simulator:
    made = Simulator(seed=False)
    made.add_sensors(12, [122, 123])
    made.add_sensor(12, 130, sensor_eid=METERS[2])
    return made


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with served_in_a_thread(with_our_sensors, monkeypatch) as simulator:
        yield simulator


def test_the_mapping_file_of_the_documentation_ingests_such_a_file_through_both_changes_of_the_clock(
    run: Callable[..., Told], mapping: Path, data: Path
) -> None:
    told = run("ingest", data, "--mapping", mapping, "--simulate", "--verify")
    expected = 2 * (24 + 23 + 24 + 25) + 22
    assert (told.code, told.err) == (0, "")
    report = told.report
    assert (report["accepted"], report["rejected"], report["meters"]) == (expected, 0, 2)
    assert report["verification"]["verified"] == expected


def test_check_tells_what_it_is(run: Callable[..., Told], mapping: Path, data: Path) -> None:
    told = run("check", data, "--mapping", mapping)
    report = told.report
    assert told.code == 0
    assert (report["readings"], report["resolutions"]) == (2 * 96 + 22, {"3600000": 2})
    assert (report["since"], report["till"]) == ("2024-03-29T23:00Z", "2024-10-27T22:00Z")
    assert report["left_out"] == 2 * 96 + 2


def test_sensors_are_looked_through_by_their_eid_and_created_for_the_others(
    run: Callable[..., Told],
    mapping: Path,
    data: Path,
    tmp_path: Path,
    served: Simulator,
) -> None:
    text = data.read_bytes()
    data.write_bytes(text + f"{METERS[2]};Pobór;02.06.2024;{';'.join(['0,25'] * 24)};\r\n".encode("cp1250"))
    with data.open("ab") as file:
        file.write(f"NEW-1;Pobór;02.06.2024;{';'.join(['0,25'] * 24)};\r\n".encode("cp1250"))
    told = run("ingest", data, "--mapping", mapping)
    assert (told.code, told.report["rejected"]) == (3, 24)
    assert {(reject["value"], reject["reason"].partition(";")[0]) for reject in told.rejected} == {
        ("NEW-1", "is no known meter")
    }
    for _ in range(2):
        told = run("ingest", data, "--mapping", mapping, "--create-sensors", "--verify", "--restart")
        assert (told.code, told.report["rejected"], told.report["meters"]) == (0, 0, 4), told.err
    table = (tmp_path / "meters.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in table] == ["meter", METERS[1], "NEW-1"]
    made = [one for one in served.requests if one.method == "POST" and one.path.endswith("/sensors")]
    assert len(made) == 1


SERIES = """time;Import T1 kWh;A+ [kWh];;Total [kWh];
2024-07-01T00:00Z;1.5;2.5;estimated;4.0;
2024-07-01T00:15Z;1.6;;;1.6;
"""
WIDE = "Meter;OBIS;01.07.2024;02.07.2024;31.07.2024\nM1;1.8.0;1;2;3\n"


@pytest.mark.parametrize(
    ("number", "name", "text", "readings"),
    [
        (1, "usage.csv", "meter;time;zone;value\nM1;2024-11-03 01:00;N;1\nM1;2024-11-03 01:00;Y;2\n", 2),
        (2, "M1_2024-07-01.csv", "Einheit;kWh\n\ntime;value\n2024-07-01T00:00Z;1\n", 1),
        (3, "series.csv", SERIES, 3),
        (4, "wide.csv", WIDE, 3),
    ],
)
def test_the_other_mapping_files_of_the_page_read_what_they_describe(
    run: Callable[..., Told], tmp_path: Path, number: int, name: str, text: str, readings: int
) -> None:
    found = re.findall(r"<!-- test: mapping -->\n```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "m.toml").write_text(found[number], encoding="utf-8")
    (tmp_path / name).write_text(text, encoding="utf-8")
    told = run("check", tmp_path / name, "--mapping", tmp_path / "m.toml")
    assert (told.code, told.report["readings"], told.report["rejected"]) == (0, readings, 0), told.err
