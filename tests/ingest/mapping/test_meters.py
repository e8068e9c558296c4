"""Meters: tables, names that are keys, and sensors made on demand."""

from pathlib import Path

import pytest

from besmart_async import SensorKey
from besmart_async.ingest.mapping.meters import KnownMeters, MadeMeters, Meter, read_meter_table
from besmart_async.ingest.sources import SourceError


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "meters.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_names_sensors_and_their_signal_types(tmp_path: Path) -> None:
    path = table(tmp_path, "meter,client_cid,sensor_mid,signal_type\nPL-1,12,122,1.8.0\nPL-2, 12 ,123,\n")
    assert read_meter_table(path) == {
        "PL-1": Meter(SensorKey(12, 122), "1.8.0"),
        "PL-2": Meter(SensorKey(12, 123)),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("meter,client_cid\n", "no column sensor_mid"),
        ("", "no column meter"),
        ("meter,client_cid,sensor_mid\nA,1,x\n", "row 2: client_cid and sensor_mid must be whole numbers"),
        ("meter,client_cid,sensor_mid\nA,1,1\nA,1,2\n", "row 3: meter 'A' is there twice"),
        ("meter,client_cid,sensor_mid\n,1,1\n", "row 2: the meter is empty"),
        ("meter,client_cid,sensor_mid\nA\n", "row 2: client_cid and sensor_mid must be whole numbers"),
    ],
)
def test_a_table_that_cannot_work_says_where(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SourceError, match="meters") as caught:
        read_meter_table(table(tmp_path, text))
    assert words in caught.value.problem


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_meter_table(tmp_path / "none.csv")


async def test_names_are_looked_up_then_read_as_keys_and_never_guessed() -> None:
    found = await KnownMeters({"12.122": Meter(SensorKey(1, 1))}).find(["12.122", "12.123", "M7"])
    assert found["12.122"] == Meter(SensorKey(1, 1))
    assert found["12.123"] == Meter(SensorKey(12, 123))
    assert "is no known meter" in str(found["M7"])


async def test_unknown_meters_are_made_and_known_ones_provided() -> None:
    created: list[str] = []
    provided: list[tuple[str, SensorKey]] = []

    async def create(name: str) -> SensorKey:
        created.append(name)
        return SensorKey(1, 100 + len(created))

    meters = MadeMeters(KnownMeters(), create, lambda name, key: provided.append((name, key)))
    found = await meters.find(["12.122", "M7"])
    assert found == {"12.122": Meter(SensorKey(12, 122)), "M7": Meter(SensorKey(1, 101))}
    assert created == ["M7"]
    assert provided == [("12.122", SensorKey(12, 122))]
