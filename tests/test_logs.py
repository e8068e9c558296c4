"""The logger of the package and BESMART_LOG, in real processes: what a program prints, whatever it configured."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from besmart_async import logs

SAY = """
import logging
import besmart_async
besmart_async.BesmartClient
logger = logging.getLogger("besmart_async")
for level in ("debug", "info", "warning", "error"):
    getattr(logger, level)("this is %s", level)
"""
FIRST = {
    "nothing": "",
    "basicConfig": "import logging; logging.basicConfig(format='app: %(message)s')\n",
    "a null handler": "import logging; logging.getLogger('besmart_async').addHandler(logging.NullHandler())\n",
    "a handler of its own, no propagation": (
        "import logging, sys; one = logging.getLogger('besmart_async'); one.propagate = False\n"
        "one.addHandler(logging.StreamHandler(sys.stderr))\n"
    ),
}
WRITE = """
import asyncio, contextlib, sys
from besmart_async import BatchPolicy, BesmartClient, SignalKey

how, base_url = sys.argv[1:]

async def work(client, entered):
    async with client.writer(BatchPolicy(close_timeout_s=0.3)) as writer:
        for n in range(1000):
            await writer.write(SignalKey(12, 122, 32), 1_700_000_000_000 + n, 1.5)
        if how == "exit":
            sys.exit(0)
        entered.set()
        await asyncio.Event().wait()

async def main():
    async with BesmartClient(token="t", base_url=base_url) as client:
        entered = asyncio.Event()
        task = asyncio.ensure_future(work(client, entered))
        if how == "exit":
            await task
        await entered.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

async def leave_open():
    writer = BesmartClient(token="t", base_url=base_url).writer()
    for n in range(100):
        await writer.write(SignalKey(12, 122, 32), 1_700_000_000_000 + n, 1.5)
    globals()["kept"] = writer if how == "kept open" else None

asyncio.run(main() if how in ("cancel", "exit") else leave_open())
"""


def printed(code: str, *arguments: str, level: str | None = None) -> list[str]:
    """Run a program as its users do, without Python's development options; return what it prints to stderr."""
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONWARNINGS", logs.VARIABLE}}
    if level is not None:
        environ[logs.VARIABLE] = level
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    return done.stderr.splitlines()


@pytest.fixture
def dead_service() -> Iterator[str]:
    """The address of a port that nobody listens on, and that nobody else can take."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/api"


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("nothing", ["this is warning", "this is error"]),
        ("basicConfig", ["app: this is warning", "app: this is error"]),
        ("a null handler", []),
        ("a handler of its own, no propagation", ["this is warning", "this is error"]),
    ],
)
def test_a_message_is_printed_once_or_goes_where_the_application_says(first: str, expected: list[str]) -> None:
    assert printed(FIRST[first] + SAY) == expected


@pytest.mark.parametrize(
    ("level", "count"),
    [("debug", 4), ("INFO", 3), (" warning ", 2), ("error", 1)],
    ids=["debug", "info", "warn", "err"],
)
def test_the_variable_sets_what_is_printed_with_time_and_level(level: str, count: int) -> None:
    lines = printed(SAY, level=level)
    levels = ["DEBUG", "INFO", "WARNING", "ERROR"][-count:]
    assert [line.partition(" besmart_async: ")[2] for line in lines] == [f"this is {name.lower()}" for name in levels]
    assert [line.split()[2] for line in lines] == levels


def test_with_the_variable_the_applications_handlers_get_the_messages_as_well() -> None:
    lines = printed(FIRST["basicConfig"] + SAY, level="info")
    assert [line for line in lines if line.startswith("app: ")] == [
        f"app: this is {level}" for level in ("info", "warning", "error")
    ]
    assert len(lines) == 6


def test_an_unknown_level_is_said_and_changes_nothing() -> None:
    first, *rest = printed(SAY, level="loud")
    assert first == "BESMART_LOG='loud' is not a level: give debug, info, warning, error"
    assert rest == ["this is warning", "this is error"]


def test_an_empty_variable_is_none() -> None:
    assert printed(SAY, level="") == ["this is warning", "this is error"]


def test_importing_the_package_alone_sets_nothing_up() -> None:
    code = "import sys, besmart_async; print('logging' in sys.modules, file=sys.stderr)"
    assert printed(code, level="loud") == ["False"]


def test_it_is_set_up_once() -> None:
    one = logging.Logger("of this test")
    for _ in range(3):
        logs.set_up_logging({}, one)
    assert len(one.handlers) == 1


@pytest.mark.parametrize("how", ["cancel", "exit"])
def test_readings_that_a_cancelled_task_or_an_exit_gives_up_are_said_on_stderr(how: str, dead_service: str) -> None:
    said = "\n".join(printed(WRITE, how, dead_service))
    assert "gave up 1000 readings of 1 signals" in said
    assert "12.122.32" in said


@pytest.mark.parametrize("how", ["forgotten", "kept open"])
def test_a_writer_that_nobody_closed_says_what_is_lost_with_it(how: str, dead_service: str) -> None:
    said = [line for line in printed(WRITE, how, dead_service) if "never closed" in line]
    assert len(said) == 1
    assert "100 of 100 accepted readings were not delivered and are lost" in said[0]
