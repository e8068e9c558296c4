"""The documentation as a whole: every page is found, every public name is described, and the tables are true."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

import besmart_async
from besmart_async.cli.exits import Exit
from besmart_async.simulator import Simulator
from tests.docs.blocks import DOCS, ROOT, pages

README = ROOT / "README.md"
MAX_README_LINES = 150


def nav(node: Any) -> Iterator[str]:
    match node:
        case str():
            yield node
        case list():
            yield from (name for each in node for name in nav(each))
        case dict():
            yield from (name for each in node.values() for name in nav(each))


def test_every_page_is_in_the_navigation() -> None:
    named = list(nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]))
    assert sorted(named) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_a_screen_and_a_half() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MAX_README_LINES


def described() -> set[str]:
    texts = [page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md")]
    return {name for text in texts for name in re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("package", ["", ".ingest", ".export", ".plots", ".simulator"])
def test_every_public_name_is_described(package: str) -> None:
    module = import_module(f"besmart_async{package}")
    if module.__name__ in described():  # with all names of its `__all__`
        return
    whole = {name for name in module.__all__ if getattr(module, name).__module__ in described()}
    assert {f"{module.__name__}.{name}" for name in module.__all__ if name not in whole} <= described()


def test_every_integration_is_described() -> None:
    modules = {path.stem: path.read_text("utf-8") for path in (ROOT / "besmart_async/integrations").glob("[a-z]*.py")}
    shared = {name for name in modules for text in modules.values() if f"besmart_async.integrations.{name} " in text}
    assert {f"besmart_async.integrations.{name}" for name in modules.keys() - shared} <= described()


def test_every_extra_is_in_the_settings() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    text = (DOCS / "settings.md").read_text("utf-8")
    assert [extra for extra in extras if f"`{extra}`" not in text] == []


def test_every_error_is_in_the_table_of_errors() -> None:
    text = (DOCS / "errors.md").read_text("utf-8")
    assert [name for name in besmart_async.__all__ if name.endswith("Error") and f"`{name}`" not in text] == []


def test_the_table_of_operations_has_all_26_with_their_requests() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)\(.*?\)` \| `([A-Z]+) (\S+)` \|", (DOCS / "operations.md").read_text("utf-8"), re.MULTILINE
    )
    published = {(method.upper(), path) for path, methods in Simulator().openapi["paths"].items() for method in methods}
    assert {(method, path) for _, method, path in rows} == published
    assert len({name for name, _, _ in rows}) == len(rows) == 26


@pytest.mark.parametrize("page", ["command.md", "how-to/ingest-files.md", "how-to/operating.md"])
def test_tables_of_exit_codes_have_all_of_them(page: str) -> None:
    table = re.search(r"^\| exit code \|.*\n\|[-|]+\n((?:\|.*\n)+)", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    assert table is not None
    assert [int(row.split("|")[1]) for row in table[1].splitlines()] == sorted(Exit)
