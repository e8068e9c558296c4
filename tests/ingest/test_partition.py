"""Partitions: every meter is of exactly one worker, under all its names."""

import numpy as np

from besmart_async import SensorKey
from besmart_async.ingest import Meter
from besmart_async.ingest.pages import Partition
from besmart_async.ingest.sources.columns import Coded


def test_every_meter_and_every_row_without_one_is_of_exactly_one_worker() -> None:
    partitions = [Partition(number, 3) for number in range(3)]
    names = [f"meter {number}" for number in range(300)]
    assert all(sum(partition.owns(name) for partition in partitions) == 1 for name in names)
    assert all(50 < sum(map(partition.owns, names)) < 150 for partition in partitions)
    assert all(sum(partition.owns_row(row) for partition in partitions) == 1 for row in range(10))


def test_all_names_of_a_sensor_are_of_one_worker() -> None:
    for sensor in range(50):
        partition = Partition(0, 2, {"by name": Meter(SensorKey(1, sensor))})
        assert partition.owns("by name") == partition.owns(f"1.{sensor}") == partition.owns(f"01.{sensor}")


def test_a_column_is_told_by_its_names_as_they_grow() -> None:
    partition = Partition(0, 2)
    names = ["1.1"]
    assert partition.owned(Coded(np.zeros(1, np.int64), names)).tolist() == [partition.owns("1.1")]
    names += ["1.2", "1.3"]
    assert partition.owned(Coded(np.zeros(1, np.int64), names)).tolist() == [partition.owns(name) for name in names]
    assert partition.owned(Coded(np.zeros(1, np.int64), ["x"])).tolist() == [partition.owns("x")]
