"""Headers: which column is what, long and wide."""

import pytest

from besmart_async.ingest.sources.layout import FileForm, Layout

HOURS = [f"{hour:02}:00" for hour in range(24)]
COUNTED = [f"Q{n}" for n in range(1, 97)]


def test_columns_are_found_by_any_of_their_names_in_any_order() -> None:
    layout = Layout.of([" Value", "OBIS code", "Meter-ID", "Timestamp", "note"])
    assert dict(layout.positions) == {"value": 0, "signal": 1, "meter": 2, "time": 3}
    assert layout.titles["signal"] == "OBIS code"
    assert (layout.unused, layout.used, layout.slots) == (("note",), (0, 1, 2, 3), None)


def test_the_two_ids_of_a_sensor_are_a_meter_unless_there_is_one() -> None:
    layout = Layout.of(["client_cid", "sensor_mid", "time", "value"])
    assert (layout.used, layout.titles["meter"]) == ((0, 1, 2, 3), "client_cid.sensor_mid")
    assert Layout.of(["client_cid", "sensor_mid", "meter", "time", "value"]).unused == ("client_cid", "sensor_mid")
    with pytest.raises(ValueError, match="no column for the meter"):
        Layout.of(["sensor_mid", "time", "value"])


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["meter", "time"], "no column for the value (one of: value, reading)"),
        (["a", "b"], "the header is 'a,b'"),
        (["meter", "time", "value", "start"], "'time' and 'start' both are the time"),
        (["meter", *HOURS], "no column for the date (one of: date, day)"),
        (["meter", "date", *COUNTED[:37]], "37 value columns are no day"),
        (["meter", "date", "Q1", "Q2", "Q3"], "no column for the value"),
    ],
)
def test_a_header_that_cannot_work_says_what_is_wrong(header: list[str], words: str) -> None:
    with pytest.raises(ValueError, match="column") as caught:
        Layout.of(header)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("titles", "kind"), [(HOURS, "clock"), (COUNTED, "elapsed"), (["00:00", "06:00", "12:00", "18:00"], "clock")]
)
def test_a_header_without_values_but_with_periods_is_wide(titles: list[str], kind: str) -> None:
    layout = Layout.of(["meter", "date", "unit", *titles, "sum"])
    assert layout.slots is not None
    assert (layout.slots.kind, layout.slots.titles, layout.unused) == (kind, tuple(titles), ("sum",))
    assert set(layout.positions) == {"meter", "date", "unit"}


def test_a_form_names_columns_by_title_or_number_before_the_general_names() -> None:
    form = FileForm(columns={"meter": ("PPE", "Licznik"), "time": (3,), "value": ("reading",)})
    layout = Layout.of(["Licznik", "reading", "wann", "time", "value"], form)
    assert dict(layout.positions) == {"meter": 0, "time": 2, "value": 1}


def test_a_form_tells_first_and_last_of_the_value_columns() -> None:
    form = FileForm(first_slot="a", last_slot="x", step_ms=3_600_000)
    layout = Layout.of(["meter", "date", *map(chr, range(ord("a"), ord("x") + 1)), "y"], form)
    assert layout.slots is not None
    assert (len(layout.slots), layout.slots.kind, layout.unused) == (24, "elapsed", ("y",))


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (FileForm(columns={"meter": (9,)}), "no column 9 for the meter; the file has 3"),
        (FileForm(first_slot="Q9", kind="wide"), "no column 'Q9' for the first slot"),
        (FileForm(kind="wide"), "say wide.first"),
        (FileForm(columns={"meter": ("PPE",), "value": ("x",)}), "no column for the meter (one of: PPE)"),
    ],
)
def test_a_form_that_does_not_fit_the_header_says_so(form: FileForm, words: str) -> None:
    with pytest.raises(ValueError, match="column") as caught:
        Layout.of(["m", "time", "v"] if "meter" not in words or "PPE" in words else ["meter", "time", "value"], form)
    assert words in str(caught.value)


def test_a_date_beside_a_time_is_joined_to_it() -> None:
    layout = Layout.of(["meter", "date", "time", "value"])
    assert (layout.positions["date"], layout.titles["time"]) == (1, "date time")
    assert dict(Layout.of(["meter", "day", "value"]).positions) == {"meter": 0, "time": 1, "value": 2}
