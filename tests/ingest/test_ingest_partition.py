"""Parts of files, each sent by a call that any engine can make."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from besmart_async import BatchPolicy, BesmartConfigError
from besmart_async.ingest import FilePart, PartitionError, PartitionSettings, ingest_partition, partitions_of
from besmart_async.ingest.mapping.file import FileMapping
from besmart_async.ingest.parse.parser import ParseOptions
from besmart_async.ingest.partition import environment_of_worker
from besmart_async.simulator import Simulator
from tests.services import served_in_a_thread

ROWS = 3_000


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    def made() -> Simulator:
        simulator = Simulator(seed=False)
        for sensor_mid in range(1, 6):
            simulator.add_sensor(1, sensor_mid)
        return simulator

    with served_in_a_thread(made, monkeypatch) as simulator:
        yield simulator


def csv_file(folder: Path, rows: int = ROWS) -> Path:
    path = folder / "readings.csv"
    lines = [f"1.{1 + number % 5},32,{1_700_000_000_000 + number * 900_000},{number}" for number in range(rows)]
    path.write_text("meter,signal,time,value\n" + "\n".join(lines) + "\n")
    return path


def parquet_file(folder: Path) -> Path:
    path = folder / "readings.parquet"
    numbers = range(ROWS)
    table = pa.table(
        {
            "meter": [f"1.{1 + number % 5}" for number in numbers],
            "signal": ["32"] * ROWS,
            "time": [1_700_000_000_000 + number * 900_000 for number in numbers],
            "value": [float(number) for number in numbers],
        }
    )
    pq.write_table(table, path, row_group_size=500)
    return path


@pytest.mark.parametrize("make", [csv_file, parquet_file])
def test_every_row_of_the_parts_is_stored_once_and_the_reports_add_up(
    make: object, tmp_path: Path, service: Simulator
) -> None:
    path = make(tmp_path)  # type: ignore[operator]
    settings = PartitionSettings(share=0.25)
    parts = partitions_of([str(path)], settings, max_bytes=8_000)
    assert len(parts) > 3
    reports = [ingest_partition(part, settings) for part in pickle.loads(pickle.dumps(parts))]
    assert sum(one.rows for one in reports) == sum(one.accepted for one in reports) == ROWS
    assert service.stored_count() == ROWS
    assert pickle.loads(pickle.dumps(reports)) == reports


def test_a_second_delivery_sends_nothing(tmp_path: Path, service: Simulator) -> None:
    settings = PartitionSettings(checkpoint=str(tmp_path / "done"))
    (part,) = partitions_of([str(csv_file(tmp_path))], settings)
    first = ingest_partition(part, settings)
    before = len(service.requests)
    second = ingest_partition(part, settings)
    assert len(service.requests) == before
    assert second.repeated
    assert (second.rows, second.accepted) == (first.rows, first.accepted)


def test_a_file_that_changed_is_sent_again(tmp_path: Path, service: Simulator) -> None:
    settings = PartitionSettings(checkpoint=str(tmp_path / "done"))
    part = FilePart(path=str(csv_file(tmp_path, 100)))
    assert not ingest_partition(part, settings).repeated
    csv_file(tmp_path, 101)
    assert ingest_partition(part, settings).accepted == 101


def test_a_reject_keeps_the_number_of_its_row_in_the_file(tmp_path: Path, service: Simulator) -> None:
    path = csv_file(tmp_path)
    lines = path.read_text().splitlines()
    lines[2_500] = "1.1,32,never,5"
    path.write_text("\n".join(lines) + "\n")
    settings = PartitionSettings(rejects=str(tmp_path / "rejects"))
    reports = [ingest_partition(part, settings) for part in partitions_of([str(path)], settings, max_bytes=8_000)]
    (rejected,) = [one for one in reports if one.rejected]
    assert "row 2501" in rejected.rejects[0]
    assert rejected.rejects_file is not None
    assert ",2501,time,never," in Path(rejected.rejects_file).read_text()
    assert sum(one.accepted for one in reports) == ROWS - 1


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ('1.1,32,2024-01-01T00:00Z,1,"two\nlines"\n', PartitionSettings()),
        ("1.1,32,2024-01-01T00:00Z,1,\r", PartitionSettings()),
        ("1.1,32,2024-01-01T00:00Z,1,\n", PartitionSettings(mapping=FileMapping(reading=ParseOptions(dst="infer")))),
    ],
    ids=["quoted line breaks", "carriage returns", "times inferred from their order"],
)
def test_a_file_whose_rows_cannot_be_told_apart_stays_whole(
    text: str, settings: PartitionSettings, tmp_path: Path
) -> None:
    path = tmp_path / "readings.csv"
    path.write_bytes(("meter,signal,time,value,note\n" + text * 500).encode())
    assert partitions_of([str(path)], settings, max_bytes=1_000) == [FilePart(path=str(path))]


def test_a_file_that_became_shorter_is_an_error(tmp_path: Path, service: Simulator) -> None:
    settings = PartitionSettings()
    parts = partitions_of([str(csv_file(tmp_path))], settings, max_bytes=8_000)
    csv_file(tmp_path, 100)
    with pytest.raises(PartitionError, match="it has changed since it was divided"):
        ingest_partition(parts[-1], settings)


def test_calls_at_a_time_are_shared_out() -> None:
    assert PartitionSettings(share=1 / 4).own_policy().max_in_flight == 4
    assert PartitionSettings(share=1 / 4, policy=BatchPolicy(max_in_flight=2)).own_policy().max_in_flight == 1
    assert PartitionSettings().own_policy().max_in_flight is None


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(BesmartConfigError, match="share=0"):
        PartitionSettings(share=0)


def test_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    found = environment_of_worker({"BESMART_LOGIN": "me", "BESMART_PASSWORD_FILE": str(tmp_path / "password")})
    assert found == {"BESMART_LOGIN": "me", "BESMART_PASSWORD": "hunter2"}
    with pytest.raises(BesmartConfigError, match=r"BESMART_TOKEN_FILE=.*cannot be read"):
        environment_of_worker({"BESMART_TOKEN_FILE": str(tmp_path / "none")})
