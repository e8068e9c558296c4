"""What an export did, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from besmart_async.errors import ApiError, BesmartError
from besmart_async.models.keys import SignalKey

_OF_ONE_SIGNAL = frozenset({400, 404, 409, 422})


def refuses_one_signal(error: BesmartError) -> bool:
    """Tell whether an error concerns the signal that was asked for, and others may be read all the same."""
    return isinstance(error, ApiError) and error.status in _OF_ONE_SIGNAL


@attrs.frozen(kw_only=True)
class ExportProgress:
    """The state of a running export.

    Attributes:
        parts: windows read and written so far; a long period of a signal is several.
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
    """Show nothing."""


@attrs.frozen(kw_only=True)
class ExportReport:
    """What became of an export.

    Attributes:
        state: "completed", or "interrupted" by `stop`: then no file was made, and a stream is not complete.
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
        """The report as JSON can hold it."""
        fields = attrs.asdict(self, recurse=False)
        fields["absent"] = [str(key) for key in self.absent]
        fields["failed"] = [{"signal": str(key), "reason": reason} for key, reason in self.failed]
        return fields
