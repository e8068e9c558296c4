"""The progress of several workers as one.

The report as values that JSON can hold.
"""

from __future__ import annotations

import orjson

from besmart_async.ingest import Progress
from besmart_async.ingest.report import (
    UNKNOWN_SIGNAL,
    Difference,
    IngestReport,
    ListedRejects,
    Reject,
    Verification,
    merged_progress,
    merged_report,
)


def test_counts_add_up_and_the_one_that_is_least_far_tells_how_far_it_is() -> None:
    fast = Progress(phase="verifying", file="b", bytes_read=10, bytes_total=10, rows_read=5, accepted=5, in_flight=1)
    slow = Progress(phase="sending", file="a", bytes_read=4, bytes_total=10, rows_read=2, accepted=1, paused="gone")
    both = merged_progress([fast, slow])
    assert (both.phase, both.file, both.bytes_read, both.bytes_total) == ("sending", "a", 4, 10)
    assert (both.rows_read, both.accepted, both.in_flight, both.paused) == (7, 6, 1, "gone")


def test_a_report_is_json_with_all_its_parts() -> None:
    report = IngestReport(
        state="failed",
        files=("a.csv",),
        rows_read=3,
        accepted=2,
        rejected=1,
        seconds=0.5,
        rejects=(Reject("a.csv", 4, "value", "x", "is not a number"),),
        verification=Verification(
            expected=2, verified=1, differences=(Difference("1.1.32", "2024-01-01T00:00:00Z", 1, 1.0, None),)
        ),
        error=ValueError("no"),
    )
    plain = orjson.loads(orjson.dumps(report.as_dict()))
    assert plain["error"] == "no"
    assert plain["readings_per_s"] == 4
    assert plain["rejects"] == [
        {"file": "a.csv", "row": 4, "column": "value", "value": "x", "reason": "is not a number"}
    ]
    assert plain["verification"]["ok"] is False
    assert plain["verification"]["differences"][0]["found"] is None


def test_rejects_and_differences_read_as_sentences() -> None:
    assert str(Reject("a.csv", 4, "value", "x", "is not a number")) == "a.csv row 4: value='x' is not a number"
    assert str(Reject("a.csv", 4, None, "1,2", "has 2 fields")) == "a.csv row 4: 1,2 has 2 fields"
    assert str(Difference("1.1.32", "t", 1, 1.0, 2.0)) == "1.1.32 t origin 1: 1.0 came back as 2.0"


def test_a_report_without_time_has_no_rate() -> None:
    assert IngestReport(state="completed").readings_per_s == 0.0


def test_reports_of_workers_add_up_and_the_worst_state_counts() -> None:
    first = IngestReport(
        state="completed",
        files=("a.csv",),
        rows_read=3,
        accepted=2,
        rejected=1,
        distinct=2,
        meters=1,
        seconds=9.0,
        rejects=(Reject("a.csv", 9, None, "", "no"),),
        verification=Verification(expected=2, verified=2, requests=1),
    )
    second = IngestReport(
        state="interrupted",
        files=("a.csv",),
        rows_read=4,
        accepted=3,
        not_sent=1,
        distinct=3,
        meters=2,
        rejects=(Reject("a.csv", 2, None, "", "no"),),
        verification=Verification(expected=3, verified=1, requests=1),
        error=ValueError("no"),
    )
    both = merged_report([first, second], 5.0)
    assert (both.state, both.files, both.rows_read, both.accepted, both.distinct) == (
        "interrupted",
        ("a.csv",),
        7,
        5,
        5,
    )
    assert (both.rejected, both.not_sent, both.meters, both.seconds) == (1, 1, 3, 5.0)
    assert [reject.row for reject in both.rejects] == [2, 9]
    assert both.verification == Verification(expected=5, verified=3, requests=2)
    assert both.error is second.error
    unknown = merged_report([first, IngestReport(state="completed")], 5.0)
    assert (unknown.distinct, unknown.verification) == (None, None)


def test_a_name_that_is_no_signal_type_is_listed_once() -> None:
    listed = ListedRejects(3)
    for row in range(100):
        for name in ("E2", "B2"):
            listed.add(Reject("a.csv", row, "NMISuffix", name, f"{UNKNOWN_SIGNAL}; it knows 1.8.0"))
    assert [(reject.row, reject.value) for reject in listed.all] == [(0, "E2"), (0, "B2")]
    for row in range(2):
        listed.add(Reject("a.csv", row, "value", "x", "is not a number"))
    assert len(listed.all) == 3
