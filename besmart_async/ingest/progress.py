"""How far an ingest is: a value for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs


@attrs.frozen(kw_only=True)
class Progress:
    """The state of a running ingest.

    Attributes:
        phase: "sending" while files are read and sent, "verifying" while everything is read back.
        file: the file being read.
        bytes_read: bytes of the files consumed so far.
        bytes_total: bytes of all files; None where that is not known (standard input).
        rows_read: rows read so far.
        accepted: rows acknowledged so far.
        rejected: rows rejected so far.
        verified: distinct readings compared so far.
        to_verify: distinct readings to compare; 0 before that phase.
    """

    phase: Literal["sending", "verifying"] = "sending"
    file: str = ""
    bytes_read: int = 0
    bytes_total: int | None = None
    rows_read: int = 0
    accepted: int = 0
    rejected: int = 0
    verified: int = 0
    to_verify: int = 0


OnProgress = Callable[[Progress], None]
"""Called often, from the event loop: it must be quick and must not raise."""


def unobserved(_: Progress) -> None:
    """Show nothing."""
