"""Meters: names that are keys, and sensors made on demand."""

from besmart_async import SensorKey
from besmart_async.ingest.mapping.meters import KnownMeters, MadeMeters, Meter


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
