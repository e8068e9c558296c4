"""Every bridge needs its own library and no other, and says which extra brings it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIBRARIES = ("fastapi", "aiohttp", "opentelemetry", "prometheus_client", "dask", "pandas", "polars", "pyarrow")

BRIDGES = {
    "fastapi": ("fastapi", "besmart-async[fastapi]"),
    "aiohttp": ("aiohttp", "besmart-async[aiohttp]"),
    "opentelemetry": ("opentelemetry", "besmart-async[otel]"),
    "prometheus": ("prometheus_client", "besmart-async[prometheus]"),
    "distributed": ("dask", "besmart-async[dask,pandas]"),
    "dataframes": (None, ""),
}
USED_BY_LIBRARIES = {"fastapi": {"opentelemetry"}, "dask": {"pandas", "pyarrow"}}
"""What a library itself looks for, in some of its versions."""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def import_without(module: str, libraries: set[str]) -> subprocess.CompletedProcess[str]:
    blocked = "".join(f"sys.modules[{library!r}] = None\n" for library in sorted(libraries))
    return run(f"import sys\n{blocked}import besmart_async.integrations.{module}")


@pytest.mark.parametrize("module", BRIDGES)
def test_a_bridge_imports_without_the_libraries_of_the_others(module: str) -> None:
    library, _ = BRIDGES[module]
    needed = set[str]() if library is None else {library} | USED_BY_LIBRARIES.get(library, set())
    for name in needed:
        pytest.importorskip(name)
    ran = import_without(module, set(LIBRARIES) - needed)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("module", [module for module, (library, _) in BRIDGES.items() if library is not None])
def test_without_its_library_it_names_the_extra(module: str) -> None:
    library, extra = BRIDGES[module]
    assert library is not None
    ran = import_without(module, {library})
    assert ran.returncode != 0
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: ")
    assert last.endswith(f"pip install '{extra}'")
