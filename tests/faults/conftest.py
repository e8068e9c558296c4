"""Seeds: every fault test takes one, and a failing one says how to run it again.

`BESMART_FAULT_SEEDS=5,6 python -m pytest tests/faults` runs with those seeds; `-m long` with many more. Tests speak the
documented dialect, those of two families the live one as well; `-m long` all of them. `BESMART_FAULT_DIALECT=live`
names the only one.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import looptime  # noqa: F401  # its plugin gives tests marked with it virtual time
import pytest

QUICK_SEEDS = (1,)
LONG_SEEDS = range(2, 12)
VARIABLE = "BESMART_FAULT_SEEDS"
SPOKEN = "BESMART_FAULT_DIALECT"
IN_BOTH = {"test_exit", "test_ingest"}
"""The families that are tested in both dialects in every run."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" not in metafunc.fixturenames:
        return
    asked = os.environ.get(VARIABLE, "")
    if asked:
        seeds: list[object] = [int(text) for text in asked.split(",")]
    else:
        seeds = [*QUICK_SEEDS, *(pytest.param(seed, marks=pytest.mark.long) for seed in LONG_SEEDS)]
    metafunc.parametrize("seed", seeds, ids=lambda seed: f"seed{seed}")
    if "dialect" not in metafunc.fixturenames:
        metafunc.parametrize("spoken", _dialects(metafunc.module.__name__), indirect=True)


def _dialects(module: str) -> list[object]:
    if only := os.environ.get(SPOKEN):
        return [only]
    cheap = module.rpartition(".")[2] in IN_BOTH
    return ["documented", "live" if cheap else pytest.param("live", marks=pytest.mark.long)]


@pytest.fixture(autouse=True)
def spoken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dialect of every stage that names none, and of its processes."""
    if dialect := getattr(request, "param", ""):
        monkeypatch.setenv(SPOKEN, dialect)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    seed = getattr(item, "callspec", None) and item.callspec.params.get("seed")  # type: ignore[attr-defined]
    if report.failed and seed is not None:
        name = item.nodeid.partition("[")[0]
        report.sections.append(("seed", f"{seed}; again: {VARIABLE}={seed} python -m pytest '{name}'"))
    return report
