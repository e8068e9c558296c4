"""The resource commands against a service on a port."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from besmart_async.cli.exits import Exit

pytestmark = pytest.mark.usefixtures("service")
Run = Callable[..., Any]
DAY = ("--since", "2020-01-01T00:00Z", "--till", "2020-01-01T00:30Z")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sensors", "get", "12.122"), "Electric meter no 122"),
        (("sensors", "types"), "meter_station"),
        (("signals", "types"), "Energia czynna pobrana z sieci"),
        (("signals", "read", "12.122.32", *DAY), "2020-01-01T00:15:00Z"),
        (("meter-types", "list", "13"), "CX2000-9"),
        (("sensor-states", "list", "13.44143"), "2015-12-09T23:00:00Z"),
    ],
)
def test_tables_show_what_the_service_says(besmart: Run, command: tuple[str, ...], words: str) -> None:
    done = besmart(*command)
    assert done.code == Exit.OK
    assert words in done.out
    assert "\x1b" not in done.out


@pytest.mark.parametrize(
    ("command", "pick", "expected"),
    [
        (("sensors", "get", "12.122"), lambda found: found["name"], "Electric meter no 122"),
        (("sensors", "types"), lambda found: found[-1]["name"], "meter_station"),
        (("signals", "types"), lambda found: {one["symbol"]: one["obis_mapping"] for one in found}["A+"], "1.8.0"),
        (("signals", "read", "12.122.32", *DAY), lambda found: found["data"]["value"], [10.01, 10.21, 10.42]),
        (("meter-types", "list", "13"), lambda found: found[0]["meter_type_name"], "Virtual"),
        (("sensor-states", "list", "13.44143"), lambda found: found[0]["sensor_state_id"], 7986),
    ],
)
def test_json_is_in_the_apis_names(
    besmart: Run, command: tuple[str, ...], pick: Callable[[Any], Any], expected: object
) -> None:
    done = besmart(*command, "--json")
    assert done.code == Exit.OK
    assert pick(json.loads(done.out)) == expected


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("sensors", "get", "12.9999"), Exit.ERROR, "404"),
        (("sensors", "get", "12"), Exit.USAGE, "such as 12.122"),
        (("sensors", "get"), Exit.USAGE, "SENSOR"),
        (
            ("signals", "read", "12.122.32", "--since", "2020-01-01", "--till", "2020-01-02"),
            Exit.USAGE,
            "no UTC offset",
        ),
        (("signals", "read", "12.122.32", "--since", "x", "--till", "2020-01-02"), Exit.USAGE, "not an ISO 8601"),
        (("meter-types", "list", "x"), Exit.USAGE, "x"),
    ],
)
def test_errors_are_one_explanation_and_a_code(besmart: Run, command: tuple[str, ...], code: Exit, words: str) -> None:
    done = besmart(*command)
    assert done.code == code
    assert words in done.err
    assert "Traceback" not in done.err


def test_local_times_are_read_in_the_zone_that_is_named(besmart: Run) -> None:
    window = ("--since", "2020-01-01T01:00", "--till", "2020-01-01T01:15", "--time-zone", "Europe/Warsaw")
    done = besmart("signals", "read", "12.122.32", *window)
    assert "2020-01-01T00:00:00Z" in done.out
    doubtful = besmart("signals", "read", "12.122.32", "--since", "2020-10-25T02:30", *window[2:])
    assert "no single moment" in doubtful.err
