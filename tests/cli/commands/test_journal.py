"""`besmart journal` as a user calls it."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.batching.journal.file import JournalFile
from besmart_async.batching.journal.tracker import Tracker
from besmart_async.batching.write.validation import Reading
from besmart_async.cli.exits import Exit
from besmart_async.simulator import Fault, Simulator

Run = Callable[..., Any]
START = 1_577_836_800_000
WRITES = "sensors.put_signals_data"
COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()", "journal", "drain"]
OWNER = """
import sys
from besmart_async.batching.journal.file import JournalFile

file = JournalFile(sys.argv[1])
file.open()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with 101 readings of two signals that the service knows, and one of a signal that it refuses."""
    path = tmp_path / "readings.journal"
    file = JournalFile(path)
    file.open()
    times = [START + minute * 60_000 for minute in range(100)]
    file.append([SignalData(SignalKey(12, 122, 33), times, [0.5] * 100)])
    file.append([Reading(SignalKey(12, 122, 35), START, 7.5, "DBL", 1, "kvar.h")])
    file.append([Reading(SignalKey(99, 1, 33), START, 1.5, "DBL", 1, None)])
    file.close()
    return path


def mostly_refused(path: Path, readings: int = 600) -> Path:
    """One commit with many single readings, of which every other one is refused."""
    file = JournalFile(path)
    file.open()
    signals = [SignalKey(12, 122, 33), SignalKey(99, 1, 33)]
    file.append([Reading(signals[n % 2], START + n, float(n), "DBL", 1, None) for n in range(readings)])
    file.close()
    return path


def waiting(besmart: Run, journal: Path) -> int:
    """How many readings `status` says there are."""
    return int(json.loads(besmart("journal", "status", journal, "--json").out)["readings"])


def test_status_shows_what_waits_without_changing_anything(besmart: Run, journal: Path) -> None:
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in journal.parent.iterdir()}
    done = besmart("journal", "status", journal)
    assert (done.code, done.err) == (Exit.OK, "")
    shown = {" ".join(line.split()) for line in done.out.splitlines()}
    assert shown >= {
        "readings waiting 102",
        "signals 3",
        "commits 3",
        "oldest 2020-01-01T00:00:00Z",
        "newest 2020-01-01T01:39:00Z",
        "open no",
        "damaged no",
    }
    assert before == {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in journal.parent.iterdir()}


def test_status_tells_what_was_refused_and_not_reported(besmart: Run, tmp_path: Path) -> None:
    file, tracker = JournalFile(tmp_path / "journal"), Tracker(0)
    file.open()
    tracker.add(file.append([SignalData(SignalKey(12, 122, 33), range(10), [0.5] * 10)]), 0)
    tracker.refused([(0, 3)])
    file.append((), tracker.take())
    file.close()
    done = besmart("journal", "status", tmp_path / "journal")
    shown = {" ".join(line.split()) for line in done.out.splitlines()}
    assert shown >= {"readings waiting 7", "refused, not reported 3"}


def test_status_in_json(besmart: Run, journal: Path) -> None:
    done = besmart("journal", "status", journal, "--json")
    found = json.loads(done.out)
    assert (found["readings"], found["signals"], found["damaged"], found["owner"]) == (102, 3, False, None)
    assert found["files"] == {"readings.journal": journal.stat().st_size}


def test_status_says_what_can_be_salvaged_of_a_damaged_journal(besmart: Run, journal: Path) -> None:
    broken = journal.read_bytes()
    journal.write_bytes(b"x" * 100 + broken[100:])
    done = besmart("journal", "status", journal)
    assert done.code == Exit.OK
    assert "yes: its header is broken" in done.out
    assert "102" in done.out
    assert "the next writer salvages them" in done.out


@pytest.mark.usefixtures("without_service")
@pytest.mark.parametrize("command", ["status", "drain"])
def test_what_is_no_journal_is_wrong_usage(besmart: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "notes.txt").write_text("no journal at all")
    for name, words in (("none", "no such file"), ("notes.txt", "not the journal of a writer")):
        done = besmart("journal", command, tmp_path / name)
        assert (done.code, done.out) == (Exit.USAGE, "")
        assert words in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_a_journal_that_is_open_is_shown_with_its_owner_and_not_drained(
    besmart: Run, journal: Path, service: Simulator
) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(journal)], stdin=PIPE, stdout=PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "open\n"
        assert f"yes, by process {owner.pid}" in besmart("journal", "status", journal).out
        done = besmart("journal", "drain", journal)
        owner.kill()
    assert done.code == Exit.ERROR
    assert f"process {owner.pid} has it open: close that writer" in done.err
    assert service.stored(12, 122, 33) == []


def test_drain_delivers_and_lists_what_is_rejected(besmart: Run, journal: Path, service: Simulator) -> None:
    done = besmart("journal", "drain", journal)
    assert done.code == Exit.REJECTED
    assert "delivered          101 readings" in done.out
    assert done.err.startswith("rejected 99.1.33 2020-01-01T00:00:00Z 1.5 DBL 1: signals.write_bulk: 422")
    assert len(service.stored(12, 122, 33)) == 100
    assert waiting(besmart, journal) == 0
    again = besmart("journal", "drain", journal)
    assert (again.code, again.err) == (Exit.OK, "")


def test_a_commit_of_which_half_is_refused_is_drained_however_often_it_is_cut_off(
    besmart: Run, tmp_path: Path, service: Simulator
) -> None:
    """Whatever a run does not get done, its numbers add up to what waited before, and the next one goes on there."""
    path = mostly_refused(tmp_path / "journal")
    before, delivered, rejected = waiting(besmart, path), 0, 0
    for timeout in (0.2, 0.5, 1.0, 60.0):
        done = besmart("journal", "drain", path, "--timeout", timeout, "--json")
        report = json.loads(done.out)
        assert report["delivered"] + report["rejected"] + report["left"] == before
        assert report["left"] == waiting(besmart, path)
        before = report["left"]
        delivered, rejected = delivered + report["delivered"], rejected + report["rejected"]
    assert (delivered, rejected, before) == (300, 300, 0)
    assert len(service.stored(12, 122, 33)) == 300
    again = besmart("journal", "drain", path)
    assert (again.code, again.err) == (Exit.OK, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.usefixtures("service")
def test_rejects_that_cannot_be_written_down_end_the_run(besmart: Run, journal: Path) -> None:
    done = besmart("journal", "drain", journal, "--rejects", "/dev/full")
    assert done.code == Exit.ERROR
    assert "rejected readings cannot be written down: No space left on device" in done.err


@pytest.mark.usefixtures("service")
def test_rejected_readings_go_to_a_file_and_the_report_to_json(besmart: Run, journal: Path, tmp_path: Path) -> None:
    done = besmart("journal", "drain", journal, "--rejects", tmp_path / "rejects.csv", "--json")
    report = json.loads(done.out)
    assert (done.code, report["delivered"], report["rejected"], report["left"]) == (Exit.REJECTED, 101, 1, 0)
    with (tmp_path / "rejects.csv").open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert (row["signal"], row["time"], row["value"]) == ("99.1.33", "2020-01-01T00:00:00Z", "1.5")
    assert "unknown sensor" in row["reason"]


@pytest.mark.usefixtures("service")
def test_a_file_for_rejects_that_cannot_be_written_is_said_before_anything_is_sent(
    besmart: Run, journal: Path, tmp_path: Path
) -> None:
    assert besmart("journal", "drain", journal, "--rejects", tmp_path / "no" / "file.csv").code == Exit.USAGE
    assert waiting(besmart, journal) == 102


@pytest.mark.usefixtures("service")
def test_wrong_credentials_and_an_absent_service_leave_everything_in_the_journal(
    besmart: Run, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESMART_PASSWORD", "wrong-password")
    assert besmart("journal", "drain", journal).code == Exit.AUTHENTICATION
    monkeypatch.setenv("BESMART_BASE_URL", "http://127.0.0.1:1/api")
    assert besmart("journal", "drain", journal).code == Exit.UNAVAILABLE
    assert waiting(besmart, journal) == 102


def test_a_service_that_fails_until_the_time_is_over_is_unavailable(
    besmart: Run, journal: Path, service: Simulator
) -> None:
    service.faults.add(Fault(operation=WRITES, status=503))
    done = besmart("journal", "drain", journal, "--timeout", "0.5")
    assert done.code == Exit.UNAVAILABLE
    assert "failed: not everything was delivered within 0.5 s: signals.write_bulk: 503" in done.err
    assert "102 readings stay in the journal" in done.err
    assert waiting(besmart, journal) == 102


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C otherwise")
def test_an_interrupted_drain_says_what_stays(besmart: Run, journal: Path, service: Simulator) -> None:
    arrived = service.faults.add(Fault(operation=WRITES, latency_s=math.inf))
    with subprocess.Popen([*COMMAND, str(journal)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        while not arrived.hits and child.poll() is None:
            pass
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=30)
    assert child.returncode == Exit.INTERRUPTED
    assert "delivered            0 readings" in out
    assert "interrupted\n102 readings stay in the journal" in errors
    assert waiting(besmart, journal) == 102
