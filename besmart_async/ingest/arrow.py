"""Arrow, which reads the files; imported here alone, so that its absence is told in one place.

It has no type information, and its functions are made when it is imported: to a type checker it is anything.
"""

from __future__ import annotations

from typing import Any

try:
    import pyarrow  # noqa: ICN001 - the short name is the one without types, below
    import pyarrow.compute
    import pyarrow.csv
except ModuleNotFoundError as error:
    if error.name != "pyarrow":
        raise
    problem = "reading files needs pyarrow: pip install 'besmart-async[files]'"
    raise ModuleNotFoundError(problem, name="pyarrow") from error

pa: Any = pyarrow
pc: Any = pyarrow.compute
pa_csv: Any = pyarrow.csv

__all__ = ["pa", "pa_csv", "pc"]
