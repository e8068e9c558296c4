"""The command as a whole: help, version, speed, and how errors look."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from besmart_async.cli.app import COMMANDS, main
from besmart_async.version import __version__

Run = Callable[..., Any]


@pytest.mark.parametrize("path", [path for path, _, _ in COMMANDS])
def test_every_command_has_help(besmart: Run, path: str) -> None:
    done = besmart(*path.split(), "--help")
    assert done.code == 0
    assert f"besmart {path}" in done.out


@pytest.mark.parametrize(("where", "text"), [(where, text) for _, where, text in COMMANDS])
def test_the_lines_of_the_help_lead_to_functions(where: str, text: str) -> None:
    module, _, name = where.partition(":")
    assert callable(getattr(import_module(f"besmart_async.cli.commands.{module}"), name))
    assert text.endswith(".")


def test_the_help_of_a_command_is_whole_and_its_paragraphs_fit_the_terminal(besmart: Run) -> None:
    lines = besmart("export", "--help").out.splitlines()
    start = lines.index("Write the readings of signals to a file that besmart ingest can read back.")
    assert lines[start + 2].startswith("Columns: client_cid, sensor_mid, signal_type_moid")
    assert any(line.startswith("Exit codes: 0 done, 1 failed") for line in lines)
    assert max(map(len, lines)) <= 80


def test_help_lists_the_commands(besmart: Run) -> None:
    done = besmart("--help")
    assert done.code == 0
    for word in ("ingest", "simulate", "sensors", "signals", "BESMART_LOGIN"):
        assert word in done.out


def test_its_version_is_that_of_the_package(besmart: Run) -> None:
    done = besmart("--version")
    assert (done.code, done.out) == (0, f"besmart {__version__}\n")


def test_an_unknown_command_is_wrong_usage(besmart: Run) -> None:
    done = besmart("fly")
    assert done.code == 2
    assert "fly" in done.err


def test_help_loads_no_command() -> None:
    program = (
        "import sys\n"
        "from besmart_async.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith('besmart_async.cli.')], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "['besmart_async.cli.app']"


@pytest.mark.parametrize(("given", "used"), [(None, "1"), ("3", "3")])
def test_a_command_starts_no_threads_for_matrices_unless_told_and_not_the_command_line_of_httpx(
    given: str | None, used: str
) -> None:
    program = (
        "import os, sys\n"
        "from besmart_async.cli import main\n"
        "try: main(['ingest', '--help'])\n"
        "except SystemExit: pass\n"
        "import httpx, numpy\n"
        "print(os.environ['OPENBLAS_NUM_THREADS'], 'click' in sys.modules, callable(httpx.main), file=sys.stderr)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if given is not None:
        environment["OPENBLAS_NUM_THREADS"] = given
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr.strip() == f"{used} False True"


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    program = "from besmart_async.cli import main; main(['--help'])"
    shell = f'{sys.executable} -c "{program}" | true'
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Callable[[list[str]], None]:
        def run(_: list[str]) -> None:
            raise ZeroDivisionError

        return run

    monkeypatch.setattr("besmart_async.cli.app.build", broken)
    with pytest.raises(ZeroDivisionError):
        main([])


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_commands_and_options(besmart: Run, tmp_path: Path) -> None:
    script = tmp_path / "besmart"
    script.write_text(besmart("completion", "bash").out)
    for words, expected in ((["besmart", "exp"], "export"), (["besmart", "export", "--esc"], "--escape-formulas")):
        code = f"""
            source {script}
            COMP_WORDS=({" ".join(words)}) COMP_CWORD={len(words) - 1}
            _besmart
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert expected in done.stdout.split(), done.stderr


@pytest.mark.parametrize(("option", "level"), [("-v", "info"), ("--verbose", "info"), ("-vv", "debug")])
def test_every_command_may_say_more(
    besmart: Run, monkeypatch: pytest.MonkeyPatch, service: object, option: str, level: str
) -> None:
    monkeypatch.setenv("BESMART_LOG", "")
    assert besmart("sensors", "types", option).code == 0
    assert os.environ["BESMART_LOG"] == level
