"""Meters found by `sensor_eid`, and sensors created for meters that are not found."""

import csv
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from besmart_async import BesmartClient, SensorKey, ServerError
from besmart_async.ingest import CsvSource, IngestJob, IngestReport, SourceError
from besmart_async.ingest.mapping.meters import (
    CreatedMeters,
    EidMeters,
    KnownMeters,
    Meter,
    NewSensors,
    read_meter_table,
)
from besmart_async.models.sensors import Sensor, SensorType
from besmart_async.simulator import Simulator

KEYS = [SensorKey(1, mid) for mid in range(1, 30)]


async def test_a_meter_is_the_sensor_with_its_name_as_sensor_eid(client: BesmartClient, simulator: Simulator) -> None:
    for mid, eid in ((11, "PL-1"), (12, "PL-2"), (13, "PL-2")):
        simulator.add_sensor(1, mid, sensor_eid=eid)
    meters = EidMeters(KnownMeters({"T": Meter(SensorKey(9, 9))}), client.sensors, KEYS)
    found = await meters.find(["PL-1", "PL-2", "PL-3", "T", "1.5"])
    assert found["PL-1"] == Meter(SensorKey(1, 11))
    assert "is the sensor_eid of several sensors: 1.12, 1.13" in str(found["PL-2"])
    assert "is no known meter" in str(found["PL-3"])
    assert (found["T"], found["1.5"]) == (Meter(SensorKey(9, 9)), Meter(SensorKey(1, 5)))


async def test_sensors_are_read_once_and_only_when_a_meter_is_not_known(
    client: BesmartClient, simulator: Simulator
) -> None:
    meters = EidMeters(KnownMeters(), client.sensors, KEYS)
    await meters.find(["1.1"])
    assert simulator.requests == []
    await meters.find(["A"])
    asked = len(simulator.requests)
    await meters.find(["B"])
    assert len(simulator.requests) == asked >= len(KEYS)


@pytest.fixture
def run(client: BesmartClient, tmp_path: Path) -> Callable[[Path], Awaitable[IngestReport]]:
    async def ingest(path: Path) -> IngestReport:
        table = tmp_path / "meters.csv"
        known = KnownMeters(read_meter_table(table) if table.exists() else {})
        meters = CreatedMeters(known, client.sensors, NewSensors(1), table)
        return await IngestJob(
            client.signals, client.writer, [CsvSource(path)], meters=meters, signal_type="1.8.0", verify=True
        ).run()

    return ingest


async def test_created_sensors_are_noted_so_that_a_second_run_creates_none(
    run: Callable[[Path], Awaitable[IngestReport]], csv_file: Callable[..., Path], tmp_path: Path, client: BesmartClient
) -> None:
    path = csv_file("A,1704067200000,1", "B,1704067200000,2", "1.2,1704067200000,3", header="meter,time,value")
    for _ in range(2):
        report = await run(path)
        assert (report.accepted, report.rejected) == (3, 0)
        assert report.verification is not None
        assert report.verification.ok
    with (tmp_path / "meters.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["meter"] for row in rows] == ["A", "B"]
    for row in rows:
        sensor = await client.sensors.get(int(row["client_cid"]), int(row["sensor_mid"]))
        assert (sensor.name, sensor.sensor_eid, sensor.sensor_type_name) == (row["meter"], row["meter"], "meter")


async def test_a_table_that_cannot_be_written_is_told_before_a_sensor_is_created(
    client: BesmartClient, simulator: Simulator, tmp_path: Path
) -> None:
    meters = CreatedMeters(KnownMeters(), client.sensors, NewSensors(1), tmp_path / "no" / "meters.csv")
    with pytest.raises(SourceError, match=r"meters\.csv: cannot be written"):
        await meters.find(["A"])
    assert not any(request.method == "POST" and request.path.endswith("/sensors") for request in simulator.requests)


async def test_an_unknown_sensor_type_is_told_with_those_there_are(client: BesmartClient, tmp_path: Path) -> None:
    meters = CreatedMeters(KnownMeters(), client.sensors, NewSensors(1, "toaster"), tmp_path / "meters.csv")
    with pytest.raises(SourceError, match="no sensor type 'toaster' for new sensors; the service has virtual, meter"):
        await meters.find(["A"])


class Failing:
    """A service that may or may not have created a sensor."""

    async def types(self) -> list[SensorType]:
        return [SensorType(id=2, name="meter")]

    async def get(self, client_cid: int, sensor_mid: int) -> Sensor:
        raise NotImplementedError

    async def create(
        self, *, name: str, sensor_type_id: int, client_cid: int, sensor_eid: str | None = None
    ) -> SensorKey:
        from besmart_async import Response

        raise ServerError(500, "oops", "sensors.create", Response(500), outcome="in_doubt")


async def test_a_creation_in_doubt_ends_the_run_and_says_which_meter(tmp_path: Path) -> None:
    meters = CreatedMeters(KnownMeters(), Failing(), NewSensors(1), tmp_path / "meters.csv")
    with pytest.raises(ServerError) as caught:
        await meters.find(["A"])
    assert "the sensor of meter 'A'" in caught.value.__notes__[0]
    assert (tmp_path / "meters.csv").read_text() == "meter,client_cid,sensor_mid\n"
