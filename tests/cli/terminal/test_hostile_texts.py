"""Control characters in texts of the service and of the user never reach a terminal as they are: on a real one."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from besmart_async.simulator import Fault, Simulator
from besmart_async.simulator.storage.seed import Seed
from tests.services import served_in_a_thread

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()"]
HOSTILE = "\x1b]0;owned\x07\x9b31m\u202e"
RAW = [text.encode() for text in ("\x1b]0;", "\x07", "\x9b", "\u202e")]
"""What our own colours and progress bars never have."""
DAY = ("--since", "2020-01-01T00:00Z", "--till", "2020-01-02T00:00Z")


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Serve names, descriptions and symbols that a terminal would obey."""
    plain = Seed()
    seed = attrs.evolve(
        plain,
        sensor_types=tuple((number, name + HOSTILE, HOSTILE) for number, name, _ in plain.sensor_types),
        signal_types=tuple((one[0], one[1] + HOSTILE, *one[2:]) for one in plain.signal_types),
        sensors=tuple((cid, mid, name + HOSTILE, kind) for cid, mid, name, kind in plain.sensors),
        meter_types=tuple((*one[:2], one[2] + HOSTILE, *one[3:]) for one in plain.meter_types),
    )
    with served_in_a_thread(lambda: Simulator(seed=seed), monkeypatch) as simulator:
        yield simulator


def shown(*arguments: str) -> bytes:
    """What a command writes to its terminal, both streams."""
    terminal, theirs = pty.openpty()
    with subprocess.Popen([*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True):
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(terminal, 10_000):
                seen += chunk
        except OSError:  # Linux ends a terminal's output so
            pass
    os.close(terminal)
    return seen


@pytest.mark.parametrize(
    "arguments",
    [
        ("sensors", "get", "12.122"),
        ("sensors", "types"),
        ("signals", "types"),
        ("meter-types", "list", "12"),
        ("latest", "12.122.32"),
        ("export", "12.122.32", *DAY, "-o", "-"),
        ("plot", "1.1.1", *DAY, "--title", HOSTILE),
        ("sensors", "create", "1", "--name", "x", "--sensor-type", HOSTILE),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
@pytest.mark.usefixtures("service")
def test_texts_of_the_service_and_of_arguments_are_written_out(arguments: tuple[str, ...]) -> None:
    seen = shown(*arguments)
    assert b"Traceback" not in seen
    assert [raw for raw in RAW if raw in seen] == [], seen
    assert seen.strip()


@pytest.mark.parametrize("arguments", [("sensors", "get", "12.122"), ("export", "12.122.32", *DAY, "-o", "-")])
def test_messages_of_the_service_are_written_out(service: Simulator, arguments: tuple[str, ...]) -> None:
    service.faults.add(
        Fault(status=418, body=f'{{"message": "{HOSTILE}"}}'.replace("\x1b", "\\u001b").replace("\x07", "\\u0007"))
    )
    seen = shown(*arguments)
    assert b"owned" in seen
    assert b"Traceback" not in seen
    assert [raw for raw in RAW if raw in seen] == [], seen


@pytest.mark.usefixtures("service")
def test_files_mappings_and_their_names_are_written_out(tmp_path: Path) -> None:
    path = tmp_path / f"{HOSTILE}.csv"
    path.write_text(f"{HOSTILE},obis,time,value\n{HOSTILE},{HOSTILE},{HOSTILE},{HOSTILE}\n", encoding="utf-8")
    mapping = tmp_path / "m.toml"
    escaped = HOSTILE.encode("unicode_escape").decode().replace("\\x", "\\u00")
    mapping.write_text(f'[columns]\nmeter = "{escaped}"\nunit = "{escaped}!"\n', encoding="utf-8")
    for command in (["check", str(path)], ["ingest", "--simulate", str(path)]):
        for more in ([], ["--mapping", str(mapping)]):
            seen = shown(*command, *more)
            assert b"owned" in seen
            assert b"Traceback" not in seen
            assert [raw for raw in RAW if raw in seen] == [], seen
