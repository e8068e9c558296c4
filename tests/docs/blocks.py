"""The code blocks of the documentation, and what the comments before them tell the tests.

A block runs unless a comment right before it says otherwise; readers do not see the comments:

- `<!-- test: hidden`, lines of Python, `-->`: run at this place, to prepare or to check. `hidden shell` for a shell.
- `<!-- test: file NAME -->`: the block is written to this file of the page's folder.
- `<!-- test: pytest -->`: the block is a test module, and pytest runs it.
- `<!-- test: serves -->`: the shell block runs until the page is done; a line of output shows that it is up.
- `<!-- test: exit CODE -->`: the shell block ends with this code.
- `<!-- test: installs -->`: not run; the extras it names are compared with those of the project.
- `<!-- test: parsed: REASON -->`: not run, only parsed, for the reason given.
- `<!-- ci: NAME -->`: `.ci/run` runs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUNNABLE = {"python", "shell"}
DATA = {"toml", "yaml", "ini", "json", "csv", "crontab"}
_COMMENT = re.compile(r"<!--\s*(test|ci): (.*?)\s*-->", re.DOTALL)


@attrs.frozen
class Block:
    """A code block, or the hidden lines of a comment.

    Attributes:
        line: of the file, of the first line of the source; from 1.
        language: the first word after the fence; empty for output and drawings.
        directive: the first word of the comment before it; empty if there is none.
        argument: what follows it.
    """

    page: Path
    line: int
    language: str
    source: str
    directive: str = ""
    argument: str = ""

    @property
    def place(self) -> str:
        """Where it is, to click on."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Return every page that users read."""
    return [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in their order."""
    directive = argument = ""
    for token in MarkdownIt("commonmark").parse(page.read_text("utf-8")):
        if token.map is None or token.nesting == -1:
            continue
        if token.type == "html_block" and (comment := _COMMENT.match(token.content.strip())):
            kind, text = comment.groups()
            first, _, rest = text.partition("\n")
            directive, _, argument = (f"ci {first}" if kind == "ci" else first).partition(" ")
            if directive == "hidden":
                yield Block(page, token.map[0] + 2, argument or "python", rest + "\n", directive)
                directive = argument = ""
        elif token.type == "fence":
            language = token.info.split()[0] if token.info.strip() else ""
            yield Block(page, token.map[0] + 2, language, token.content, directive.rstrip(":"), argument)
            directive = argument = ""
        else:
            assert not directive, f"{page}:{token.map[0]}: the comment 'test: {directive}' stands before no code block"
