"""What runs a page: one namespace, one folder and one embedded service for all its blocks."""

from __future__ import annotations

import ast
import asyncio
import configparser
import contextlib
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml

from besmart_async.cli.app import build
from tests.docs.blocks import ROOT, Block

_SECONDS = 300
"""So long may a block take on a busy machine; it takes a few."""
_PYTEST_INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""


@attrs.define
class Stage:
    """Runs blocks of one page.

    Attributes:
        folder: the folder in which the page's reader works.
        environment: the variables of the commands.
    """

    folder: Path
    environment: Mapping[str, str]
    _names: dict[str, Any] = attrs.field(factory=lambda: {"__name__": "__page__"}, init=False)
    _runner: asyncio.Runner = attrs.field(factory=asyncio.Runner, init=False)
    _serving: list[subprocess.Popen[str]] = attrs.field(factory=list, init=False)
    _tests: list[Block] = attrs.field(factory=list, init=False)

    def close(self) -> None:
        """End what still runs."""
        for process in self._serving:
            process.terminate()
            process.wait(_SECONDS)
            if process.stdout is not None:
                process.stdout.close()
        self._runner.close()

    def run(self, block: Block) -> None:
        """Run a block as its directive says."""
        if block.directive == "ci":
            return
        if block.directive == "parsed":
            parse(block)
        elif block.directive == "installs":
            check_extras(block)
        elif block.directive == "file":
            path = self.folder / block.argument
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.source, "utf-8")
            parse(block)
        elif block.directive == "pytest":
            (self.folder / f"test_line_{block.line}.py").write_text(block.source, "utf-8")
            self._tests.append(block)
        elif block.language == "python":
            self._python(block)
        elif block.language == "shell":
            self._shell(block)
        else:
            parse(block)

    def _python(self, block: Block) -> None:
        """Run it as a notebook would: names stay, and `await` works outside of functions."""
        source = "\n" * (block.line - 1) + block.source  # so that tracebacks name the line of the page
        code = compile(source, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        with contextlib.chdir(self.folder):
            if code.co_flags & inspect.CO_COROUTINE:
                self._runner.run(eval(code, self._names))
            else:
                exec(code, self._names)

    def _shell(self, block: Block) -> None:
        command = ["bash", "-euo", "pipefail", "-c", block.source]
        if block.directive == "serves":
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, text=True
            )
            self._serving.append(process)
            assert process.stdout is not None
            assert process.stdout.readline(), f"{block.place}: ended without a word"
            return
        code = int(block.argument) if block.directive == "exit" else 0
        self._finish(block, command, code)

    def run_tests(self) -> None:
        """Run the test modules of the page, all in one process."""
        if not self._tests:
            return
        (self.folder / "pytest.ini").write_text(_PYTEST_INI, "utf-8")
        self._finish(self._tests[0], [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], 0)

    def _finish(self, block: Block, command: list[str], code: int) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        assert done.returncode == code, f"{block.place}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"


def environment_of(folder: Path) -> dict[str, str]:
    """Return the variables of commands: they find this package and its command, and keep their files in `folder`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {f"XDG_{kind}_HOME": str(folder / ".user" / kind.casefold()) for kind in ("STATE", "CONFIG", "CACHE")}
    keyring = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **kept, **keyring}


def parse(block: Block) -> None:
    """Check what can be checked without running: the syntax, and the arguments of every `besmart` command."""
    if parser := _PARSERS.get(block.language):
        for command in parser(block.source):
            check_arguments(block, command)


def check_extras(block: Block) -> None:
    """Check that the project has every extra that the block installs."""
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = [extra for names in re.findall(r"\[([a-z,]+)\]", block.source) for extra in names.split(",")]
    assert named or "pip install" in block.source, f"{block.place}: installs nothing"
    assert set(named) <= set(known), f"{block.place}: {set(named) - set(known)}"


def check_arguments(block: Block, command: list[str]) -> None:
    """Check that the command takes these arguments."""
    arguments = command[1:]
    _, bound, _ = build(arguments).parse_args(arguments, print_error=False, exit_on_error=False)
    taken_for_files = [name for name in bound.arguments.get("files", ()) if name.startswith("--")]
    assert not taken_for_files, f"{block.place}: no such option: {taken_for_files}"


def _in_python(source: str) -> Iterator[list[str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("besmart "):
            yield shlex.split(node.value)


def _in_shell(source: str) -> Iterator[list[str]]:
    subprocess.run(["bash", "-n", "-c", source], check=True)
    for line in source.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] == "besmart":
            yield words


def _in_toml(source: str) -> Iterator[list[str]]:
    tomllib.loads(source)
    yield from ()


def _in_json(source: str) -> Iterator[list[str]]:
    json.loads(source)
    yield from ()


def _in_yaml(source: str) -> Iterator[list[str]]:
    for document in yaml.safe_load_all(source):
        yield from _commands_in(document)


def _commands_in(node: object) -> Iterator[list[str]]:
    if isinstance(node, Mapping):
        yield from (each for value in node.values() for each in _commands_in(value))
    elif isinstance(node, list):
        if node and node[0] == "besmart":
            yield [str(word) for word in node]
        else:
            yield from (each for value in node for each in _commands_in(value))
    elif isinstance(node, str) and node.startswith("besmart "):
        yield shlex.split(node)


def _in_ini(source: str) -> Iterator[list[str]]:
    """Yield the commands of systemd units."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]
    parser.read_string(source)
    for section in parser.sections():
        for name, value in parser.items(section):
            if name.startswith("Exec") and "/besmart " in value:
                yield shlex.split(value)


def _in_crontab(source: str) -> Iterator[list[str]]:
    """Yield the commands of the lines that are not settings: after five fields of time."""
    for line in source.splitlines():
        if re.match(r"[A-Z_]+=", line):
            continue
        fields = line.split(maxsplit=5)
        assert all(re.fullmatch(r"[0-9*,/-]+", field) for field in fields[:5]), f"{line!r}: five fields of time first"
        command = fields[5].replace("flock -n /var/lib/besmart/lock ", "")
        yield from (words for part in re.split(r"\|\||&&|;", command) for words in _in_shell(part.strip()))


_PARSERS: dict[str, Callable[[str], Iterator[list[str]]]] = {
    "python": _in_python,
    "shell": _in_shell,
    "toml": _in_toml,
    "json": _in_json,
    "yaml": _in_yaml,
    "ini": _in_ini,
    "crontab": _in_crontab,
}
