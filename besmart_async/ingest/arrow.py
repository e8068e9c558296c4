"""Arrow, which reads the files; imported here alone, so that its absence is told in one place.

It has no type information, and its functions are made when it is imported: to a type checker it is anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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

__all__ = ["as_numpy", "pa", "pa_csv", "pc"]


def as_numpy(column: Any) -> NDArray[Any]:
    """Return an arrow array of numbers or booleans, without nulls, as a numpy array; it must not be written to.

    Arrow's own `to_numpy` imports pandas where that is installed, which takes longer than reading a million rows.
    """
    if pa.types.is_boolean(column.type):
        return np.from_dlpack(column.cast(pa.uint8())).view(np.bool_)
    return np.from_dlpack(column)
