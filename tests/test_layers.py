"""Imports point down only, and httpx and tenacity stay in their room (DESIGN: Layers)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "besmart_async"

LAYERS = (
    {"errors"},
    {"config"},
    {"models"},
    {"wire"},
    {"transport"},
    {"resources"},
    {"batching"},
    {"client"},
    {"export", "ingest", "integrations", "plots"},
    {"simulator"},
    {"testing"},
    {"cli", "__init__", "__main__"},
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

ONLY_IN_TRANSPORT = {"httpx", "httpx_aiohttp", "aiohttp", "tenacity"}
PURE_BATCHING = """
accounts coalescer credit flushes gathering grids holds intake isolation lane_queue lanes matching outcomes pacing
packer packing read_report report salvage segments settlement stock traffic windows
"""
PURE = ("wire", "models", *(f"batching/{name}.py" for name in PURE_BATCHING.split()))
IMPURE_MODULES = {"time", "asyncio", "anyio", "logging", "random", "socket", "threading"}

SIMULATOR_MAY_USE = {"simulator"}
"""The simulator is the oracle of our tests: it must not share code with what it judges."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def runtime_imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield imported modules, leaving out those under `if TYPE_CHECKING:`."""
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    assert room in RANK, f"{path.name}: a new room needs a place in the layers"
    for module, line in runtime_imports(ast.parse(path.read_text("utf-8"))):
        top, _, rest = module.partition(".")
        if top in ONLY_IN_TRANSPORT and module != "aiohttp.web":  # aiohttp's server side is no HTTP client
            assert room == "transport", f"{path}:{line}: {top} outside transport/"
        if top != "besmart_async":
            continue
        target = rest.partition(".")[0] or "__init__"
        if room == "simulator":
            assert target in SIMULATOR_MAY_USE, f"{path}:{line}: the simulator must stay independent of {target}"
        assert target == room or RANK[target] < RANK[room], f"{path}:{line}: {room} must not import {target}"


@pytest.mark.parametrize("part", PURE)
def test_the_core_is_pure(part: str) -> None:
    place = PACKAGE / part
    for path in [place] if place.suffix else sorted(place.rglob("*.py")):
        if not path.exists():
            pytest.fail(f"{path} is gone: mend this list")
        tree = ast.parse(path.read_text("utf-8"))
        impure = {module.partition(".")[0] for module, _ in runtime_imports(tree)} & IMPURE_MODULES
        assert not impure, f"{path}: {impure}"
        assert not any(isinstance(node, ast.Await) for node in ast.walk(tree)), path


def test_package_inits_only_reexport() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            allowed = isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign)
            assert allowed, f"{path}:{node.lineno}: only re-exports here"
