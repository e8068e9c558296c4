"""The resource commands against a service on a port."""

import io
import json
from collections.abc import Callable
from pathlib import Path
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


def test_a_sensor_type_may_be_named(besmart: Run) -> None:
    types = json.loads(besmart("sensors", "types", "--json").out)
    name, number = types[0]["name"], types[0]["id"]
    made = besmart("sensors", "create", "1", "--name", "Named", "--sensor-type", name.upper())
    assert made.code == Exit.OK
    shown = json.loads(besmart("sensors", "get", made.out.strip(), "--json").out)
    assert (shown["name"], shown["sensor_type_id"]) == ("Named", number)
    wrong = besmart("sensors", "create", "1", "--name", "Named", "--sensor-type", "toaster")
    assert wrong.code == Exit.USAGE
    assert f"--sensor-type 'toaster': no type has this name: {name} ({number})" in wrong.err


def test_a_sensor_is_made_changed_and_deleted(besmart: Run) -> None:
    made = besmart("sensors", "create", "1", "--name", "New", "--sensor-type-id", "2", "--lat", "54.3", "--uncertain")
    key = made.out.strip()
    assert made.code == Exit.OK
    changes = ("--name", "Newer", "--comments", "mine", "--no-uncertain", "--info", '{"a": 1}')
    assert besmart("sensors", "update", key, *changes).out == f"changed {key}\n"
    found = json.loads(besmart("sensors", "get", key, "--json").out)
    assert (found["name"], found["comments"], found["uncertain"], found["lat"]) == ("Newer", "mine", False, 54.3)
    assert besmart("sensors", "delete", key, "--yes").out == f"deleted {key}\n"
    assert "404" in besmart("sensors", "get", key).err


def test_a_meter_type_is_made_changed_and_deleted(besmart: Run) -> None:
    fields = ("--meter-type-id", "77", "--number-of-phases", "3")
    assert besmart("meter-types", "create", "13", "--meter-type-name", "Mine", *fields, "--is-ami").code == Exit.OK
    assert besmart("meter-types", "update", "13", "--meter-type-name", "Yours", *fields).code == Exit.OK
    names = {
        one["id"]: one["meter_type_name"] for one in json.loads(besmart("meter-types", "list", "13", "--json").out)
    }
    assert names[77] == "Yours"
    assert besmart("meter-types", "delete", "13", "--yes").code == Exit.OK
    assert json.loads(besmart("meter-types", "list", "13", "--json").out) == []


def test_states_of_sensors_and_signals_are_made_changed_and_deleted(besmart: Run) -> None:
    period = ("--since", "2024-01-01", "--till", "2024-02-01T00:00Z", "--time-zone", "Europe/Warsaw")
    made = json.loads(besmart("sensor-states", "create", "12.122", *period, "--meter-eid", "M-7", "--json").out)
    state = made["sensor_state_id"]
    assert made["since"] == 1704063600000
    assert besmart("sensor-states", "update", state, "--meter-eid", "M-8").code == Exit.OK
    signal = json.loads(besmart("signal-states", "create", state, 32, "--value-for-since", "5.5", "--json").out)
    assert besmart("signal-states", "update", signal["signal_state_id"], "--value-for-till", "9").code == Exit.OK
    [found] = json.loads(besmart("sensor-states", "list", "12.122.32", "--json").out)
    [register] = found["signal_states"]
    assert (found["meter_eid"], register["value_for_since"], register["value_for_till"]) == ("M-8", 5.5, 9)
    assert f"32 ({signal['signal_state_id']})" in besmart("sensor-states", "list", "12.122").out
    assert besmart("signal-states", "delete", signal["signal_state_id"], "--yes").code == Exit.OK
    assert besmart("sensor-states", "delete", state, "--yes").code == Exit.OK
    assert json.loads(besmart("sensor-states", "list", "12.122", "--json").out) == []


def test_readings_are_written_and_removed(besmart: Run) -> None:
    local = ("--time-zone", "Europe/Warsaw", "--unit", "W", "--origin", "4")
    done = besmart("signals", "write", "1.1.2", "2024-01-01T01:00=1500", "2024-01-01T00:15Z=-2.5e3", *local)
    assert (done.code, done.out) == (Exit.OK, "wrote 2 readings of 1.1.2\n")
    day = ("--since", "2024-01-01T00:00Z", "--till", "2024-01-02T00:00Z")
    found = json.loads(besmart("signals", "read", "1.1.2", *day, "--json").out)["data"]
    assert (found["time"], found["value"]) == ([1704067200000, 1704068100000], [1.5, -2.5])
    removed = besmart("signals", "write", "1.1.2", "--remove", "2024-01-01T00:15Z", "--origin", "4")
    assert "removed 1 reading" in removed.out
    after = json.loads(besmart("signals", "read", "1.1.2", *day, "--last", "--json").out)
    assert after["data"]["value"] == [1.5]


def test_a_graph_is_run_from_a_file_or_by_name(besmart: Run, tmp_path: Path) -> None:
    graph = tmp_path / "graph.json"
    graph.write_text('{"nodes": [{"function": "estimation"}], "edges": []}', encoding="utf-8")
    assert json.loads(besmart("graphs", "run", graph, "--json").out)["status"] == 201
    graph.write_text('[{"client_cid": 13, "sensor_mid": 13781}]', encoding="utf-8")
    by_name = besmart("graphs", "run", graph, "--name", "estimation", "--since", "2024-01-01T00:00Z")
    assert (by_name.code, "13781" in by_name.out) == (Exit.OK, True)
    later = besmart("graphs", "run", graph, "--name", "estimation", "--task-async")
    assert later.out.startswith("accepted")


@pytest.mark.parametrize(
    "command",
    [
        ("sensors", "delete", "1.2"),
        ("meter-types", "delete", "13"),
        ("sensor-states", "delete", "21310"),
        ("signal-states", "delete", "798649"),
    ],
)
def test_nothing_is_deleted_without_a_yes(
    besmart: Run, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    done = besmart(*command)
    assert (done.code, "say --yes" in done.err) == (Exit.USAGE, True)
    for answer in ("n", "", "what"):
        monkeypatch.setattr("sys.stdin", _Terminal(f"{answer}\n"))
        done = besmart(*command)
        assert (done.code, "nothing was done" in done.err) == (Exit.USAGE, True)
    monkeypatch.setattr("sys.stdin", _Terminal("y\n"))
    assert besmart(*command).code == Exit.OK


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sensors", "update", "12.122"), "nothing to change"),
        (("sensors", "create", "1", "--name", "x"), "--sensor-type-id"),
        (("sensors", "create", "1", "--name", "x", "--sensor-type-id", "2", "--info", "{"), "not JSON"),
        (("signals", "write", "1.1.2", "2024-01-01T00:00Z"), "TIME=VALUE"),
        (("signals", "write", "1.1.2", "2024-01-01T00:00Z=x"), "is not a number"),
        (("signals", "write", "1.1.2", "yesterday=1"), "not an ISO 8601"),
        (("graphs", "run", "none.json"), "cannot be read"),
        (("sensor-states", "create", "12.122", "--since", "2d", "--till", "3d"), "not before"),
    ],
)
def test_wrong_usage_is_explained_with_code_2(besmart: Run, command: tuple[str, ...], words: str) -> None:
    done = besmart(*command)
    assert done.code == Exit.USAGE
    assert words in done.err


def test_local_times_are_read_in_the_zone_that_is_named(besmart: Run) -> None:
    window = ("--since", "2020-01-01T01:00", "--till", "2020-01-01T01:15", "--time-zone", "Europe/Warsaw")
    done = besmart("signals", "read", "12.122.32", *window)
    assert "2020-01-01T00:00:00Z" in done.out
    doubtful = besmart("signals", "read", "12.122.32", "--since", "2020-10-25T02:30", *window[2:])
    assert "no single moment" in doubtful.err
