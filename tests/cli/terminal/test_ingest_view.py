"""What programs and people are told."""

import json

import attrs
import pytest

from besmart_async.cli.terminal.ingest_view import JsonLines
from besmart_async.cli.terminal.progress import note
from besmart_async.ingest import IngestReport, Progress, Reject, Start


def test_programs_hear_of_progress_once_a_second_and_of_pauses_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    told = JsonLines(clock=lambda: now[0])
    told.start(Start("a.csv", "resumed", rows=5))
    told.progress(Progress(accepted=1))
    now[0] = 0.5
    told.progress(Progress(accepted=2))
    told.progress(Progress(accepted=2, paused="gone"))
    told.progress(Progress(accepted=2, paused="still gone"))
    told.progress(Progress(accepted=2))
    now[0] = 1.5
    told.progress(Progress(accepted=3))
    told.progress(Progress(accepted=3, phase="draining"))
    told.reject(Reject("a.csv", 2, "time", "x", "is no time", (("time", "time", "x"),)))
    told.stopping("stopping")
    told.report(IngestReport(state="completed", rows_read=5))
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == [
        "file",
        "progress",
        "paused",
        "resumed",
        "progress",
        "progress",
        "reject",
        "stopping",
        "report",
    ]
    assert events[2]["reason"] == "gone"
    assert [event["accepted"] for event in events if event["event"] == "progress"] == [1, 3, 3]
    assert events[6] == {
        "event": "reject",
        "file": "a.csv",
        "row": 2,
        "column": "time",
        "value": "x",
        "reason": "is no time",
    }


def test_people_see_what_requests_do_or_why_nothing_is_sent() -> None:
    step = Progress(requests=1200, in_flight=3, retries=2, skipped=10, rejected=1)
    assert note(step) == "1,200 requests, 3 in flight, 2 retries, 10 sent before, [red]1 rejected[/red]"
    paused = note(attrs.evolve(step, paused="no [route] " + "x" * 100))
    assert paused.startswith(r"[red]paused:[/red] no \[route] xxx")
    assert paused.endswith("…")
    assert note(attrs.evolve(step, phase="verifying")) == ""
