"""An embedded service with a client, and files made in a moment."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from besmart_async import BesmartClient
from besmart_async.simulator import Simulator
from tests.services import client_in_process, five_sensors, in_both_dialects

MakeFile = Callable[..., Path]


simulator = pytest.fixture(five_sensors)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    in_both_dialects(metafunc, {"test_job"})


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[BesmartClient]:
    async with client_in_process(simulator) as made:
        yield made


@pytest.fixture
def csv_file(tmp_path: Path) -> MakeFile:
    def make(*rows: str, header: str = "meter,obis,time,value,unit", name: str = "readings.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
        return path

    return make
