"""The report as values that JSON can hold."""

import orjson

from besmart_async.ingest.report import Difference, IngestReport, Reject, Verification


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
