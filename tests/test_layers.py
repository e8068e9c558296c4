"""Imports point down only, and httpx and tenacity stay in their room (DESIGN: Layers)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "besmart_async"

LAYERS = (
    {"errors", "version"},
    {"config", "logs"},
    {"models"},
    {"wire"},
    {"transport"},
    {"resources"},
    {"cancellation"},
    {"batching"},
    {"client"},
    {"portal"},
    {"export", "ingest", "integrations", "plots", "streams"},
    {"engines"},
    {"simulator"},
    {"testing"},
    {"cli", "__init__", "__main__"},
)
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

ONLY_IN_TRANSPORT = {"httpx", "httpx_aiohttp", "aiohttp", "tenacity"}
PURE_FOLDERS = {"core", "models", "wire"}
"""Folders of these names hold pure code, wherever they stand."""
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


def is_pure(path: Path) -> bool:
    return not PURE_FOLDERS.isdisjoint(path.relative_to(PACKAGE).parts[:-1])


@pytest.mark.parametrize("path", [*filter(is_pure, modules())], ids=lambda path: str(path.relative_to(PACKAGE)))
def test_pure_folders_hold_pure_code(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    impure = {module.partition(".")[0] for module, _ in runtime_imports(tree)} & IMPURE_MODULES
    assert not impure, f"{path}: {impure}"
    assert not any(isinstance(node, ast.Await) for node in ast.walk(tree)), path


def test_there_are_pure_folders() -> None:
    pure = {path.relative_to(PACKAGE).parent.as_posix() for path in filter(is_pure, modules())}
    assert {"models", "wire", "batching/read/core", "batching/write/core"} <= pure


def test_no_folder_holds_more_than_18_modules() -> None:
    for folder in {path.parent for path in modules()}:
        count = sum(path.name != "__init__.py" for path in folder.glob("*.py"))
        assert count <= 18 or folder.relative_to(PACKAGE).as_posix() in {"."}, f"{folder}: {count} modules"


def test_no_two_classes_share_a_name() -> None:
    homes: dict[str, Path] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                home = homes.setdefault(node.name, path)
                assert home == path, f"class {node.name} stands in {home} and in {path}"


def test_package_inits_only_reexport() -> None:
    for path in PACKAGE.glob("*/**/__init__.py"):
        for node in ast.parse(path.read_text("utf-8")).body:
            allowed = isinstance(node, ast.Import | ast.ImportFrom | ast.Expr | ast.Assign)
            assert allowed, f"{path}:{node.lineno}: only re-exports here"
