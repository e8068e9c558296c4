"""Arrow, which reads the files; imported here alone, so that its absence is told in one place."""

from __future__ import annotations

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pa_csv
except ModuleNotFoundError as error:
    if error.name != "pyarrow":
        raise
    problem = "reading files needs pyarrow: pip install 'besmart-async[files]'"
    raise ModuleNotFoundError(problem, name="pyarrow") from error

__all__ = ["pa", "pa_csv", "pc"]
