"""Headers: which column is what."""

import pytest

from besmart_async.ingest.layout import Layout


def test_columns_are_found_by_any_of_their_names_in_any_order() -> None:
    layout = Layout.of([" Value", "OBIS code", "Meter-ID", "Timestamp", "note"])
    assert dict(layout.positions) == {"value": 0, "signal": 1, "meter": 2, "time": 3}
    assert layout.titles["signal"] == "OBIS code"
    assert layout.unused == ("note",)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (["meter", "time"], "no column for the value (one of: value, reading)"),
        (["a", "b"], "the header is 'a,b'"),
        (["meter", "time", "value", "start"], "'time' and 'start' both are the time"),
    ],
)
def test_a_header_that_cannot_work_says_what_is_wrong(header: list[str], words: str) -> None:
    with pytest.raises(ValueError, match="column") as caught:
        Layout.of(header)
    assert words in str(caught.value)
