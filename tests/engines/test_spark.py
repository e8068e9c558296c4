"""The Spark data source: frames and streams to the service, and readings back, with workers that die."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from besmart_async.simulator import Simulator

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"),
    pytest.mark.timeout(300),
]
START_S = 1_500_000_300


def frame(spark: SparkSession, rows: int, partitions: int, sensors: int = 10, first: int = 1) -> DataFrame:
    return spark.range(0, rows, 1, partitions).selectExpr(
        "1L AS client_cid",
        f"({first} + id % {sensors}) AS sensor_mid",
        "32 AS signal_type_moid",
        f"timestamp_seconds({START_S} + id * 900) AS time",
        "CAST(id AS double) AS value",
    )


def distinct(service: Simulator, sensors: range) -> int:
    return sum(len(service.latest(1, sensor_mid, 32)) for sensor_mid in sensors)


def reports(path: Path) -> dict[str, int]:
    total: dict[str, int] = json.loads(path.read_text())["total"]
    return total


def test_a_frame_is_written_and_read_back(spark: SparkSession, service: Simulator, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    written = frame(spark, 2_000, 4)
    written.write.format("besmart").option("report", str(report)).option("parallelism", "4").mode("append").save()
    assert reports(report)["accepted"] == reports(report)["rows"] == 2_000
    read = (
        spark.read.format("besmart")
        .option("signals", " ".join(f"1.{mid}.32" for mid in range(1, 11)))
        .option("since", str(START_S * 1000))
        .option("till", str((START_S + 1_999 * 900) * 1000))
        .option("days_per_partition", "3")
        .option("signals_per_partition", "4")
        .load()
    )
    assert read.rdd.getNumPartitions() == 3 * 7
    names = ["client_cid", "sensor_mid", "signal_type_moid", "time", "value"]
    assert sorted(map(tuple, read.select(*names).collect())) == sorted(map(tuple, written.select(*names).collect()))


def test_keys_may_be_one_column(spark: SparkSession, service: Simulator) -> None:
    rows = frame(spark, 100, 2, sensors=5, first=21)
    rows = rows.selectExpr("concat('1.', sensor_mid, '.32') AS key", "time", "value")
    rows.write.format("besmart").mode("append").save()
    assert distinct(service, range(21, 26)) == 100


def test_bad_rows_are_rejects_in_a_folder(spark: SparkSession, service: Simulator, tmp_path: Path) -> None:
    report, rejects = tmp_path / "report.json", tmp_path / "rejects"
    rows = frame(spark, 100, 2, sensors=5, first=31)
    rows = rows.selectExpr(
        "CASE WHEN value = 7 THEN 'nonsense' ELSE concat('1.', sensor_mid, '.32') END AS key",
        "time",
        "CASE WHEN value = 9 THEN double('NaN') ELSE value END AS value",
    )
    options = {"report": str(report), "rejects": str(rejects)}
    rows.write.format("besmart").options(**options).mode("append").save()
    assert (reports(report)["accepted"], reports(report)["rejected"]) == (98, 2)
    text = "".join(path.read_text() for path in rejects.glob("*.csv"))
    assert "nonsense" in text
    assert text.count("\n") == 3
    assert distinct(service, range(31, 36)) == 98


def test_a_stream_is_written_with_a_checkpoint(spark: SparkSession, service: Simulator, tmp_path: Path) -> None:
    source = tmp_path / "incoming"
    rows = frame(spark, 500, 2, sensors=5, first=41)
    rows.write.parquet(str(source))

    def run() -> None:
        stream = spark.readStream.schema(rows.schema).parquet(str(source))
        query = (
            stream.writeStream.format("besmart")
            .option("checkpointLocation", str(tmp_path / "checkpoint"))
            .option("report", str(tmp_path / "report.json"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()

    run()
    assert reports(tmp_path / "report-0.json")["accepted"] == 500
    before = service.stored_count()
    run()  # nothing new: nothing is sent
    assert service.stored_count() == before
    assert distinct(service, range(41, 46)) == 500


def workers_of_spark() -> list[psutil.Process]:
    """The Python workers: children of the daemon that the JVM has started."""
    found: list[psutil.Process] = []
    for process in psutil.Process().children(recursive=True):
        parent = process.parent()
        if parent is not None and {"pyspark.daemon", "pyspark.worker"} <= set(parent.cmdline()):
            found.append(process)
    return found


def test_a_killed_worker_loses_nothing_and_the_reports_add_up(
    spark: SparkSession, service: Simulator, tmp_path: Path
) -> None:
    rows, report = 160_000, tmp_path / "report.json"
    before = service.stored_count()
    killed: list[int] = []
    ended = threading.Event()

    def kill() -> None:  # a worker in mid-partition: some readings have arrived, and most have not
        while not ended.wait(0.01):
            if service.stored_count() > before + rows // 8 and (workers := workers_of_spark()):
                workers[0].kill()
                killed.append(workers[0].pid)
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        options = {"report": str(report), "parallelism": "4", "rate_limit": "60000"}
        written = frame(spark, rows, 16, sensors=50, first=51)
        written.write.format("besmart").options(**options).mode("append").save()
    finally:
        ended.set()
        killer.join()
    assert killed
    assert reports(report)["accepted"] == reports(report)["rows"] == rows
    assert distinct(service, range(51, 101)) == rows
    assert service.stored_count() - before >= rows


def test_a_failed_job_run_again_sends_only_what_is_missing(
    spark: SparkSession, service: Simulator, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    options = {"report": str(report), "checkpoint": str(tmp_path / "done"), "parallelism": "4"}
    before = service.stored_count()
    bad = frame(spark, 4_000, 8, sensors=20, first=101).selectExpr(
        "client_cid",
        "sensor_mid",
        "signal_type_moid",
        "time",
        "CASE WHEN value = 3999 THEN raise_error('a bad file') ELSE value END AS value",
    )
    with pytest.raises(Exception, match="a bad file"):
        bad.write.format("besmart").options(**options).mode("append").save()
    arrived = len(list((tmp_path / "done").glob("*.json")))
    assert arrived
    assert not report.exists()
    good = frame(spark, 4_000, 8, sensors=20, first=101)
    good.write.format("besmart").options(**options).mode("append").save()
    total = reports(report)
    assert total["accepted"] == 4_000
    assert arrived <= total["repeated"] < 8  # tasks that outlived the failed job may have arrived since
    assert service.stored_count() - before <= (8 + 8 - total["repeated"]) * 500
    assert distinct(service, range(101, 121)) == 4_000


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"password": "hunter2"}, "credentials are no options"),
        ({"retries": "3"}, "option retries='3': is unknown"),
        ({"parallelism": "0"}, "option parallelism='0': give a whole number"),
        ({"rate_limit": "fast"}, "option rate_limit='fast': give a number"),
        ({"meters": "/no/such.csv"}, "option meters='/no/such.csv': no such file"),
    ],
)
def test_an_option_that_cannot_work_is_named(spark: SparkSession, options: dict[str, str], problem: str) -> None:
    with pytest.raises(Exception, match=problem) as found:
        frame(spark, 10, 1).write.format("besmart").options(**options).mode("append").save()
    assert "hunter2" not in str(found.value)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"since": "0", "till": "1"}, "option signals"),
        ({"signals": "1.1", "since": "0", "till": "1"}, "option signals='1.1'"),
        ({"signals": "1.1.32", "since": "2024-01-01T00:00", "till": "1"}, "option since='2024-01-01T00:00'"),
        ({"signals": "1.1.32", "since": "2", "till": "1"}, "option till='1'"),
    ],
)
def test_a_read_that_cannot_work_names_the_option(spark: SparkSession, options: dict[str, str], problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        spark.read.format("besmart").options(**options).load().collect()


def test_overwrite_is_refused(spark: SparkSession) -> None:
    with pytest.raises(Exception, match="nothing is deleted"):
        frame(spark, 10, 1).write.format("besmart").mode("overwrite").save()
