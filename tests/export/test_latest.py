"""The last reading of each signal."""

from besmart_async import BesmartClient, SignalKey
from besmart_async.export import latest
from besmart_async.simulator import Simulator
from besmart_async.simulator.faults import Fault

NOW, DAY = 1704067200000, 86_400_000


def key(sensor: int) -> SignalKey:
    return SignalKey(1, sensor, 34)


async def test_the_last_one_is_found_however_long_ago_and_no_later_one(
    client: BesmartClient, simulator: Simulator
) -> None:
    for sensor, days in ((1, 0), (2, 20), (3, 200), (4, 3000)):
        simulator.add_readings(1, sensor, 34, [NOW - days * DAY - 5, NOW - days * DAY], [1.0, 2.0 + sensor])
        simulator.add_readings(1, sensor, 34, [NOW + 1, NOW + DAY], [99.0, 99.0])
    async with client.reader() as reader:
        found = await latest(reader, [key(sensor) for sensor in range(1, 6)], NOW)
    shown = {
        one.sensor_mid: (data.time.tolist(), data.value.tolist()) for one, data in found.items() if data is not None
    }
    assert shown == {
        1: ([NOW], [3.0]),
        2: ([NOW - 20 * DAY], [4.0]),
        3: ([NOW - 200 * DAY], [5.0]),
        4: ([NOW - 3000 * DAY], [6.0]),
        5: ([], []),
    }


async def test_a_corrected_reading_counts_as_it_is_now(client: BesmartClient, simulator: Simulator) -> None:
    simulator.add_readings(1, 1, 34, [NOW], [1.0])
    simulator.add_readings(1, 1, 34, [NOW], [2.0])
    async with client.reader() as reader:
        found = await latest(reader, [key(1)], NOW)
    data = found[key(1)]
    assert data is not None
    assert data.value.tolist() == [2.0]


async def test_it_looks_no_further_back_than_told(client: BesmartClient, simulator: Simulator) -> None:
    simulator.add_readings(1, 1, 34, [NOW - 10 * DAY], [1.0])
    async with client.reader() as reader:
        assert len((await latest(reader, [key(1)], NOW, since_ms=NOW - 9 * DAY))[key(1)] or ()) == 0
        assert len((await latest(reader, [key(1)], NOW, since_ms=NOW - 10 * DAY))[key(1)] or ()) == 1


async def test_a_signal_that_is_refused_does_not_keep_the_others_from_being_found(
    client: BesmartClient, simulator: Simulator
) -> None:
    simulator.add_readings(1, 1, 34, [NOW], [1.0])
    simulator.faults.add(Fault(operation="sensors.post_signals_data", keys=[(1, 2, 34)], status=404))
    simulator.faults.add(Fault(operation="sensors.post_signals_data", keys=[(1, 3, 34)], status=422))
    async with client.reader() as reader:
        found = await latest(reader, [key(1), key(3)], NOW)
        alone = await latest(reader, [key(2)], NOW)
    assert [data is not None and (len(data), data.absent) for data in found.values()] == [(1, False), (0, True)]
    assert [data is not None and data.absent for data in alone.values()] == [True]


async def test_a_signal_that_is_found_is_not_asked_again(client: BesmartClient, simulator: Simulator) -> None:
    simulator.add_readings(1, 1, 34, [NOW], [1.0])
    async with client.reader() as reader:
        found = await latest(reader, [key(1), SignalKey(7, 7, 34)], NOW)
        assert reader.report.requested == 2
    absent = found[SignalKey(7, 7, 34)]
    assert absent is not None
    assert absent.absent
