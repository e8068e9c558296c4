"""`besmart export` as a user calls it."""

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from besmart_async.cli.exits import Exit
from besmart_async.simulator import Simulator
from besmart_async.simulator.faults import Fault
from besmart_async.simulator.storage.seed import Seed

COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()", "export"]
OLD = "client_cid,sensor_mid,signal_type_moid,time,value,unit,type,origin\n"
DAY = ("--since", "2020-01-01T00:00Z", "--till", "2020-01-02T00:00Z")

pytestmark = pytest.mark.usefixtures("service")
Run = Callable[..., Any]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_day_goes_to_standard_output(besmart: Run) -> None:
    done = besmart("export", "12.122.32", "1.1.1", *DAY, "-o", "-")
    assert done.code == Exit.OK
    found = rows(done.out)
    assert [row["sensor_mid"] for row in found] == ["122"] * 96 + ["1"] * 96
    assert found[0] == {
        "client_cid": "12",
        "sensor_mid": "122",
        "signal_type_moid": "32",
        "time": "2020-01-01T00:00:00Z",
        "value": "10.01",
        "unit": "kW.h",
        "type": "DBL",
        "origin": "1",
    }
    assert "192 readings of 2 signals to standard output" in done.err
    assert "\x1b" not in done.err


@pytest.mark.parametrize("name", ["day.csv.gz", "day.parquet"])
def test_what_was_exported_can_be_ingested(besmart: Run, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert besmart("export", "12.122.32", "1.1.1", *DAY, "-o", path).code == Exit.OK
    done = besmart("ingest", path, "--simulate", "--verify", "--no-chart")
    assert done.code == Exit.OK
    assert "verified 192 of 192 distinct readings" in done.out


def test_a_sensor_means_the_signals_that_its_states_name(besmart: Run) -> None:
    done = besmart("export", "13.44143", *DAY, "-o", "-")
    assert done.code == Exit.OK
    assert "13.44143: 13.44143.32" in done.err
    assert "1 signal without readings in the period" in done.err


@pytest.mark.parametrize("name", ["1.1", "1.1.*"])
def test_where_no_state_names_any_every_signal_type_is_tried_in_silence(besmart: Run, name: str) -> None:
    done = besmart("export", name, *DAY, "-o", "-")
    assert done.code == Exit.OK
    assert {row["signal_type_moid"] for row in rows(done.out)} == {"1"}
    assert f"asking for each of the service's {len(Seed().signal_types)} signal types" in done.err
    assert "no answer" not in done.err


def test_signals_come_from_a_file_too_each_once(besmart: Run, tmp_path: Path) -> None:
    names = tmp_path / "signals.txt"
    names.write_text("# mine\n12.122.32\n\n 1.1.1  # the other\n", encoding="utf-8")
    done = besmart("export", "1.1.1", "--signals-from", names, *DAY, "-o", "-")
    assert [row["sensor_mid"] for row in rows(done.out)[::96]] == ["1", "122"]


def test_the_options_of_the_api_are_passed_on(besmart: Run) -> None:
    hourly = besmart("export", "1.1.1", *DAY, "-o", "-", "--delta-t", "60", "--unit", "2", "--origin", "1", "--last")
    found = rows(hourly.out)
    assert (len(found), found[0]["unit"]) == (24, "W.h")
    assert rows(besmart("export", "12.122.32", *DAY, "-o", "-", "--unit", "kW.h").out)[0]["unit"] == "kW.h"
    assert rows(besmart("export", "1.1.1", *DAY, "-o", "-", "--origin", "4").out) == []


def test_times_are_as_asked_for(besmart: Run) -> None:
    both = rows(besmart("export", "1.1.1", *DAY, "-o", "-", "--times", "both").out)[0]
    assert (both["time"], both["unix_ms"]) == ("2020-01-01T00:00:00Z", "1577836800000")
    assert rows(besmart("export", "1.1.1", *DAY, "-o", "-", "--times", "ms").out)[0]["time"] == "1577836800000"


def test_json_lines_are_asked_for_by_name_or_option(besmart: Run, tmp_path: Path) -> None:
    besmart("export", "1.1.1", *DAY, "-o", tmp_path / "a.jsonl.gz")
    named = gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).decode()
    assert besmart("export", "1.1.1", *DAY, "-o", "-", "--format", "jsonl").out == named
    assert json.loads(named.splitlines()[0])["sensor_mid"] == 1


def test_signals_that_cannot_be_read_are_named_with_code_3(besmart: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    done = besmart("export", "1.1.1", "99.1.1", *DAY, "-o", path, "--json")
    assert done.code == Exit.REJECTED
    assert json.loads(done.out)["absent"] == ["99.1.1"]
    assert "99.1.1: no answer" in besmart("export", "1.1.1", "99.1.1", *DAY, "-o", path).err
    assert len(rows(path.read_text())) == 96


def test_a_sensor_that_is_unknown_is_named_and_the_rest_is_written(besmart: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    done = besmart("export", "1.1.1", "12.999999", *DAY, "-o", path)
    assert (done.code, path.exists()) == (Exit.REJECTED, True)
    assert "12.999999: no answer; is there such a sensor?" in done.err
    told = json.loads(besmart("export", "1.1.1", "12.999999", *DAY, "-o", path, "--json").out)
    assert told["unknown_sensors"] == ["12.999999"]
    alone = besmart("export", "12.999999", *DAY, "-o", tmp_path / "b.csv")
    assert (alone.code, "is there such a sensor?" in alone.err) == (Exit.ERROR, True)
    assert not (tmp_path / "b.csv").exists()


def test_if_no_signal_can_be_read_it_fails_and_there_is_no_file(besmart: Run, tmp_path: Path) -> None:
    done = besmart("export", "99.1.1", *DAY, "-o", tmp_path / "a.csv")
    assert (done.code, list(tmp_path.iterdir())) == (Exit.ERROR, [])
    assert "99.1.1" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*DAY, "-o", "-"], "name at least one signal"),
        (["1.1.x", *DAY, "-o", "-"], "1.1.x"),
        (["1", *DAY, "-o", "-"], "such as 12.122.32"),
        (["x.y", *DAY, "-o", "-"], "write a signal as"),
        (["1.1.1", *DAY], "--output"),
        (["1.1.1", *DAY, "-o", "a.txt"], "say --format"),
        (["1.1.1", *DAY, "-o", "no/such/a.csv"], "there is no folder"),
        (["1.1.1", *DAY, "-o", "."], "is a folder"),
        (["1.1.1", "--since", "2020-01-01", "-o", "-"], "no UTC offset"),
        (["1.1.1", "--since", "1d", "--till", "2d", "-o", "-"], "is not before"),
        (["1.1.1", *DAY, "-o", "-", "--unit", "furlong"], "'furlong'"),
        (["1.1.1", *DAY, "-o", "-", "--delta-t", "0"], "delta_t"),
        (["1.1.1", *DAY, "-o", "-", "--signals-from", "none.txt"], "none.txt: cannot be read"),
        (["1.1.1", *DAY, "-o", "-", "--format", "xls"], "xls"),
    ],
)
def test_wrong_usage_is_explained_with_code_2(besmart: Run, arguments: list[str], words: str) -> None:
    done = besmart("export", *arguments)
    assert done.code == Exit.USAGE
    assert words in done.err
    assert "Traceback" not in done.err


def test_a_service_that_is_not_there_is_code_5_and_no_file(
    besmart: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESMART_BASE_URL", "http://127.0.0.1:1/api")
    done = besmart("export", "1.1.1", *DAY, "-o", tmp_path / "a.csv")
    assert (done.code, list(tmp_path.iterdir())) == (Exit.UNAVAILABLE, [])


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C otherwise")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_leaves_no_file_and_says_so(
    service: Simulator, tmp_path: Path, number: signal.Signals
) -> None:
    arrived = threading.Event()

    def noticed(_: object) -> bool:
        arrived.set()
        return True

    service.faults.add(
        Fault(
            operation="sensors.post_signals_data",
            latency_s=float("inf"),
            after=1,
            where=noticed,
        )
    )
    path = tmp_path / "a.csv"
    path.write_text(OLD)
    long = ("--since", "2018-01-01T00:00Z", "--till", "2024-01-01T00:00Z")
    with subprocess.Popen(
        [*COMMAND, "12.122.32", *long, "-o", str(path)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert arrived.wait(20)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    assert process.returncode == Exit.INTERRUPTED
    assert err == "interrupted: no file was made\n"
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {"a.csv": OLD}


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" | head -1', "sh", *COMMAND, "12.122.32", *DAY, "-o", "-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("client_cid,")
    assert "Traceback" not in done.stderr


def test_the_output_is_never_another_file_of_the_user(besmart: Run, tmp_path: Path) -> None:
    contents = {
        "signals.csv": "12.122.32\n",
        "mapping.csv": "# what the meters send\n[columns]\n",
        "meters.csv": "client_cid,sensor_mid,name\n1,1,M1\n",
        "rejects.csv": "rejected_file,rejected_row\n",
        "readings.csv": "client_cid,sensor_mid,signal_type_moid,time,value\n1,1,1,2020-01-01T00:00Z,1\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "link.csv").symlink_to("signals.csv")
    os.link(tmp_path / "signals.csv", tmp_path / "hard.csv")
    listed = ("--signals-from", tmp_path / "signals.csv")
    for name in ("signals.csv", "link.csv", "hard.csv"):
        done = besmart("export", *listed, *DAY, "-o", tmp_path / name)
        assert done.code == Exit.USAGE
        assert "that file is the list of --signals-from; name another" in done.err
    for name in ("mapping.csv", "meters.csv", "rejects.csv", "readings.csv"):
        done = besmart("export", *listed, *DAY, "-o", tmp_path / name)
        assert done.code == Exit.USAGE
        assert "that file is something else, not from an earlier run, and is left as it is; name another" in done.err
    assert {name: (tmp_path / name).read_text() for name in contents} == contents


def test_an_export_takes_the_place_of_the_one_before(besmart: Run, tmp_path: Path) -> None:
    for name, signal_name in (
        ("a.csv", "12.122.32"),
        ("a.csv", "1.1.1"),
        ("a.parquet", "1.1.1"),
        ("a.parquet", "1.1.1"),
    ):
        assert besmart("export", signal_name, *DAY, "-o", tmp_path / name).code == Exit.OK
    assert {row["client_cid"] for row in rows((tmp_path / "a.csv").read_text())} == {"1"}
