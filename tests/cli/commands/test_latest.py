"""`besmart latest` as a user calls it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from besmart_async.cli.exits import Exit

pytestmark = pytest.mark.usefixtures("service")
Run = Callable[..., Any]


def test_the_last_reading_is_in_a_table(besmart: Run) -> None:
    done = besmart("latest", "12.122.32", "1.1.2", "--till", "2020-01-10T00:00Z")
    assert done.code == Exit.OK
    line = next(line for line in done.out.splitlines() if "12.122.32" in line)
    assert line.split()[:3] == ["12.122.32", "A+", "2020-01-01T23:45:00Z"]
    assert line.split()[-3:] == ["29.02", "kW.h", "measured"]
    assert "no reading" in next(line for line in done.out.splitlines() if "1.1.2" in line)


def test_json_tells_all_of_it(besmart: Run) -> None:
    done = besmart("latest", "12.122.32", "1.1.2", "--till", "2020-01-01T12:07Z", "--json")
    found = json.loads(done.out)
    assert (found[0]["signal"], found[0]["time"], found[0]["value"]) == ("12.122.32", "2020-01-01T12:00:00Z", 24.194)
    assert (found[0]["unix_ms"], found[0]["unit"], found[0]["origin"]) == (1577880000000, "kW.h", 1)
    assert (found[1]["time"], found[1]["value"]) == (None, None)


def test_of_a_sensor_only_signals_with_readings_are_shown(besmart: Run) -> None:
    done = besmart("latest", "1.1", "--json")
    assert [one["signal"] for one in json.loads(done.out)] == ["1.1.1"]


def test_it_looks_back_as_far_as_told(besmart: Run) -> None:
    window = ("--till", "2020-02-01T00:00Z", "--since", "2020-01-15T00:00Z")
    assert "no reading" in besmart("latest", "12.122.32", *window).out


def test_a_signal_without_an_answer_is_named_with_code_3(besmart: Run) -> None:
    done = besmart("latest", "99.1.1", "12.122.32", "--till", "2020-01-10T00:00Z")
    assert done.code == Exit.REJECTED
    assert "99.1.1: no answer" in done.err
    assert "12.122.32" in done.out


@pytest.mark.parametrize("name", ["12.999999", "12.999999.*"])
def test_a_sensor_without_an_answer_is_named_with_the_code_of_a_signal_without_one(besmart: Run, name: str) -> None:
    done = besmart("latest", name, "12.122.32", "--till", "2020-01-10T00:00Z")
    assert done.code == besmart("latest", "12.999999.32").code == Exit.REJECTED
    assert "12.999999: no answer; is there such a sensor?" in done.err
    assert "12.122.32" in done.out
