"""The documentation as a whole: every page is found, every public name is described, and the tables are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import besmart_async
from besmart_async.cli.exits import Exit
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


def test_every_public_name_is_described_once() -> None:
    assert {f"besmart_async.{name}" for name in besmart_async.__all__} <= described()


@pytest.mark.parametrize("page", ["command.md", "how-to/ingest-files.md", "how-to/operating.md"])
def test_tables_of_exit_codes_have_all_of_them(page: str) -> None:
    table = re.search(r"^\| exit code \|.*\n\|[-|]+\n((?:\|.*\n)+)", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    assert table is not None
    assert [int(row.split("|")[1]) for row in table[1].splitlines()] == sorted(Exit)
