"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
"""An option that is given or not."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Named:
    """Which signals, beside those named as arguments."""

    signals_from: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None
    """File with one signal or sensor per line; - for standard input."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Period:
    """From when to when."""

    since: str
    """Start: ISO 8601 such as 2020-01-01T00:00:00Z, unix milliseconds, or 7d, 12h, 2w for so long ago."""

    till: str = "now"
    """End, in the same forms."""

    time_zone: str | None = None
    """Zone of times without an offset, such as Europe/Warsaw."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Wanted:
    """Which readings, and in what form: the options of the API."""

    get_last: Annotated[Flag, Parameter(name=("--get-last", "--last"))] = False
    """Of readings that were written more than once, only the newest."""

    raw: Flag = False
    """The raw signal, with readings that are marked as removed."""

    delta_t: int | None = None
    """Aggregate to so many minutes."""

    origin: int | None = None
    """Only readings of this origin: 1 measured, 2 predicted, 3 calculated, 4 estimated, 5 corrected."""

    unit: str | None = None
    """Unit the values are wanted in: a symbol such as kW.h, or the service's id of it."""
