"""What importing the package costs beside importing what it stands on."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.measuring import Row, compare


def rows(*, rounds: int) -> list[Row]:
    """Compare fresh interpreters."""
    parts = "httpx, numpy, attrs, cattrs, tenacity, orjson"
    alternatives = {
        "import besmart_async": lambda: _run("import besmart_async"),
        f"import {parts}": lambda: _run(f"import {parts}"),
        "import httpx, numpy": lambda: _run("import httpx, numpy"),
    }
    return [compare("import", "start", 1, alternatives, rounds)]


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)
