"""Every code block of the README and of the documentation runs, against an embedded service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from besmart_async.simulator import Simulator
from tests.docs.blocks import DATA, ROOT, RUNNABLE, Block, blocks_of, pages
from tests.docs.stage import Stage, environment_of
from tests.services import served_in_a_thread

MOST_PARSED = 10
"""Blocks that are parsed and not run: each is a promise that nobody keeps for us."""

PAGES = [page for page in pages() if any(block.language for block in blocks_of(page))]
ALL = [block for page in PAGES for block in blocks_of(page)]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A folder, and a service with the examples of the API document and one sensor of every meter in the pages."""
    with served_in_a_thread(Simulator, monkeypatch):
        made = Stage(tmp_path, environment_of(tmp_path))
        yield made
        made.close()


@pytest.mark.timeout(600)  # a page starts a dozen processes
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_of_a_page_runs(page: Path, stage: Stage) -> None:
    for block in blocks_of(page):
        stage.run(block)
    stage.run_tests()


@pytest.mark.parametrize("block", [block for block in ALL if block.language], ids=lambda block: block.place)
def test_every_block_has_a_language_that_is_run_or_parsed(block: Block) -> None:
    assert block.language in RUNNABLE | DATA


def test_what_is_only_parsed_says_why_and_is_little() -> None:
    parsed = [block for block in ALL if block.directive == "parsed" and block.language in RUNNABLE]
    assert [block.place for block in parsed if len(block.argument) < 10] == []
    assert len(parsed) <= MOST_PARSED
