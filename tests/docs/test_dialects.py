"""The table in docs/dialects.md against the tables that the client uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from besmart_async.wire.dialect import DOCUMENTED, LIVE

PAGE = (Path(__file__).parents[2] / "docs" / "dialects.md").read_text("utf-8")
ROWS = {
    cells[0].strip("` "): cells[1:]
    for line in PAGE.splitlines()
    if re.match(r"\| `\w+\.\w+` ", line)
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}
NAMES = [name for name in dict.fromkeys((*DOCUMENTED.forms, *LIVE.forms)) if "@" not in name]


def test_every_operation_has_a_row() -> None:
    assert sorted(ROWS) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_what_the_tables_say(name: str) -> None:
    documented, live, _ = ROWS[name]
    for cell, dialect in ((documented, DOCUMENTED), (live, LIVE)):
        form = dialect.forms.get(name)
        assert (cell == "missing") == (form is None), dialect.name
        if form is None:
            continue
        for request in re.findall(r"`([A-Z]+ \S+)`", cell):
            method, _, path = request.partition(" ")
            assert method == form.method
            assert form.path.endswith(path.removeprefix("…").removesuffix("/…")), (path, form.path)
        if dialect is DOCUMENTED:
            assert form.method in cell
        elif not re.search(r"`[A-Z]+ ", cell):
            assert form.path == DOCUMENTED.forms[name].path, "no path is given where it is the document's"
        assert ("JSON body" in cell) == bool(form.fields) or name.startswith("tasks.")
        for status in form.statuses:
            assert str(status) in cell or status in {200, 202} or dialect is LIVE, (name, status)
