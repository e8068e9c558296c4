"""The version: written once, and the same wherever it shows."""

import tomllib
from pathlib import Path
from typing import Any

import besmart_async
from besmart_async import BesmartClient
from besmart_async.simulator import Simulator

ROOT = Path(__file__).parents[1]


def test_the_project_takes_it_from_the_package() -> None:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in settings["project"]
    source = ROOT / settings["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{besmart_async.__version__}"' in source.read_text("utf-8")


def test_no_other_module_repeats_it() -> None:
    text = f'{besmart_async.__version__}"'
    having = [path.name for path in (ROOT / "besmart_async").rglob("*.py") if text in path.read_text("utf-8")]
    assert having == ["version.py"]


async def test_requests_tell_it(besmart_client: BesmartClient, besmart_simulator: Simulator) -> None:
    await besmart_client.signals.types()
    agents = {request.headers["user-agent"] for request in besmart_simulator.requests}
    assert agents == {f"besmart-async/{besmart_async.__version__}"}
