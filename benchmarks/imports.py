"""What starting costs: the package beside what it stands on, and the command."""

from __future__ import annotations

import compileall
from collections.abc import Sequence

from benchmarks.contest import ROOT, Contender, Contest, hold
from benchmarks.marks import Mark, Marks
from benchmarks.measuring import Table

_PARTS = "import httpx, numpy, attrs, cattrs, tenacity, orjson"
_PACKAGE = "import besmart_async"
_CLIENT = "from besmart_async import BesmartClient"
_HELP = "besmart --help"


def tables(*, rounds: int) -> Sequence[Table]:
    """Start fresh interpreters."""
    compile_package()
    ways = [
        _python(_PACKAGE, _PACKAGE),
        _python(_CLIENT, _CLIENT),
        _python(_PARTS, _PARTS),
        _python(_HELP, "from besmart_async.cli import main; main(['--help'])"),
    ]
    standing = hold(Contest("start", "start", ways, []), rounds)
    cpu_s = {name: cost.cpu_s for name, cost in standing.costs.items()}
    marks = [
        Mark(f"{_PACKAGE}: CPU, against what it stands on", cpu_s[_PACKAGE] / cpu_s[_PARTS], "x", 1.3, 1.1),
        Mark("the same with the client, which is imported when used", cpu_s[_CLIENT] / cpu_s[_PARTS], "x", 1.3, 1.1),
        Mark(f"{_HELP}: CPU", cpu_s[_HELP], "s", 0.4, 0.25),
    ]
    return [standing, Marks("start", marks)]


def compile_package() -> None:
    """See to it that there is byte code, as an installed package has it, also where Python is told to write none."""
    compileall.compile_dir(ROOT / "besmart_async", quiet=1)


def _python(name: str, code: str) -> Contender:
    return Contender(name, ["-c", code], whole=1)
