"""Readings out of the service: coalesced reads, against a call for each signal and against bulk calls by hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import orjson

from benchmarks.answers import YEAR_ROWS, answers
from benchmarks.contest import Contender, Contest, Standing, hold
from benchmarks.far import DELAYS_S, place
from benchmarks.imports import compile_package

_SHARE = 5
"""How many times fewer signals are read with a call for each, since that takes longer."""
_PACKAGE = "openapi-python-client"
_BY_HAND = "aiohttp + orjson + numpy, 16 in flight"


def standings(*, signals: int, years: int, exported: int, rounds: int) -> list[Standing]:
    """Hold the contests of reading.

    Args:
        signals: how many are read at once, a day of quarter hours each.
        years: how many are streamed, a year of quarter hours each.
        exported: how many are exported, a year each.
        rounds: how often everybody runs with a near service; with a far one, and for years, once.
    """
    compile_package()
    with tempfile.TemporaryDirectory() as folder, answers(signals) as service:
        generated = _generated(Path(folder))
        near = [hold(contest, rounds) for contest in _contests(service.base_url, signals, generated)]
    return [*near, *(standing for delay_s in DELAYS_S[:3] for standing in _far(delay_s, signals, years, exported))]


def _far(delay_s: float, signals: int, years: int, exported: int) -> Iterator[Standing]:
    with answers(signals, delay_s) as service:
        for contest in (
            _days(service.base_url, delay_s, signals, "read", "ours-aiohttp"),
            _days(service.base_url, delay_s, signals, "ask", "asked-aiohttp"),
            _days(service.base_url, delay_s, signals, "stream", "stream-aiohttp"),
            _years(service.base_url, delay_s, years),
            _exported(service.base_url, delay_s, exported),
        ):
            yield hold(contest, 1 if delay_s else 2, used=service.usage)


def _days(url: str, delay_s: float, signals: int, way: str, contender: str) -> Contest:
    options = ["--url", url, "--signals", f"{signals}"]
    goal = _goal(delay_s)
    return Contest(
        f"{way}: {signals:,} days, {place(delay_s)}",
        "read",
        [Contender("ours", ["-m", "benchmarks.clients.reads", contender, *options], "httpx-aiohttp")],
        [Contender(_BY_HAND, ["-m", "benchmarks.clients.reads", "bulk-far", *options], "aiohttp", *goal)],
        far=True,
    )


def _goal(delay_s: float) -> tuple[float | None, float | None]:
    return (0.8, 0.95) if delay_s >= DELAYS_S[2] else (None, None)


def _years(url: str, delay_s: float, signals: int) -> Contest:
    options = ["--url", url, "--signals", f"{signals}"]
    goal = _goal(delay_s)
    return Contest(
        f"stream: {signals:,} years, {place(delay_s)}",
        "reading",
        [Contender("ours", ["-m", "benchmarks.clients.years", "stream", *options], "httpx-aiohttp")],
        [Contender(_BY_HAND, ["-m", "benchmarks.clients.years", "bulk", *options], "aiohttp", *goal)],
        far=True,
    )


def _exported(url: str, delay_s: float, signals: int) -> Contest:
    options = ["--url", url, "--signals", f"{signals}"]
    rows = signals * YEAR_ROWS
    goal = _goal(delay_s)
    ours = ["-m", "benchmarks.clients.years", "export", *options]
    by_hand = ["-m", "benchmarks.clients.years", "export-by-hand", *options]
    return Contest(
        f"export to Parquet: {signals:,} years, {place(delay_s)}",
        "reading",
        [Contender("besmart export", ours, whole=rows)],
        [Contender("the same by hand, with pyarrow", by_hand, "aiohttp", *goal, whole=rows)],
        far=True,
    )


def _contests(url: str, signals: int, generated: Path) -> list[Contest]:
    def way(
        name: str, contender: str, needs: str = "", goal: tuple[float | None, float | None] = (None, None)
    ) -> Contender:
        options = [contender, "--url", url, "--signals", f"{signals}"]
        return Contender(name, ["-m", "benchmarks.clients.reads", *options], needs, *goal)

    def one_by_one(
        name: str, contender: str, *more: str, needs: str = "", goal: tuple[float | None, float | None] = (35, 50)
    ) -> Contender:
        options = [contender, "--url", url, "--signals", f"{signals // _SHARE}", *more]
        return Contender(name, ["-m", "benchmarks.clients.reads", *options], needs, *goal)

    where = ["--generated", f"{generated}"]
    bulk = "aiohttp + orjson + numpy, bulk reads by hand"
    return [
        Contest(
            f"{signals:,} reads at once, a day each",
            "read",
            [way("ours, default transport", "ours"), way("ours, aiohttp transport", "ours-aiohttp", "httpx-aiohttp")],
            [
                one_by_one("httpx, one GET each, 20 at a time", "gets"),
                one_by_one("httpx, one GET each, 4 at a time", "gets-few", goal=(None, None)),
                one_by_one("openapi-python-client, 20 at a time", "generated", *where, needs=_PACKAGE),
                way(bulk, "bulk", "aiohttp", (0.7, 0.9)),
                way("the limit: the same with our decoding", "bulk-decoded", "aiohttp"),
                way("a task and a future each, and nothing read", "tasks"),
            ],
        ),
        Contest(
            f"{signals:,} reads asked at once (`ask`), a day each",
            "read",
            [way("ours, default transport", "asked"), way("ours, aiohttp transport", "asked-aiohttp", "httpx-aiohttp")],
            [
                way(bulk, "bulk", "aiohttp", (0.7, 0.9)),
                way("the limit: the same with our decoding", "bulk-decoded", "aiohttp"),
            ],
        ),
        Contest(
            f"a stream of {signals:,} reads, a day each",
            "read",
            [
                way("ours, default transport", "stream"),
                way("ours, aiohttp transport", "stream-aiohttp", "httpx-aiohttp"),
            ],
            [
                way(bulk, "bulk", "aiohttp", (1.1, 1.3)),
                way("the limit: the same with our decoding", "bulk-decoded", "aiohttp"),
            ],
        ),
    ]


def _generated(folder: Path) -> Path:
    """Have the client made of the simulator's OpenAPI document, if the generator is installed; return its folder."""
    if find_spec("openapi_python_client") is None:
        return folder
    from besmart_async.simulator import Simulator  # noqa: PLC0415 - of another extra

    document, config, made = folder / "openapi.json", folder / "config.json", folder / "client"
    document.write_bytes(orjson.dumps(Simulator().openapi))
    config.write_bytes(orjson.dumps({"post_hooks": []}))
    options = ["--path", document, "--config", config, "--output-path", made]
    command = [sys.executable, "-m", "openapi_python_client", "generate", *map(str, options)]
    subprocess.run(command, check=True, capture_output=True)  # it warns of parts that we do not need
    return made
