"""Readings out of the service: coalesced reads, against a call for each signal and against bulk calls by hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import orjson

from benchmarks.answers import answers
from benchmarks.contest import Contender, Contest, Standing, hold

_SHARE = 5
"""How many times fewer signals are read with a call for each, since that takes longer."""
_PACKAGE = "openapi-python-client"


def standings(*, signals: int, rounds: int) -> list[Standing]:
    """Hold the contests of reading.

    Args:
        signals: how many are read at once, a day of quarter hours each.
        rounds: how often everybody runs.
    """
    with tempfile.TemporaryDirectory() as folder, answers(signals) as url:
        generated = _generated(Path(folder))
        return [hold(contest, rounds) for contest in _contests(url, signals, generated)]


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
