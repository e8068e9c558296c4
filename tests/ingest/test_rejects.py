"""What a rejected row holds, for whoever mends it."""

import numpy as np
import pytest

from besmart_async.ingest import FileForm, Reject
from besmart_async.ingest.rejects import RowRecords
from besmart_async.ingest.sources.columns import Chunk, Coder, DaySlots
from besmart_async.ingest.sources.layout import ROLES, TOLD, Layout, form_of_rejects, slots_of

TITLES = {"meter": "PPE", "time": "Zeit", "value": "kWh"}
LONG = Chunk("a.csv", np.array([2, 3]), Coder().encode(["M1", "M2"]), ["x", "y"], ["1", "2"], titles=TITLES)


def wide() -> Chunk:
    """Two rows of three slots, as they come: slot by slot; row 2 has no value in the second."""
    rows = np.array([2, 3, 3, 2, 3])
    slots = slots_of(["00:00", "08:00", "16:00"], range(2, 5))
    days = DaySlots(Coder().encode(["d2", "d3", "d3", "d2", "d3"]), np.array([0, 0, 1, 2, 2]), slots)
    meters = Coder().encode(["M1"] * 5)
    return Chunk("w.csv", rows, meters, days, ["2a", "3a", "3b", "2c", "3c"], titles={"meter": "PPE", "time": "Doba"})


def test_a_row_of_one_reading_is_told_by_its_columns() -> None:
    found = RowRecords(LONG).add_to(Reject("a.csv", 3, "kWh", "2", "is odd"))
    assert found.record == (("meter", "PPE", "M2"), ("time", "Zeit", "y"), ("value", "kWh", "2"))


def test_a_row_of_a_day_is_told_whole_with_its_first_reject_only() -> None:
    places = RowRecords(wide())
    first = places.add_to(Reject("w.csv", 2, "16:00", "2c", "is odd"))
    again = places.add_to(Reject("w.csv", 2, "00:00", "2a", "is odd"))
    assert first.record == (
        ("meter", "PPE", "M1"),
        ("time", "Doba", "d2"),
        ("slot", "00:00", "2a"),
        ("slot", "08:00", ""),
        ("slot", "16:00", "2c"),
    )
    assert again.record == ()


@pytest.mark.parametrize(("row", "column", "place"), [(2, "16:00", 3), (3, "08:00", 2), (3, None, 1)])
def test_a_reject_is_found_among_the_readings_of_its_row(row: int, column: str | None, place: int) -> None:
    assert RowRecords(wide()).index_of(Reject("w.csv", row, column, "", "is odd")) == place


def test_a_line_that_is_no_row_keeps_its_text_beside_the_columns_it_ought_to_have() -> None:
    found = RowRecords(LONG).add_to_misfit(Reject("a.csv", 4, None, "M1", "is short", (("line", "", "M1;long"),)))
    assert found.record == (("meter", "PPE", ""), ("time", "Zeit", ""), ("value", "kWh", ""), ("line", "", "M1;long"))
    wide_one = RowRecords(wide()).add_to_misfit(Reject("w.csv", 4, None, "M1;2", "is short"))
    assert [role for role, _, _ in wide_one.record] == ["meter", "time", "slot", "slot", "slot", "line"]


def test_a_file_of_rejects_is_read_by_its_own_order_whatever_the_files_were_like() -> None:
    form = FileForm(columns={"meter": (7,), "time": ("wann",)}, first_slot=3, last_slot="z", kind="wide")
    long = [*TOLD, "Zähler", "OBIS", "wann", "x", "unit", "origin", "zone"]
    layout = Layout.of(long, form_of_rejects(form, len(long)))
    assert [layout.positions[role] for role in ROLES] == list(range(6, 13))
    assert (layout.slots, layout.unused) == (None, TOLD)
    day = [*TOLD, "Zähler", "OBIS", "Tag", "unit", "origin", "zone", *(f"H{hour}" for hour in range(1, 25))]
    layout = Layout.of(day, form_of_rejects(form, len(day)))
    assert layout.slots is not None
    assert (len(layout.slots), layout.positions["date"], layout.slots.positions[0]) == (24, 8, 12)
