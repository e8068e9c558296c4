"""The table of docs/guarantees.md: every test it names is there, and every family of faults is in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
FOLDER = Path(__file__).parent


def section() -> str:
    """The text below the heading, up to the next one."""
    found = re.search(r"^# What is guaranteed\n(.*?)(^#|\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert found is not None, "docs/guarantees.md has no section 'What is guaranteed'"
    return found[1]


def rows() -> list[list[str]]:
    """The cells of the table's rows."""
    lines = [line for line in section().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def named_tests() -> list[tuple[str, str]]:
    """File and name of every test in the last column; names without a file are in the file named before them.

    Files are in tests/faults, or with a folder in tests.
    """
    tests: list[tuple[str, str]] = []
    for row in rows():
        file = ""
        for quoted in re.findall(r"`([^`]+)`", row[-1]):
            before, _, name = quoted.rpartition("::")
            file = before or file
            tests.append((file, name))
    return tests


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


@pytest.mark.parametrize(("file", "name"), named_tests())
def test_every_test_that_the_table_names_is_there(file: str, name: str) -> None:
    path = (FOLDER.parent if "/" in file else FOLDER) / file
    assert path.is_file(), f"there is no {path}"
    assert f"test_{name}" in names_in(path), f"there is no test_{name} in {path}"


def test_every_row_tells_what_happens_and_names_a_test() -> None:
    found = rows()
    assert len(found) > 20
    assert [row for row in found if len(row) != 3 or not all(row) or "::" not in row[2]] == []


def test_every_family_of_faults_is_in_the_table() -> None:
    own = {"test_oracle.py", "test_guarantees.py"}  # these test the suite itself
    named = {file.rpartition("/")[2] for file, _ in named_tests()}
    assert {path.name for path in FOLDER.glob("test_*.py")} - own <= named
