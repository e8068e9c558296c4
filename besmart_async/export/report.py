"""The report and the progress of an export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from besmart_async.errors import ApiError, BesmartError
from besmart_async.models.keys import SignalKey

_OF_ONE_SIGNAL = frozenset({400, 404, 409, 422})


def refuses_one_signal(error: BesmartError) -> bool:
    """Return whether an error concerns only the signal that was asked for: others may still be read."""
    return isinstance(error, ApiError) and error.status in _OF_ONE_SIGNAL


@attrs.frozen(kw_only=True)
class ExportProgress:
    """The state of a running export.

    Attributes:
        parts: windows read and written so far; a long period is several windows.
        parts_total: all windows.
        readings: readings written so far.
        failed: signals that could not be read.
    """

    parts: int = 0
    parts_total: int = 0
    readings: int = 0
    failed: int = 0


OnProgress = Callable[[ExportProgress], None]
"""Called often, from the event loop: it must be quick and must not raise."""


def unobserved(_: ExportProgress) -> None:
    """Ignore the progress."""


@attrs.frozen(kw_only=True)
class ExportReport:
    """The result of an export.

    Attributes:
        state: "completed", or "interrupted" by `stop`: no file was made, or the stream is incomplete.
        signals: signals asked for.
        with_readings: of those, signals that have readings in the period.
        readings: readings written.
        bytes_written: size of the output, compressed if it is.
        seconds: how long it took.
        requests: bulk reads.
        absent: signals the service gave no answer for.
        failed: signals the service refused, with its reason; what was read of them before is in the output.
    """

    state: Literal["completed", "interrupted"]
    signals: int
    with_readings: int
    readings: int
    bytes_written: int
    seconds: float
    requests: int
    absent: tuple[SignalKey, ...]
    failed: tuple[tuple[SignalKey, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        fields = attrs.asdict(self, recurse=False)
        fields["absent"] = [str(key) for key in self.absent]
        fields["failed"] = [{"signal": str(key), "reason": reason} for key, reason in self.failed]
        return fields
