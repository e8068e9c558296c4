"""Surveys: what sorting finds is what looking at one reading after the other finds."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.check.survey import Survey
from besmart_async.ingest.spill import RECORD, Records, Spill

Row = tuple[int, int, int, float]  # signal, origin, time, value

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(0, 12), st.sampled_from([1.0, 2.0, 3.0])), max_size=60
)
REGISTERS = np.array([True, False, True, False])


def records(rows: list[Row]) -> Records:
    found = np.zeros(len(rows), RECORD)
    for place, (series, origin, time, value) in enumerate(rows):
        found[place] = series, origin, time * 60_000, value, 0, place + 2
    return found


def surveyed(rows: list[Row], in_memory: int, page: int) -> Survey:
    survey = Survey(lambda series: REGISTERS[series])
    with Spill(in_memory, parts=2) as spill:
        for start in range(0, len(rows), page):
            spill.add(records(rows[start : start + page]))
        for part in spill.parts():
            survey.add(part)
    return survey


def looked_at(rows: list[Row]) -> Counter[str]:
    """The same counts, the plain way."""
    counts: Counter[str] = Counter()
    newest: dict[int, int] = {}
    held: dict[tuple[int, int, int], float] = {}
    for series, origin, time, value in rows:
        counts["out of order"] += time < newest.get(series, -1)
        newest[series] = max(time, newest.get(series, -1))
        key = series, origin, time
        if key in held:
            counts["equal" if held[key] == value else "conflict"] += 1
        held[key] = value
    counts["distinct"] = len(held)
    for series in newest:
        times = sorted({time for (one, _, time) in held if one == series})
        steps = [after - before for before, after in pairwise(times)]
        usual = min(steps, key=lambda step: (-steps.count(step), step)) if steps else 0
        for step in steps:
            counts["gap"] += step // usual > 1
            counts["missing"] += max(0, step // usual - 1)
        for origin in (1, 2):
            values = [held[key] for key in sorted(held) if key[:2] == (series, origin)]
            falls = sum(after < before for before, after in pairwise(values))
            counts["falling"] += falls if REGISTERS[series] else 0
    counts["signals"] = len(newest)
    return counts


@given(ROWS, st.sampled_from([5, 1000]), st.sampled_from([1, 7, 100]))
def test_counts_are_those_of_a_plain_look_in_memory_and_on_disk(rows: list[Row], in_memory: int, page: int) -> None:
    survey = surveyed(rows, in_memory, page)
    assert +looked_at(rows) == +Counter(
        {
            "out of order": survey.out_of_order,
            "equal": survey.repeats_equal,
            "conflict": survey.repeats_conflicting,
            "distinct": survey.distinct,
            "gap": survey.gaps,
            "missing": survey.missing,
            "falling": survey.falling,
            "signals": survey.signals,
        }
    )
    assert sum(survey.resolutions.values()) == survey.signals


def test_places_name_the_row_that_shows_it() -> None:
    rows: list[Row] = [(0, 1, 0, 1.0), (0, 1, 1, 2.0), (0, 1, 2, 1.5), (0, 1, 5, 3.0), (0, 1, 4, 2.5), (0, 1, 5, 4.0)]
    found = {place.kind: place for place in surveyed(rows, 100, 100).spots}
    assert {kind: place.row for kind, place in found.items()} == {
        "out of order": 6,
        "conflict": 7,
        "falling": 4,
        "gap": 6,
    }
    assert (found["falling"].before, found["falling"].after) == (2.0, 1.5)
    assert (found["gap"].before, found["gap"].after) == (120_000, 240_000)
    assert found["out of order"].before == 300_000


def test_what_is_on_disk_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Spill(in_memory=1) as spill:
        spill.add(records([(0, 1, 0, 1.0), (300, 1, 0, 2.0)]))
        assert [path.name[:14] for path in tmp_path.iterdir()] == ["besmart-check-"]
        assert sorted(float(value) for part in spill.parts() for value in part["value"]) == [1.0, 2.0]
    assert list(tmp_path.iterdir()) == []
