"""The result of running a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from besmart_async.models.keys import SignalKey
from besmart_async.models.values import JsonValue


def _same_columns(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return bool(np.array_equal(one, other))


_COLUMN = attrs.cmp_using(eq=_same_columns)


@attrs.frozen(kw_only=True)
class GraphOutput:
    """One series of the result: columns as in `SignalData`; the signal and unit only if the answer names them."""

    time: NDArray[Any] = attrs.field(eq=_COLUMN)
    value: NDArray[Any] = attrs.field(eq=_COLUMN)
    type: str | NDArray[Any] | None = attrs.field(eq=_COLUMN)
    origin: int | NDArray[Any] | None = attrs.field(eq=_COLUMN)
    key: SignalKey | None = None
    unit: str | None = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue])


@attrs.frozen(kw_only=True)
class GraphResult:
    """The answer of `POST /tasks/graphs/run` and `/tasks/graphs/run/name`.

    Attributes:
        status: HTTP status; any 2xx is a success.
        accepted: True for 202: the graph runs asynchronously; the result is not there yet.
        outputs: the series in the answer.
        value: the answer parsed, where it is JSON or a Python-style literal; parts left out (`{...}`) are None.
        text: the answer's raw text, always.
    """

    status: int
    accepted: bool = False
    outputs: tuple[GraphOutput, ...] = ()
    value: JsonValue = None
    text: str = ""
