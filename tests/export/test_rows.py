"""Columns of exported rows."""

import numpy as np
import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.export.rows import Times, blocks, header, iso_times, values

KEY = SignalKey(12, 122, 32)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_577_836_800_000, "2020-01-01T00:00:00Z"),
        (1_577_836_800_001, "2020-01-01T00:00:00.001Z"),
        (1_577_836_800_000.5, "2020-01-01T00:00:00.000500Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_utc_and_as_short_as_they_can_be(time: float, text: str) -> None:
    assert iso_times(np.array([time])) == [text]


@pytest.mark.parametrize(("times", "columns"), [("iso", ["time"]), ("ms", ["time"]), ("both", ["time", "unix_ms"])])
def test_there_is_a_column_for_every_time_asked_for(times: Times, columns: list[str]) -> None:
    assert [name for name in header(times) if name in ("time", "unix_ms")] == columns
    [block] = blocks(SignalData(KEY, [1], [2.0]), times)
    assert len(block.times) == len(columns)


def test_rows_come_by_time_in_blocks() -> None:
    data = SignalData(KEY, [5, 1, 4, 2, 3], [5.0, 1.0, 4.0, 2.0, 3.0], unit="kW.h")
    found = list(blocks(data, "ms", size=2))
    assert [block.unix_ms for block in found] == [[1, 2], [3, 4], [5]]
    assert [block.value for block in found] == [[1.0, 2.0], [3.0, 4.0], [5.0]]


def test_a_removed_reading_has_no_value() -> None:
    data = SignalData(KEY, [1, 2], [1.5, 99.0], type=["DBL", "RM"])
    assert values(data) == [1.5, None]
    assert values(SignalData(KEY, [1], [7.0], type="RM")) == [None]
