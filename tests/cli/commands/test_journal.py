"""`besmart journal` as a user calls it."""

import asyncio
import csv
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from besmart_async import BatchPolicy, SignalKey, UndeliveredError
from besmart_async.batching.write.writer import Writer
from besmart_async.cli.exits import Exit
from besmart_async.simulator import Fault, Simulator

Run = Callable[..., Any]
START = 1_577_836_800_000
WRITES = "sensors.put_signals_data"
COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()", "journal", "drain"]
OWNER = """
import asyncio, sys
from besmart_async.batching.write.writer import Writer

async def never(body, /):
    await asyncio.Event().wait()

async def main():
    async with Writer(never, journal=sys.argv[1]):
        print("open", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with 101 readings of two signals that the service knows, and one of a signal that it refuses."""
    path = tmp_path / "readings.journal"

    async def never(_: bytes, /) -> None:
        await asyncio.Event().wait()

    async def write() -> None:
        async with Writer(never, BatchPolicy(linger_s=60, close_timeout_s=0), journal=path) as writer:
            times = [START + minute * 60_000 for minute in range(100)]
            await writer.write(SignalKey(12, 122, 33), times, [0.5] * 100)
            await writer.write(SignalKey(12, 122, 35), START, 7.5, unit="kvar.h")
            await writer.write(SignalKey(99, 1, 33), START, 1.5)

    with pytest.raises(UndeliveredError):
        asyncio.run(write())
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
    for name, words in (("none", "no such file"), ("notes.txt", "no journal of a writer")):
        done = besmart("journal", command, tmp_path / name)
        assert (done.code, done.out) == (Exit.USAGE, "")
        assert words in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]


def test_a_journal_that_is_open_is_shown_with_its_owner_and_not_drained(
    besmart: Run, journal: Path, service: Simulator
) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(journal)], stdout=subprocess.PIPE, text=True) as owner:
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
