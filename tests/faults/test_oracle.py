"""The oracle itself: it notices each thing that may go wrong, and nothing that is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from besmart_async import DeliveryReport, InvalidInputError, Rejection, SignalData, SignalKey
from tests.faults.oracle import Oracle, Verdict
from tests.faults.told import REMOVAL, Told, What
from tests.faults.witness import told_of

KEY = SignalKey(9, 1, 34)


class Row(NamedTuple):
    value: Any
    type: str = "DBL"
    time: float = 1000
    origin: int = 1


def told(what: What, *values: float, kind: str = "DBL", readings: int | None = None, number: int = 0) -> Told:
    """Something told of the reading at 1000, value by value."""
    times = (1000.0,) * len(values)
    return Told(what=what, key=KEY, times=times, values=values, kind=kind, readings=readings, number=number)


def heard(*news: Told) -> Oracle:
    oracle = Oracle()
    for each in news:
        oracle.note(each)
    return oracle


def written(*values: float) -> list[Told]:
    """Writes that were accepted, one after the other."""
    return [told(what, value) for value in values for what in ("offered", "accepted")]


def verdict(oracle: Oracle, rows: Sequence[Row], *reports: DeliveryReport) -> Verdict:
    return oracle.verdict(lambda *_: rows, reports)


OFFERED, ACCEPTED = told("offered", 1.0), told("accepted", 1.0)
HANDED_BACK = {what: told(what, 2.0, readings=1) for what in ("rejected", "not_sent", "in_doubt")}
REMOVED = [told("offered", 0.0, kind=REMOVAL), told("accepted", 0.0, kind=REMOVAL)]
FLUSHED = [told("flushing", number=1), told("flushed", number=1)]


@pytest.mark.parametrize(
    ("news", "rows"),
    [
        (written(1.0), [Row(1.0)]),
        (written(1.0, 2.0), [Row(2.0)]),
        (written(1.0, 2.0), [Row(1.0), Row(1.0), Row(2.0)]),
        ([*written(1.0, 2.0), HANDED_BACK["in_doubt"], *FLUSHED], []),
        ([*written(1.0), told("offered", 2.0), HANDED_BACK["in_doubt"], *FLUSHED], []),
        ([OFFERED], []),
        ([OFFERED], [Row(1.0)]),
        ([*written(1.0, 2.0), HANDED_BACK["rejected"]], [Row(1.0)]),
        ([*written(1.0, 2.0), HANDED_BACK["rejected"]], []),
        ([*written(1.0, 2.0), HANDED_BACK["in_doubt"]], [Row(1.0), Row(2.0)]),
        ([*written(1.0, 2.0), HANDED_BACK["in_doubt"]], [Row(1.0)]),
        ([*written(1.0), told("offered", 2.0), told("refused", 2.0)], [Row(1.0)]),
        ([*written(1.0), *REMOVED], [Row(1.0), Row(0.0, REMOVAL)]),
        ([*REMOVED, *written(1.0), *REMOVED], [Row(0.0, REMOVAL), Row(1.0), Row(0.0, REMOVAL), Row(0.0, REMOVAL)]),
        ([*REMOVED, *written(1.0), *REMOVED], [Row(0.0, REMOVAL)]),
    ],
)
def test_what_is_right_is_clean(news: list[Told], rows: list[Row]) -> None:
    assert str(verdict(heard(*news), rows)).endswith("clean")


@pytest.mark.parametrize(
    ("news", "rows", "fault"),
    [
        (written(1.0), [], "lost"),
        (written(1.0, 2.0), [Row(1.0)], "lost"),
        ([*written(1.0), *FLUSHED, *written(2.0), HANDED_BACK["not_sent"]], [], "lost"),
        ([*written(1.0), *REMOVED], [Row(1.0)], "lost"),
        (written(1.0, 2.0), [Row(2.0), Row(1.0)], "wrong"),
        (written(1.0, 2.0), [Row(1.0), Row(2.0), Row(1.0), Row(2.0)], "out of order"),
        ([*written(1.0, 2.0), HANDED_BACK["rejected"]], [Row(1.0), Row(2.0)], "against our word"),
        ([OFFERED, told("refused", 1.0)], [Row(1.0)], "against our word"),
        (written(1.0), [Row(1.0), Row(7.0)], "strange"),
        (written(1.0), [Row(1.0), Row(1.0, time=2000)], "strange"),
    ],
)
def test_what_is_wrong_is_named(news: list[Told], rows: list[Row], fault: str) -> None:
    assert fault in verdict(heard(*news), rows).faults


def test_a_read_that_misses_what_was_acknowledged_is_stale() -> None:
    oracle = heard(*written(1.0), *FLUSHED)
    promise = oracle.promise(KEY)
    oracle.note(told("offered", 2.0))
    oracle.saw(KEY, promise, [(1000, 2.0, "DBL", 1)])
    oracle.saw(KEY, promise, [(1000, 1.0, None, None)])
    assert verdict(oracle, [Row(1.0)]).clean
    oracle.saw(KEY, promise, [])
    oracle.note(told("acknowledged", 2.0))
    oracle.saw(KEY, oracle.promise(KEY), [(1000, 1.0, "DBL", 1)])
    assert len(verdict(oracle, [Row(1.0), Row(2.0)]).stale) == 2


@pytest.mark.parametrize(
    ("numbers", "clean"),
    [
        ({"accepted": 3, "delivered": 2, "rejected": 1}, True),
        ({"accepted": 4, "delivered": 3, "rejected": 1}, True),
        ({"accepted": 5, "delivered": 4, "rejected": 1}, False),
        ({"accepted": 2, "delivered": 1, "rejected": 1}, False),
        ({"accepted": 3, "delivered": 3}, False),
        ({"accepted": 3, "delivered": 1, "rejected": 1, "in_doubt": 1}, False),
        ({"accepted": 3, "delivered": 1, "rejected": 1}, False),
    ],
)
def test_reports_must_add_up_to_what_was_told(numbers: dict[str, Any], clean: bool) -> None:
    oracle = heard(*written(1.0, 2.0), HANDED_BACK["rejected"], *written(3.0), told("offered", 4.0))
    assert verdict(oracle, [Row(3.0)], DeliveryReport(**numbers)).clean == clean


def test_a_rejection_that_stands_for_replaced_readings_counts_them() -> None:
    error = InvalidInputError("value", 1, "no")
    rejection = Rejection(SignalData(KEY, [1000, 2000], [2.0, 3.0]), error, "rejected", 5)
    assert [each.readings for each in told_of(rejection)] == [4, 1]


def test_a_log_is_read_up_to_a_line_that_was_not_finished() -> None:
    lines = [each.line() for each in [*written(1.0, 2.0), *FLUSHED]]
    oracle = Oracle()
    oracle.read([*lines, told("offered", 3.0).line()[:-5]])
    assert oracle.writes == 2
    assert verdict(oracle, [Row(2.0)]).clean
    assert verdict(oracle, [Row(1.0)]).lost


def test_a_long_run_forgets_what_is_settled() -> None:
    oracle = heard(*written(*map(float, range(1, 100))), *FLUSHED)
    oracle.forget()
    assert verdict(oracle, [Row(99.0)]).clean
    assert verdict(oracle, []).lost
    assert "strange" in verdict(oracle, [Row(98.0), Row(99.0)]).faults


def test_what_came_after_the_newest_acknowledged_write_is_not_forgotten() -> None:
    oracle = heard(*written(1.0, 2.0), *FLUSHED, told("offered", 3.0))
    oracle.forget()
    assert verdict(oracle, [Row(2.0)]).clean
    assert verdict(oracle, [Row(3.0)]).clean
    assert verdict(oracle, []).lost
    assert "strange" in verdict(oracle, [Row(1.0), Row(2.0)]).faults


def test_who_waits_for_ever_is_told() -> None:
    oracle = Oracle()
    oracle.unresolved("task 7")
    assert str(verdict(oracle, [])).splitlines()[1:] == ["unresolved: 1", "    task 7"]
