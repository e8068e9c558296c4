"""A record holds exactly what was written, or is known to be damaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async import SignalData
from besmart_async.batching.journal.records import (
    DONE,
    OPEN,
    REFUSED,
    DamagedRecordError,
    Entry,
    count,
    decode,
    encode,
)
from besmart_async.batching.write.validation import Reading
from tests.batching.journal.entries import KEY, entries, single


@given(entries, st.integers(0, 2**60), st.integers(0, 2**60), st.integers(0, 2**60))
def test_what_was_written_is_read_back_bit_for_bit(written: list[Entry], start: int, floor: int, since: int) -> None:
    record = decode(encode(written, start, start + count(written), floor, since))
    assert (record.start, record.stop, record.floor, record.since) == (start, start + count(written), floor, since)
    assert record.entries == written
    assert record.readings == count(written)
    for before, after in zip(written, record.entries, strict=True):
        if isinstance(before, SignalData):
            assert isinstance(after, SignalData)
            assert before.value.dtype == after.value.dtype
            assert before.time.dtype == after.time.dtype
        else:
            assert repr(after) == repr(before)  # 1 and 1.0 and True are equal, and not the same


BODY = encode([single(1577836800000, 2.5), SignalData(KEY, np.arange(3), ["a", None, {"b": 1}])], 7, 11, 5, 6, bytes(4))


@given(st.data())
def test_readings_that_are_done_are_left_out(data: st.DataObject) -> None:
    written = data.draw(entries)
    readings = count(written)
    outcomes = bytes(data.draw(st.lists(st.sampled_from([OPEN, DONE, REFUSED]), min_size=readings, max_size=readings)))
    before = decode(encode(written, 7, 7 + readings, 0, 7))
    after = decode(encode(before.without(outcomes), 7, 7 + readings, 0, 7, outcomes))
    kept = [number for number, outcome in enumerate(outcomes) if outcome != DONE]
    assert after.positions.tolist() == [7 + number for number in kept]
    all_rows = rows_of(before.entries)
    assert rows_of(after.entries) == [all_rows[number] for number in kept]


def rows_of(written: Sequence[Entry]) -> list[str]:
    columns = [entry.columns() if isinstance(entry, Reading) else entry for entry in written]
    return [repr((data.key, data.unit, row)) for data in columns for row in data.rows()]


def test_a_record_that_was_cut_off_anywhere_is_damaged() -> None:
    for size in range(len(BODY)):
        with pytest.raises(DamagedRecordError):
            decode(BODY[:size])


def test_a_record_with_any_bit_flipped_is_damaged() -> None:
    for place in range(len(BODY) * 8):
        flipped = bytearray(BODY)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedRecordError):
            decode(bytes(flipped))
