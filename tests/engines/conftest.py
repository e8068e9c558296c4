"""One Spark session and one service for all tests of the engine: starting a JVM takes seconds."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from besmart_async.simulator import Simulator
from tests.services import served_in_a_thread

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MISSING = (
    "pyspark is not installed: pip install 'besmart-async[spark]'"
    if importlib.util.find_spec("pyspark") is None
    else "no java on PATH: Spark needs Java 17"
    if shutil.which("java") is None
    else ""
)


def made() -> Simulator:
    simulator = Simulator(seed=False)
    simulator.add_sensors(1, range(1, 201))
    return simulator


@pytest.fixture(scope="module")
def service() -> Iterator[Simulator]:
    with pytest.MonkeyPatch.context() as environment, served_in_a_thread(made, environment) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def spark(service: Simulator) -> Iterator[SparkSession]:
    if MISSING:
        pytest.skip(MISSING)
    from pyspark.sql import SparkSession

    from besmart_async.engines.spark import BesmartDataSource

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYSPARK_PYTHON", sys.executable)
        environment.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = (
            SparkSession.builder.master("local[4,4]")  # a task may fail three times
            .config("spark.ui.enabled", "false")
            .config("spark.sql.session.timeZone", "UTC")
            .config("spark.sql.shuffle.partitions", "4")
            .getOrCreate()
        )
        session.sparkContext.setLogLevel("OFF")
        session.dataSource.register(BesmartDataSource)
        yield session
        session.stop()
