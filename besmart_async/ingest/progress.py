"""How far an ingest is: a value for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import attrs

Phase = Literal["checking", "sending", "draining", "verifying"]
PHASES: tuple[Phase, ...] = ("checking", "sending", "draining", "verifying")


@attrs.frozen(kw_only=True)
class Progress:
    """The state of a running ingest.

    Attributes:
        phase: "checking" while files are compared with the checkpoint, "sending" while they are read and sent,
            "draining" while what was read before a stop is sent, "verifying" while everything is read back.
        file: the file being read.
        bytes_read: bytes of the files consumed so far.
        bytes_total: bytes of all files; None where that is not known (standard input).
        rows_read: rows read so far.
        skipped: rows that an earlier run has done.
        accepted: rows acknowledged so far.
        rejected: rows rejected so far.
        in_flight: requests under way.
        requests: requests sent so far.
        retries: requests among them that repeated an earlier one.
        paused: why nothing is sent at present; None while all is well.
        verified: distinct readings compared so far.
        to_verify: distinct readings to compare; 0 before that phase.
    """

    phase: Phase = "sending"
    file: str = ""
    bytes_read: int = 0
    bytes_total: int | None = None
    rows_read: int = 0
    skipped: int = 0
    accepted: int = 0
    rejected: int = 0
    in_flight: int = 0
    requests: int = 0
    retries: int = 0
    paused: str | None = None
    verified: int = 0
    to_verify: int = 0


def added(parts: Sequence[Progress]) -> Progress:
    """The state of workers that read the same files, as one. Where they differ, the one that is least far counts."""
    slowest = min(parts, key=lambda one: one.bytes_read)
    return Progress(
        phase=PHASES[min(PHASES.index(one.phase) for one in parts)],
        file=slowest.file,
        bytes_read=slowest.bytes_read,
        bytes_total=slowest.bytes_total,
        rows_read=sum(one.rows_read for one in parts),
        skipped=sum(one.skipped for one in parts),
        accepted=sum(one.accepted for one in parts),
        rejected=sum(one.rejected for one in parts),
        in_flight=sum(one.in_flight for one in parts),
        requests=sum(one.requests for one in parts),
        retries=sum(one.retries for one in parts),
        paused=next((one.paused for one in parts if one.paused is not None), None),
        verified=sum(one.verified for one in parts),
        to_verify=sum(one.to_verify for one in parts),
    )


OnProgress = Callable[[Progress], None]
"""Called often, from the event loop: it must be quick and must not raise."""


def unobserved(_: Progress) -> None:
    """Show nothing."""
