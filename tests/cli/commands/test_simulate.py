"""`besmart simulate` as a process."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="stopped by POSIX signals here")
COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()"]


def started(*arguments: str) -> tuple["subprocess.Popen[str]", dict[str, str]]:
    process = subprocess.Popen(
        [*COMMAND, "simulate", "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    lines = [process.stdout.readline().strip() for _ in range(5)]
    assert lines[0].startswith("http://127.0.0.1:")
    return process, dict(line.removeprefix("export ").split("=", 1) for line in lines[1:])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_it_prints_is_the_environment_of_a_working_client_and_it_stops_cleanly(number: signal.Signals) -> None:
    process, environment = started()
    with process:
        done = subprocess.run(
            [*COMMAND, "sensors", "get", "12.122"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
    assert "Electric meter no 122" in done.stdout
    assert process.returncode == 0
    assert err.splitlines()[-1] == "stopped"


def test_it_logs_requests_without_secrets() -> None:
    process, environment = started("--log")
    with process:
        env = {**os.environ, **environment}
        for mid in ("122", "999"):
            subprocess.run([*COMMAND, "sensors", "get", f"12.{mid}"], env=env, capture_output=True, check=False)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    lines = [line for line in err.splitlines() if "/sensors/" in line or "/users/" in line]
    assert [re.sub(r"^\S+ |, \d+ (bytes|ms)", "", line) for line in lines] == [
        "POST /users/token (users.get_token): 200",
        "GET /sensors/12.122 (sensors.get_id): 200",
        "POST /users/token (users.get_token): 200",
        "GET /sensors/12.999 (sensors.get_id): 404",
    ]
    assert not any(secret in err for secret in ("API_KEY", "password"))


def test_a_database_file_keeps_what_was_written(tmp_path: Path) -> None:
    readings = tmp_path / "readings.csv"
    readings.write_text("meter,obis,time,value\n1.2,A+,1704067200000,7.5\n", encoding="utf-8")
    database = str(tmp_path / "kept.db")
    for arguments in (
        ["ingest", str(readings), "--no-chart"],
        ["signals", "read", "1.2.32", "--since", "1704067200000"],
    ):
        process, environment = started("--database", database)
        with process:
            more = ["--till", "1704067200001"] if arguments[0] == "signals" else []
            done = subprocess.run(
                [*COMMAND, *arguments, *more],
                env={**os.environ, **environment},
                capture_output=True,
                text=True,
                check=True,
            )
            process.terminate()
            process.communicate(timeout=10)
    assert "7.5" in done.stdout


def test_a_port_in_use_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([*COMMAND, "simulate", "--port", str(port)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_its_extra_it_says_what_to_install(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from besmart_async.cli import main; main()"
    command = [sys.executable, "-c", program, "simulate", "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "pip install 'besmart-async[simulator]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode != 0
