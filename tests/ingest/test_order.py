"""The folders of the ingest are in the order in which data passes them: none imports a later one."""

import ast
from pathlib import Path

import pytest

INGEST = Path(__file__).parents[2] / "besmart_async" / "ingest"
ORDER = (
    "report",
    "spill",
    "sources",
    "rejects",
    "parse",
    "mapping",
    "checkpoint",
    "pages",
    "send",
    "verify",
    "check",
    "job",
    "partition",
    "cuts",
    "suggest",
)


@pytest.mark.parametrize("name", ORDER)
def test_imports_point_back_to_where_data_comes_from(name: str) -> None:
    files = [INGEST / f"{name}.py"] if (INGEST / f"{name}.py").exists() else [*(INGEST / name).glob("*.py")]
    assert files
    for file in files:
        nodes = ast.walk(ast.parse(file.read_text("utf-8")))
        modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        for parts in (module.split(".") for module in modules):
            if parts[:2] == ["besmart_async", "ingest"] and len(parts) > 2:
                assert parts[2] == name or ORDER.index(parts[2]) < ORDER.index(name), f"{file}: {'.'.join(parts)}"


def test_every_part_has_its_place() -> None:
    parts = {path.stem for path in INGEST.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert parts - {"__init__", "workers"} == set(ORDER)
