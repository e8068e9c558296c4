"""How far an ingest is: a value for whoever shows it.

What an ingest did: typed, and as plain values for JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Literal, Self, cast

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


State = Literal["completed", "interrupted", "failed"]

LISTED_REJECTS = 20
"""Rejects kept in a report; all are told as they come."""

_STATES: tuple[State, ...] = ("completed", "interrupted", "failed")
_ADDED = (
    "rows_read",
    "skipped",
    "accepted",
    "rejected",
    "rejected_before",
    "in_doubt",
    "not_sent",
    "meters",
    "signals",
    "requests",
    "retries",
    "body_bytes",
)
_COUNTED = ("distinct", "repeats_equal", "repeats_conflicting")


@attrs.frozen
class Reject:
    """One row that was not delivered, and why.

    Attributes:
        file: the file's name.
        row: the row's number, counted from 1 with the header.
        column: the title of the column at fault; None where the whole row or the service's answer is the reason.
        value: what that column holds; the reading itself where there is no column.
        reason: what is wrong, and where it helps what to do.
        record: what the row holds, for whoever mends it: for each column what it is, its title, and its text.
    """

    file: str
    row: int
    column: str | None
    value: str
    reason: str
    record: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def of(cls, plain: Sequence[Any]) -> Self:
        """Make one from its fields as JSON has them."""
        *fields, record = plain
        file, row, column, value, reason = fields
        return cls(
            file, row, column, value, reason, tuple(cast("tuple[str, str, str]", tuple(part)) for part in record)
        )

    def __str__(self) -> str:
        where = f" {self.column}={self.value!r}" if self.column else f" {self.value}"
        return f"{self.file} row {self.row}:{where if self.value or self.column else ''} {self.reason}"


@attrs.frozen
class Difference:
    """One reading that the service did not give back as it was sent.

    Attributes:
        key: the signal, such as "12.122.32".
        time: when, ISO 8601 in UTC.
        origin: the reading's origin.
        sent: the value that was sent.
        found: the value that was read back; None if there is no such reading.
    """

    key: str
    time: str
    origin: int
    sent: float
    found: float | None

    def __str__(self) -> str:
        found = "is missing" if self.found is None else f"came back as {self.found!r}"
        return f"{self.key} {self.time} origin {self.origin}: {self.sent!r} {found}"


@attrs.frozen(kw_only=True)
class Verification:
    """What reading everything back showed.

    Attributes:
        expected: distinct readings that were delivered, or a sample of them.
        sample: only a sample was read back.
        verified: how many of them came back with the value that was sent.
        converted: how many of the verified were compared in the unit they were sent in, to 12 digits, because the
            service stores another unit.
        requests: bulk reads it took.
        differences: the first readings that differ.
    """

    expected: int
    verified: int
    converted: int = 0
    requests: int = 0
    sample: bool = False
    differences: tuple[Difference, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything came back as it was sent."""
        return self.verified == self.expected


@attrs.frozen(kw_only=True)
class IngestReport:
    """The outcome of an ingest. `rows_read = skipped + accepted + rejected + in_doubt + not_sent` always holds.

    A row with many readings (a wide file) counts as many.

    Attributes:
        state: "completed": every row was read and has its outcome; "interrupted": stopped by the user; "failed":
            ended by `error`.
        dry: nothing was to be sent.
        files: the files' names.
        rows_read: rows read, headers and blank lines not counted.
        skipped: rows that an earlier run has done, which were not sent again.
        accepted: rows the service acknowledged, repeated ones included.
        distinct: distinct readings (signal, time, origin) that were delivered; None unless all were verified: only then
            they are kept until the end. So are the next two.
        repeats_equal: rows that repeat an earlier reading with the same value.
        repeats_conflicting: rows that repeat an earlier reading with another value; the last one holds.
        rejected: rows refused here or by the service.
        rejected_before: rows among the skipped ones that the earlier run rejected.
        in_doubt: rows of a request that failed so that nobody knows whether it was applied.
        not_sent: rows read but not sent, because the run ended early.
        meters: meters with delivered readings.
        signals: signals with delivered readings.
        requests: bulk writes sent, repetitions and searches for refused readings included.
        retries: requests among them that repeated an earlier one.
        body_bytes: bytes of their bodies.
        seconds: duration of reading and sending, without the verification.
        rejects: the first rejected rows.
        unused_columns: columns of the files that were not used.
        verification: the outcome of reading back; None if not asked for.
        error: why it failed; None if it did not.
    """

    state: State
    dry: bool = False
    files: tuple[str, ...] = ()
    rows_read: int = 0
    skipped: int = 0
    accepted: int = 0
    distinct: int | None = None
    repeats_equal: int | None = None
    repeats_conflicting: int | None = None
    rejected: int = 0
    rejected_before: int = 0
    in_doubt: int = 0
    not_sent: int = 0
    meters: int = 0
    signals: int = 0
    requests: int = 0
    retries: int = 0
    body_bytes: int = 0
    seconds: float = 0.0
    rejects: tuple[Reject, ...] = ()
    unused_columns: tuple[str, ...] = ()
    verification: Verification | None = None
    error: Exception | None = None

    @property
    def readings_per_s(self) -> float:
        """Accepted rows per second of reading and sending."""
        return self.accepted / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The report as values that JSON can hold."""
        plain = attrs.asdict(self, filter=lambda field, _: field.name not in ("error", "record"))
        plain["seconds"] = round(self.seconds, 3)
        plain["readings_per_s"] = round(self.readings_per_s)
        if self.verification is not None:
            plain["verification"]["ok"] = self.verification.ok
        plain["error"] = None if self.error is None else str(self.error)
        return plain


def merged(parts: Sequence[IngestReport], seconds: float) -> IngestReport:
    """The reports of workers that read the same files and share no meter, as one.

    Args:
        parts: the reports, at least one.
        seconds: how long all took together.
    """
    first = parts[0]
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _ADDED}
    counts: dict[str, Any] = {name: _sum_if_known([getattr(part, name) for part in parts]) for name in _COUNTED}
    verified = [part.verification for part in parts if part.verification is not None]
    return IngestReport(
        state=_STATES[max(_STATES.index(part.state) for part in parts)],
        dry=first.dry,
        files=first.files,
        **sums,
        **counts,
        seconds=seconds,
        rejects=tuple(sorted(chain.from_iterable(part.rejects for part in parts), key=_place))[:LISTED_REJECTS],
        unused_columns=first.unused_columns,
        verification=_verified(verified) if len(verified) == len(parts) else None,
        error=next((part.error for part in parts if part.error is not None), None),
    )


def _sum_if_known(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _verified(parts: Sequence[Verification]) -> Verification:
    return Verification(
        expected=sum(part.expected for part in parts),
        verified=sum(part.verified for part in parts),
        converted=sum(part.converted for part in parts),
        requests=sum(part.requests for part in parts),
        sample=parts[0].sample,
        differences=tuple(chain.from_iterable(part.differences for part in parts)),
    )


def _place(reject: Reject) -> tuple[str, int]:
    return reject.file, reject.row
