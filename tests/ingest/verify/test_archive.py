"""The archive: what was delivered, each reading once, repeats counted, whatever order it came in."""

import tempfile
from pathlib import Path

import attrs
import numpy as np
import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.ingest.send.items import Items
from besmart_async.ingest.verify.archive import Archive
from tests.ingest.made_items import items

KEY = SignalKey(1, 1, 32)
DAY = 86_400_000


def data(
    time: list[int], value: list[float], *, unit: str | None = "kW.h", origin: int = 1, key: SignalKey = KEY
) -> SignalData:
    return SignalData(key, time, value, origin=origin, unit=unit)


def page(*all_data: SignalData, row: int = 2) -> Items:
    found = items(*all_data)
    return attrs.evolve(found, rows=found.rows + row - 2)


def test_the_last_row_of_the_files_holds_even_if_it_was_delivered_first() -> None:
    with Archive() as archive:
        archive.add(1, page(data([3], [7.0])))
        archive.add(0, page(data([3, 4, 2], [3.0, 4.0, 9.0]), row=10))
        archive.add(0, page(data([1, 2, 3], [1.0, 2.0, 3.0])))
        [found] = archive.signals()
    assert found.time.tolist() == [1, 2, 3, 4]
    assert found.value.tolist() == [1.0, 9.0, 7.0, 4.0]
    assert (found.repeats_equal, found.repeats_conflicting) == (1, 2)
    assert (archive.readings, archive.distinct) == (7, 4)


def test_another_origin_is_another_reading_and_another_unit_a_conflict() -> None:
    with Archive() as archive:
        archive.add(0, page(data([1], [1.0]), data([1], [1.0], origin=2), data([1], [1.0], unit="W.h")))
        [found] = archive.signals()
    assert (found.origin.tolist(), found.time.tolist()) == ([1, 2], [1, 1])
    assert [found.units[unit] for unit in found.unit] == ["W.h", "kW.h"]
    assert (found.repeats_equal, found.repeats_conflicting) == (0, 1)


def test_what_did_not_arrive_is_not_in_it() -> None:
    with Archive() as archive:
        archive.add(0, page(data([1, 2], [1.0, 2.0]), data([3], [3.0])), np.array([False, True, False]))
        archive.add(0, page(data([], [])))
        [found] = archive.signals()
    assert found.time.tolist() == [2]


def test_many_signals_come_out_whole_and_fractions_of_milliseconds_stay() -> None:
    keys = [SignalKey(1, mid, 32) for mid in range(200)]
    with Archive(in_memory=0) as archive:
        for start in range(0, 50, 10):
            times = list(range(start, start + 10))
            archive.add(0, page(*(data(times, [float(key.sensor_mid)] * 10, key=key) for key in keys)))
        archive.add(0, page(data([], [], key=keys[0]), SignalData(KEY, [0.5], [1.0])))
        found = {one.key: one for one in archive.signals()}
    assert {key: len(one) for key, one in found.items()} == {key: 50 + (key == KEY) for key in keys}
    assert all(set(one.value.tolist()) == {float(key.sensor_mid)} for key, one in found.items() if key != KEY)
    assert found[KEY].time.tolist()[:2] == [0.0, 0.5]


def test_a_sample_is_whole_days_one_in_a_hundred_and_the_first() -> None:
    with Archive(sample=True) as archive:
        archive.add(0, page(data([day * DAY + hour for day in range(1000) for hour in range(4)], [1.0] * 4000)))
        archive.add(0, page(data(list(range(4)), [2.0] * 4), row=9000))
        [found] = archive.signals()
    days, counts = np.unique(found.time // DAY, return_counts=True)
    assert 10 <= len(days) <= 11
    assert days[0] == 0
    assert set(counts.tolist()) == {4}
    assert found.value[:4].tolist() == [2.0] * 4


def test_its_files_are_removed_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Archive(in_memory=0) as archive:
        archive.add(0, page(data([1], [1.0])))
        [folder] = tmp_path.iterdir()
        assert folder.exists()
    assert not folder.exists()
