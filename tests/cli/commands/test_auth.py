"""`besmart auth` as a user calls it."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from besmart_async.cli.credentials import FileStore
from besmart_async.cli.exits import Exit

Run = Callable[..., Any]
Give = Callable[..., None]
COMMAND = [sys.executable, "-c", "from besmart_async.cli import main; main()", "auth"]


@pytest.fixture
def give(service: None, monkeypatch: pytest.MonkeyPatch) -> Give:
    """Take the account out of the environment, and put it on standard input."""
    lines = {name: os.environ[f"BESMART_{name}"] for name in ("BASE_URL", "API_KEY", "LOGIN", "PASSWORD")}
    for name in lines:
        monkeypatch.delenv(f"BESMART_{name}")

    def put(**changes: str | None) -> None:
        given = lines | changes
        text = "".join(f"export BESMART_{name}='{value}'\n" for name, value in given.items() if value is not None)
        monkeypatch.setattr("sys.stdin", io.StringIO(f"http://127.0.0.1\n{text}"))

    return put


def test_who_logs_in_can_use_the_other_commands_until_logging_out(besmart: Run, give: Give) -> None:
    give()
    done = besmart("auth", "login", "--stdin")
    assert done.code == Exit.OK
    assert "logged in as login (user 1)" in done.out
    assert f"kept in {FileStore.of_user()}" in done.out
    assert besmart("sensors", "get", "12.122").code == Exit.OK
    assert "removed from file" in besmart("auth", "logout").out
    done = besmart("sensors", "get", "12.122")
    assert (done.code, "besmart auth login" in done.err) == (Exit.AUTHENTICATION, True)
    assert "nothing to forget" in besmart("auth", "logout").out


def test_status_shows_whose_and_where_and_no_secret(besmart: Run, give: Give) -> None:
    give()
    besmart("auth", "login", "--stdin")
    for arguments in ((), ("--json",), ("--no-check",)):
        done = besmart("auth", "status", *arguments)
        assert done.code == Exit.OK
        assert "API_KEY" not in done.out
        assert '"password"' not in done.out.replace('"password": true', "")
    found = json.loads(besmart("auth", "status", "--json").out)
    assert (found["login"], found["password"], found["works"], found["user_id"]) == ("login", True, True, 1)
    assert found["from"] == str(FileStore.of_user())


@pytest.mark.usefixtures("service")
def test_the_environment_comes_first_and_is_said_so(besmart: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(besmart("auth", "status", "--json").out)["from"] == "environment"
    done = besmart("auth", "login", "--from-env")
    assert "they come first" in done.err
    assert FileStore.of_user().path.exists()
    monkeypatch.setenv("BESMART_PASSWORD", "another-one")
    done = besmart("auth", "status")
    assert done.code == Exit.AUTHENTICATION
    assert "another-one" not in done.out + done.err
    assert "401" in done.err


@pytest.mark.usefixtures("without_service")
def test_nobody_logged_in_is_code_4(besmart: Run) -> None:
    done = besmart("auth", "status")
    assert (done.code, "besmart auth login" in done.err) == (Exit.AUTHENTICATION, True)


def test_what_does_not_work_is_not_kept(besmart: Run, give: Give) -> None:
    give(PASSWORD="hunter2-wrong")
    done = besmart("auth", "login", "--stdin")
    assert done.code == Exit.AUTHENTICATION
    assert "hunter2-wrong" not in done.out + done.err
    assert not FileStore.of_user().path.exists()
    give(PASSWORD="hunter2-wrong")
    assert "unchecked" in besmart("auth", "login", "--stdin", "--no-check").out
    assert FileStore.of_user().path.exists()


def test_a_token_will_do(besmart: Run, give: Give) -> None:
    give(LOGIN=None, PASSWORD=None, API_KEY=None, TOKEN="no-such-token")
    done = besmart("auth", "login", "--stdin")
    assert done.code == Exit.AUTHENTICATION
    assert "no-such-token" not in done.out + done.err


def test_plain_http_to_another_machine_has_to_be_allowed(
    besmart: Run, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BESMART_BASE_URL", "http://meters.invalid/api")
    give(BASE_URL="http://meters.invalid/api")
    refused = besmart("auth", "login", "--stdin")
    assert (refused.code, "BESMART_ALLOW_INSECURE_HTTP=1" in refused.err) == (Exit.USAGE, True)
    give(BASE_URL="http://meters.invalid/api")
    assert besmart("auth", "login", "--stdin", "--no-check").code == Exit.OK
    assert "--allow-insecure-http" in besmart("sensors", "types").err
    monkeypatch.setenv("BESMART_ALLOW_INSECURE_HTTP", "1")
    assert besmart("sensors", "types").code == Exit.UNAVAILABLE  # there is no such machine
    monkeypatch.delenv("BESMART_ALLOW_INSECURE_HTTP")
    give(BASE_URL="http://meters.invalid/api")
    assert besmart("auth", "login", "--stdin", "--no-check", "--allow-insecure-http").code == Exit.OK
    assert besmart("sensors", "types").code == Exit.UNAVAILABLE
    monkeypatch.setenv("BESMART_ALLOW_INSECURE_HTTP", "perhaps")
    done = besmart("sensors", "types")
    assert (done.code, "set it to 1 or 0" in done.err) == (Exit.USAGE, True)


def test_an_account_is_not_shown_to_another_service(besmart: Run, give: Give, monkeypatch: pytest.MonkeyPatch) -> None:
    give()
    besmart("auth", "login", "--stdin")
    monkeypatch.setenv("BESMART_BASE_URL", "http://127.0.0.1:1/api")
    done = besmart("sensors", "types")
    assert (done.code, "run besmart auth login for that service" in done.err) == (Exit.USAGE, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stdin", "--from-env"], "not both"),
        ([], "no terminal"),
        (["--stdin", "--store", "keyring"], "besmart-async[keyring]"),
        (["--stdin", "--base-url", "ftp://x"], "ftp"),
        (["--password", "x"], "--password"),
    ],
)
def test_wrong_usage_is_explained_with_code_2(besmart: Run, give: Give, arguments: list[str], words: str) -> None:
    give()
    done = besmart("auth", "login", *arguments)
    assert done.code == Exit.USAGE
    assert words in done.err


def test_incomplete_or_broken_input_is_refused_without_showing_it(
    besmart: Run, give: Give, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(PASSWORD=None)
    assert "give BESMART_LOGIN and BESMART_PASSWORD" in besmart("auth", "login", "--stdin").err
    monkeypatch.setattr("sys.stdin", io.StringIO("BESMART_PASSWORD='s3cret\n"))
    done = besmart("auth", "login", "--stdin")
    assert "line 1" in done.err
    assert "s3cret" not in done.err


@pytest.mark.usefixtures("without_service")
def test_input_that_ends_early_keeps_nothing(besmart: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal(""))
    done = besmart("auth", "login")
    assert (done.code, "nothing was kept" in done.err) == (Exit.USAGE, True)


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
def test_on_a_terminal_it_asks_and_does_not_show_what_is_typed(give: Give, tmp_path: Path) -> None:
    give()
    base_url = sys.stdin.read().split("BASE_URL='")[1].split("'")[0]
    environ = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    terminal, theirs = pty.openpty()
    command = [*COMMAND, "login", "--base-url", base_url]
    with subprocess.Popen(
        command, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        answers = {b"Login: ": b"login\n", b"Password: ": b"password\n", b"none): ": b"API_KEY\n"}
        try:
            while chunk := os.read(terminal, 1000):
                shown += chunk
                for prompt in [prompt for prompt in answers if shown.endswith(prompt)]:
                    os.write(terminal, answers.pop(prompt))
        except OSError:  # Linux ends a terminal's output so
            pass
    os.close(terminal)
    assert process.returncode == Exit.OK
    assert b"logged in as login (user 1)" in shown
    assert b"API_KEY" not in shown
    assert shown.count(b"password") == 0
    kept = subprocess.run([*COMMAND, "status"], env=environ, capture_output=True, text=True, check=True)
    assert "works" in kept.stdout
