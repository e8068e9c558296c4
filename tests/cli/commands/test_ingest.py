"""`besmart ingest` as a user calls it."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from besmart_async.cli.exits import Exit

DATA = Path(__file__).parents[3] / "examples" / "data"
COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()", "ingest"]

Run = Callable[..., Any]


def test_the_sample_is_verified_and_drawn(besmart: Run) -> None:
    done = besmart("ingest", *sorted(DATA.glob("*.csv.gz")), "--simulate", "--verify")
    assert done.code == Exit.OK
    assert done.err == ""
    assert "verified 96,799 of 96,799 distinct readings" in done.out
    assert "UK-2002 1.29.0 [kW.h] on Monday 2014-12-01 (UTC)" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert "\x1b" not in done.out


def test_json_is_all_there_is_on_standard_output(besmart: Run, csv_file: Callable[..., Path]) -> None:
    path = csv_file("M1,A+,2024-01-01T00:00Z,1,kWh", "M1,A+,never,1,kWh")
    done = besmart("ingest", path, "--simulate", "--verify", "--json")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["file", "reject", "report"]
    assert {event["phase"] for event in events if event["event"] == "progress"} == {"checking", "sending", "verifying"}
    report = events[-1]
    assert (report["accepted"], report["rejected"], report["verification"]["verified"]) == (1, 1, 1)
    assert done.code == Exit.REJECTED
    assert done.err == ""
    [reject] = [event for event in events if event["event"] == "reject"]
    assert reject["reason"].startswith("is not an ISO 8601 time")


def test_all_rejects_go_to_a_file(besmart: Run, csv_file: Callable[..., Path], tmp_path: Path) -> None:
    path = csv_file(*["M1,A+,never,1,kWh"] * 30)
    done = besmart("ingest", path, "--simulate", "--rejects", tmp_path / "rejects.csv")
    assert done.code == Exit.REJECTED
    assert "and 10 more rejected rows" in done.err
    with (tmp_path / "rejects.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == 30
    told = ("rejected_row", "rejected_column", "rejected_value", "meter", "obis", "time", "value", "unit")
    assert [found[0][name] for name in told] == ["2", "time", "never", "M1", "A+", "never", "1", "kWh"]
    assert found[0]["rejected_file"] == str(path)


def test_the_rejects_file_mended_ingests_with_the_same_command(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = csv_file(
        "M1;A+;31.03.2024;1,5;kWh",
        "M2;A+;2024-03-31T04:00;1,5;kWh",
        "M3;A+;2024-03-31T04:00;1,5",
        header="Meter No;OBIS Code;Timestamp;Reading;Unit",
    )
    rejects = tmp_path / "rejects.csv"
    options = ("--simulate", "--verify", "--time-zone", "Europe/Warsaw", "--decimal-comma", "--no-chart")
    done = besmart("ingest", path, *options, "--rejects", rejects)
    assert done.code == Exit.REJECTED
    text = rejects.read_text("utf-8")
    assert "rejected_line,Meter No,OBIS Code,Timestamp,Reading,Unit,origin,zone\n" in text
    first = text.replace("M1,A+,31.03.2024", "M1,A+,2024-03-31T04:00")
    rejects.write_text(first.replace(",,,,,,,\n", ',M3,A+,2024-03-31T04:00,"1,5",kWh,,\n'), encoding="utf-8")
    mended = besmart("ingest", rejects, *options, "--rejects", tmp_path / "more.csv")
    assert (mended.code, mended.err) == (Exit.OK, "")
    assert "verified 2 of 2" in mended.out
    same = besmart("ingest", rejects, *options, "--rejects", rejects)
    assert (same.code, "is being read" in same.err) == (Exit.USAGE, True)


def test_meters_named_by_key_and_by_table_work_with_the_embedded_service(
    besmart: Run, csv_file: Callable[..., Path]
) -> None:
    meters = csv_file("PL-1,12,7,1.8.0", header="meter,client_cid,sensor_mid,signal_type", name="meters.csv")
    path = csv_file("12.7,1704067200000,1", "PL-1,1704067200000,1", header="meter,time,value")
    done = besmart("ingest", path, "--simulate", "--verify", "--meters", meters, "--signal-type", "A+")
    assert done.code == Exit.OK
    assert "verified 1 of 1" in done.out


@pytest.mark.parametrize("how", ["--chart", "--no-chart", "--json"])
def test_the_day_is_drawn_to_a_file_whatever_the_terminal_shows(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path, how: str
) -> None:
    path = csv_file(*(f"M1,A+,2024-01-01T{hour:02}:00Z,{hour},kWh" for hour in range(24)))
    done = besmart("ingest", path, "--simulate", how, "--chart-file", tmp_path / "day.svg")
    assert (done.code, done.err) == (Exit.OK, "")
    assert ("│" in done.out) == (how == "--chart")
    drawn = (tmp_path / "day.svg").read_text("utf-8")
    assert "M1 1.8.0 [kW.h] on Monday 2024-01-01 (UTC)" in drawn


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["{file}", "--time-zone", "Mars"], "--time-zone: 'Mars' is no time zone"),
        (["{file}", "--encoding", "klingon"], "--encoding: 'klingon'"),
        (["{file}", "--meters", "none.csv"], "none.csv: cannot be opened"),
        (["{file}", "--rejects", "no/such/folder.csv"], "cannot be written"),
        (["{file}", "--dst", "guess"], "--dst"),
        (["{file}", "--max-rejects", "some"], "--max-rejects: 'some' is neither a number of rows"),
        (["{file}", "--checkpoint", "c.sqlite3"], "--checkpoint and --simulate exclude each other"),
        (["{file}", "--workers", "2"], "--workers cannot share the service of --simulate"),
        (["{file}", "--workers", "0"], "--workers"),
        (["{file}", "--verify=everything"], "--verify"),
        (["{file}", "--chart-file", "day.gif"], "'day.gif': give a name that ends with .png, .svg or .html"),
        (["{file}", "--chart-file", "no/day.png"], "--chart-file no/day.png: there is no folder no"),
        (["{file}", "--nonsense"], "--nonsense"),
        ([], "FILES"),
    ],
)
def test_wrong_usage_is_explained_with_code_2(
    besmart: Run, csv_file: Callable[..., Path], arguments: list[str], words: str
) -> None:
    path = csv_file("M1,A+,2024-01-01T00:00Z,1,kWh")
    done = besmart("ingest", *[argument.format(file=path) for argument in arguments], "--simulate")
    assert done.code == Exit.USAGE
    assert words in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


@pytest.mark.usefixtures("without_service")
def test_without_credentials_it_says_which_to_set(besmart: Run, csv_file: Callable[..., Path]) -> None:
    done = besmart("ingest", csv_file("1.1,A+,1704067200000,1,kWh"))
    assert done.code == Exit.AUTHENTICATION
    assert "BESMART_LOGIN" in done.err


@pytest.mark.usefixtures("service")
def test_a_real_service_is_taken_from_the_environment(besmart: Run, csv_file: Callable[..., Path]) -> None:
    path = csv_file("1.2,A+,1704067200000,1,kWh", "1.3,A+,1704067200000,1,kWh", "9.9,A+,1704067200000,1,kWh")
    done = besmart("ingest", path, "--verify", "--no-chart")
    assert done.code == Exit.REJECTED
    assert "verified 2 of 2 distinct readings" in done.out
    assert "row 4: 9.9 9.9.32 2024-01-01T00:00:00Z 1.0 kW.h refused by the service" in done.err


@pytest.mark.usefixtures("service")
def test_wrong_credentials_and_an_absent_service_have_codes_of_their_own(
    besmart: Run, csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = csv_file("1.2,A+,1704067200000,1,kWh")
    monkeypatch.setenv("BESMART_PASSWORD", "wrong-password")
    done = besmart("ingest", path)
    assert done.code == Exit.AUTHENTICATION
    assert "wrong-password" not in done.err
    monkeypatch.setenv("BESMART_BASE_URL", "http://127.0.0.1:1/api")
    assert besmart("ingest", path).code == Exit.UNAVAILABLE


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("environment", "arguments", "code", "words"),
    [
        ({"PASSWORD": "wrong"}, (), Exit.AUTHENTICATION, "401"),
        ({"LOGIN": "", "PASSWORD": "", "API_KEY": ""}, (), Exit.AUTHENTICATION, "besmart auth login"),
        ({"BASE_URL": "http://127.0.0.1:1/api"}, (), Exit.UNAVAILABLE, "cannot connect"),
        ({"BASE_URL": "http://127.0.0.1:1/api"}, ("--workers", "2"), Exit.UNAVAILABLE, "cannot connect"),
        ({}, ("--meters", "none.csv"), Exit.USAGE, "none.csv"),
        ({}, ("--max-rejects", "many"), Exit.USAGE, "many"),
    ],
)
def test_json_ends_with_a_report_however_the_run_fails(
    besmart: Run,
    csv_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: tuple[str, ...],
    code: Exit,
    words: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"BESMART_{name}", value)
    done = besmart("ingest", csv_file("1.2,A+,1704067200000,1,kWh"), *arguments, "--json")
    last = json.loads(done.out.splitlines()[-1])
    assert (last["event"], last["state"], done.code) == ("report", "failed", code)
    assert words in last["error"]


@pytest.mark.parametrize("limit", ["0", "0%"])
def test_no_rejects_at_all_may_be_asked_for_as_a_number_or_a_share(
    besmart: Run, csv_file: Callable[..., Path], limit: str
) -> None:
    path = csv_file("M1,A+,never,1,kWh", *[f"M1,A+,{1704067200000 + row},1,kWh" for row in range(300)])
    done = besmart("ingest", path, "--simulate", "--max-rejects", limit, "--json")
    report = json.loads(done.out.splitlines()[-1])
    assert (done.code, report["state"], report["accepted"]) == (Exit.ERROR, "failed", 0)
    assert report["error"] == "1 of 301 rows were rejected, more than the 0 allowed"


@pytest.mark.usefixtures("service")
def test_a_socks_proxy_of_the_environment_is_not_refused_because_of_aiohttp(
    besmart: Run, csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("BESMART_BASE_URL", "https://meters.invalid/api")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    done = besmart("ingest", csv_file("1.2,A+,1704067200000,1,kWh"))
    assert done.code in {Exit.USAGE, Exit.UNAVAILABLE}  # without the package for SOCKS, and with it
    assert "httpx[socks]" in done.err or "the proxy 127.0.0.1:1 of ALL_PROXY" in done.err
    assert "aiohttp" not in done.err


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("command", [("sensors", "types"), ("ingest", "{file}")])
def test_a_dead_proxy_is_named_with_its_variable(
    besmart: Run, csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("BESMART_BASE_URL", "https://meters.invalid/api")
    monkeypatch.setenv("HTTPS_PROXY", "http://ann:s3cret@127.0.0.1:1")
    path = csv_file("1.2,A+,1704067200000,1,kWh")
    done = besmart(*[word.format(file=path) for word in command])
    assert done.code == Exit.UNAVAILABLE
    assert "the proxy 127.0.0.1:1 of HTTPS_PROXY" in done.err
    assert "s3cret" not in done.err


def test_standard_input_is_read(csv_file: Callable[..., Path]) -> None:
    given = csv_file("M1,A+,2024-01-01T00:00Z,1,kWh").read_bytes()
    done = subprocess.run([*COMMAND, "-", "--simulate", "--verify"], input=given, capture_output=True, check=False)
    assert done.returncode == Exit.OK
    assert b"verified 1 of 1" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C otherwise")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_reports_and_ends_with_130(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "-", "--simulate"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    with process:
        # More than one page, so that the run has begun when it is interrupted; then silence.
        process.stdin.write("meter,obis,time,value\n")
        process.stdin.writelines(f"M1,A+,{1704067200000 + row},1\n" for row in range(120_000))
        process.stdin.flush()
        process.send_signal(number)
        assert process.wait(20) == Exit.INTERRUPTED
        assert "accepted" in process.stdout.read()
        told = process.stderr.read().splitlines()
        assert [line.partition(":")[0] for line in told] == ["stopping", "interrupted"]


def test_rejects_of_a_file_with_several_readings_in_a_row_are_mended_one_by_one(besmart: Run, tmp_path: Path) -> None:
    """A bad value, a bad time and an unknown type: each reading of a row is a reject with its own signal and value."""
    mapping, rejects, path = tmp_path / "m.toml", tmp_path / "rejects.csv", tmp_path / "M1_2024-07-01.csv"
    mapping.write_text(
        'file = { name = "{meter}_{date}.csv", skip = ["^Sum"] }\nvalues.unit = "kWh"\n'
        '[[series]]\npattern = "{signal}"\n[signals.names]\nIn = "1.8.0"\nOut = "2.8.0"\n',
        encoding="utf-8",
    )
    path.write_text("time,In,Out\n2024-07-01T00:00Z,1,x\nnever,3,4\n2024-07-01T01:00Z,5,\nSum,8,4\n", encoding="utf-8")
    command = ["--mapping", mapping, "--simulate", "--verify"]
    done = besmart("ingest", path, *command, "--rejects", rejects)
    assert done.code == Exit.REJECTED
    assert "verified 2 of 2 distinct readings" in done.out
    with rejects.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    told = [[row[name] for name in ("rejected_row", "meter", "signal", "time", "value")] for row in found]
    assert sorted(told) == [
        ["2", "M1", "Out", "2024-07-01T00:00Z", "x"],
        ["3", "M1", "In", "never", "3"],
        ["3", "M1", "Out", "never", "4"],
    ]
    text = rejects.read_text(encoding="utf-8").replace(",x,", ",2,").replace(",never,", ",2024-07-01T02:00Z,")
    rejects.write_text(text, encoding="utf-8")
    again = besmart("ingest", rejects, *command)
    assert again.code == Exit.OK, again.err
    assert "verified 3 of 3 distinct readings" in again.out


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"[columns]\n", b"meter,obis,time,value\n1.1,A+,1,1\n"])
def test_rejects_are_not_written_over_something_else(
    besmart: Run, csv_file: Callable[..., Path], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "other").write_bytes(content)
    path = csv_file("M1,A+,never,1,kWh")
    done = besmart("ingest", path, "--simulate", "--rejects", tmp_path / "other")
    assert (done.code, (tmp_path / "other").read_bytes()) == (Exit.USAGE, content)
    assert "is left as it is; name another" in done.err


@pytest.mark.usefixtures("service")
def test_one_file_is_not_named_for_two_things(besmart: Run, csv_file: Callable[..., Path], tmp_path: Path) -> None:
    path = csv_file("M1,A+,never,1,kWh")
    (tmp_path / "m.toml").write_text('[signals]\ndefault = "A+"\n')
    (tmp_path / "meters.csv").write_text("meter,client_cid,sensor_mid\nM1,1,1\n")
    (tmp_path / "link").symlink_to("meters.csv")
    for options, words in (
        (("--rejects", "m.toml", "--mapping", "m.toml"), "that file is the mapping file"),
        (("--rejects", "link", "--meters", "meters.csv"), "that file is the table of meters"),
        (("--rejects", "new", "--checkpoint", "new"), "that file is of the checkpoint"),
        (("--checkpoint", "m.toml"), "it is something else"),
        (("--checkpoint", "link", "--meters", "meters.csv"), "it is something else"),
    ):
        names = [word if word.startswith("--") else tmp_path / word for word in options]
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.suffix in {".csv", ".toml"}}
        done = besmart("ingest", path, *names)
        assert done.code == Exit.USAGE
        assert words in done.err
        assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_rejects_that_cannot_be_written_are_told_and_the_rest_is_sent(
    besmart: Run, csv_file: Callable[..., Path]
) -> None:
    path = csv_file("M1,A+,never,1,kWh", "M1,A+,2024-01-01T00:00Z,1,kWh")
    done = besmart("ingest", path, "--simulate", "--no-chart", "--rejects", "/dev/full")
    assert done.code == Exit.ERROR
    assert "accepted             1" in done.out
    assert "failed: /dev/full: 1 rejected rows are missing from this file (No space left on device)" in done.err
    assert besmart("check", path, "--rejects", "/dev/full").code == Exit.ERROR


def test_the_meter_of_all_rows_is_an_option(besmart: Run, tmp_path: Path) -> None:
    path, mapping = tmp_path / "f.csv", tmp_path / "m.toml"
    path.write_text("time,value\n2024-07-01T00:00Z,1\n", encoding="utf-8")
    done = besmart("ingest", path, "--meter", "M1", "--signal-type", "1.8.0", "--simulate", "--json")
    assert (done.code, json.loads(done.out.splitlines()[-1])["accepted"]) == (Exit.OK, 1)
    without = besmart("ingest", path, "--simulate")
    assert without.code == Exit.USAGE
    assert "if all rows are of one meter, say --meter or file.name" in without.err
    mapping.write_text('[[series]]\npattern = "{meter}"\n', encoding="utf-8")
    both = besmart("ingest", path, "--meter", "M1", "--mapping", mapping, "--simulate")
    assert both.code == Exit.USAGE
    assert "--meter says the meter of all rows, but the mapping file names columns for it" in both.err
    workers = besmart("ingest", path, "--mapping", mapping, "--workers", 2)
    assert workers.code == Exit.USAGE
    assert "several meters in a row; leave it out" in workers.err
