"""An embedded service with a client, and files made in a moment."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from besmart_async import BesmartClient
from besmart_async.simulator import Simulator
from besmart_async.transport import in_process

MakeFile = Callable[..., Path]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    made = Simulator(seed=False)
    for sensor_mid in range(1, 6):
        made.add_sensor(1, sensor_mid)
    yield made
    made.close()


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[BesmartClient]:
    async with BesmartClient(
        base_url="http://127.0.0.1/api",
        api_key="API_KEY",
        login="login",
        password="password",
        transport=in_process(simulator.app),
    ) as made:
        yield made


@pytest.fixture
def csv_file(tmp_path: Path) -> MakeFile:
    def make(*rows: str, header: str = "meter,obis,time,value,unit", name: str = "readings.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
        return path

    return make
