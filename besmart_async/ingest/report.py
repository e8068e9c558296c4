"""What an ingest reports: rejected rows, its progress, and its outcome, typed and as plain values for JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Literal, Self, cast

import attrs

from besmart_async.errors import BesmartError, visible

Phase = Literal["checking", "sending", "draining", "verifying"]
PHASES: tuple[Phase, ...] = ("checking", "sending", "draining", "verifying")
State = Literal["completed", "interrupted", "failed"]
_STATES: tuple[State, ...] = ("completed", "interrupted", "failed")

LISTED_REJECTS = 20
"""Rejects kept in a report; `on_reject` gets all of them."""
UNKNOWN_SIGNAL = "is no signal type of the service"
"""Stands in the reason of rejects whose name is no signal type."""
JUDGED_FROM_ROWS = 1_000
"""A percentage of rejects is checked once this many rows were read, and at the end."""

_LIMIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")
_SUMMED_PROGRESS = ("rows_read", "skipped", "accepted", "rejected", "in_flight", "requests", "retries", "verified")
_SUMMED = (
    *("rows_read", "skipped", "accepted", "rejected", "rejected_before", "in_doubt", "not_sent"),
    *("meters", "signals", "requests", "retries", "body_bytes"),
)
_SUMMED_IF_KNOWN = ("distinct", "repeats_equal", "repeats_conflicting")


@attrs.frozen
class Reject:
    """One row that was not delivered, and why.

    Attributes:
        file: the file's name.
        row: the row's number; the header is row 1.
        column: title of the column at fault; None if the whole row or the service's answer is the reason.
        value: what that column holds; without a column, the reading itself.
        reason: what is wrong, and if it helps, what to do.
        record: (role, title, text) of each column of the row, for mending it.
    """

    file: str
    row: int
    column: str | None
    value: str
    reason: str
    record: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def of(cls, plain: Sequence[Any]) -> Self:
        """Create a reject from its fields as JSON holds them."""
        *fields, record = plain
        file, row, column, value, reason = fields
        return cls(
            file, row, column, value, reason, tuple(cast("tuple[str, str, str]", tuple(part)) for part in record)
        )

    def __str__(self) -> str:
        where = f" {self.column}={self.value!r}" if self.column else f" {self.value}"
        text = f"{self.file} row {self.row}:{where if self.value or self.column else ''} {self.reason}"
        return visible(text, one_line=True)


class ListedRejects:
    """The first rejects of a run. A name that is no signal type is listed once, not for each of its readings.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = LISTED_REJECTS) -> None:
        self._most = most
        self._kept: list[Reject] = []
        self._names: set[tuple[str, str | None, str]] = set()

    def add(self, reject: Reject) -> None:
        """Keep a reject if there is room and its name is new."""
        if len(self._kept) == self._most:
            return
        if UNKNOWN_SIGNAL in reject.reason:
            name = (reject.file, reject.column, reject.value)
            if name in self._names:
                return
            self._names.add(name)
        self._kept.append(reject)

    @property
    def all(self) -> tuple[Reject, ...]:
        """The rejects that are kept."""
        return tuple(self._kept)


class TooManyRejectsError(BesmartError):
    """More rows were rejected than allowed; the job has ended."""


@attrs.frozen
class RejectLimit:
    """How many rows may be rejected.

    Attributes:
        most: a number of rows, or a percentage of the rows read.
        percent: `most` is a percentage.
    """

    most: float
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `100` or `0.5%`.

        Raises:
            ValueError: the text is neither.
        """
        found = _LIMIT.fullmatch(text.strip())
        if found is None or (not found[2] and "." in found[1]) or (found[2] and float(found[1]) > 100):
            raise ValueError(f"{text!r} is neither a number of rows, such as 100, nor a share, such as 0.5%")
        return cls(float(found[1]), bool(found[2]))

    def check(self, rejected: int, rows: int, *, end: bool = False) -> None:
        """Check the rows so far.

        Args:
            rejected: rows rejected.
            rows: rows read.
            end: all rows were read.

        Raises:
            TooManyRejectsError: the limit is exceeded.
        """
        if self.percent:
            exceeded = (end or rows >= JUDGED_FROM_ROWS) and rejected * 100 > self.most * rows
        else:
            exceeded = rejected > self.most
        if exceeded:
            limit = f"{self.most:g}{' %' if self.percent else ''}"
            raise TooManyRejectsError(f"{rejected:,} of {rows:,} rows were rejected, more than the {limit} allowed")


@attrs.frozen(kw_only=True)
class Progress:
    """How far a running ingest is.

    Attributes:
        phase: "checking" while files are compared with the checkpoint, "sending" while they are read and sent,
            "draining" while what was read before a stop is sent, "verifying" while everything is read back.
        file: the file being read.
        bytes_read: bytes of the files consumed so far.
        bytes_total: bytes of all files; None if unknown (standard input).
        rows_read: rows read so far.
        skipped: rows that an earlier run has done.
        accepted: rows acknowledged so far.
        rejected: rows rejected so far.
        in_flight: requests under way.
        requests: requests sent so far.
        retries: requests among them that repeated an earlier one.
        paused: why sending is paused; None if it is not.
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


OnProgress = Callable[[Progress], None]
"""Called often, from the event loop: it must be quick and must not raise."""


def unobserved(_: Progress) -> None:
    """Show nothing."""


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
    """The outcome of reading back and comparing.

    Attributes:
        expected: distinct readings that were delivered, or a sample of them.
        sample: only a sample was read back.
        verified: readings that came back with the value that was sent.
        converted: verified readings that were compared to 12 digits after a conversion, because the service stores
            them in another unit.
        requests: number of bulk reads.
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
        dry: it was a dry run.
        files: the files' names.
        rows_read: rows read, without headers and blank lines.
        skipped: rows that an earlier run has done, which were not sent again.
        accepted: rows the service acknowledged, repeats included.
        distinct: distinct readings (signal, time, origin) that were delivered. None unless all were verified: only
            then are they kept until the end. The same holds for the next two.
        repeats_equal: rows that repeat an earlier reading with the same value.
        repeats_conflicting: rows that repeat an earlier reading with another value; the last row wins.
        rejected: rows refused here or by the service.
        rejected_before: rows among the skipped ones that an earlier run rejected.
        in_doubt: rows of failed requests that the service may have applied.
        not_sent: rows read but not sent, because the run ended early.
        meters: meters with delivered readings.
        signals: signals with delivered readings.
        requests: bulk writes sent, repetitions and searches for refused readings included.
        retries: requests among them that repeated an earlier one.
        body_bytes: bytes of their bodies.
        seconds: duration of reading and sending, without the verification.
        rejects: the first rejected rows.
        unused_columns: columns of the files that were not used.
        verification: the outcome of reading back; None if it was not asked for or did not finish.
        error: why the run failed; None if it did not.
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
        """The report as plain values for JSON."""
        plain = attrs.asdict(self, filter=lambda field, _: field.name not in ("error", "record"))
        plain["seconds"] = round(self.seconds, 3)
        plain["readings_per_s"] = round(self.readings_per_s)
        if self.verification is not None:
            plain["verification"]["ok"] = self.verification.ok
        plain["error"] = None if self.error is None else str(self.error)
        return plain


def merged_progress(parts: Sequence[Progress]) -> Progress:
    """Merge the progress of workers that read the same files; phase and file are those of the slowest worker."""
    slowest = min(parts, key=lambda one: one.bytes_read)
    return attrs.evolve(
        slowest,
        phase=PHASES[min(PHASES.index(one.phase) for one in parts)],
        paused=next((one.paused for one in parts if one.paused is not None), None),
        to_verify=sum(one.to_verify for one in parts),
        **_sums(parts, _SUMMED_PROGRESS),
    )


def merged_report(parts: Sequence[IngestReport], seconds: float) -> IngestReport:
    """Merge the reports of workers that read the same files and share no meter.

    Args:
        parts: the reports, at least one.
        seconds: how long all took together.
    """
    known = [name for name in _SUMMED_IF_KNOWN if all(getattr(part, name) is not None for part in parts)]
    verified = [part.verification for part in parts if part.verification is not None]
    rejects = sorted(chain.from_iterable(part.rejects for part in parts), key=lambda one: (one.file, one.row))
    return IngestReport(
        state=_STATES[max(_STATES.index(part.state) for part in parts)],
        dry=parts[0].dry,
        files=parts[0].files,
        **_sums(parts, (*_SUMMED, *known)),
        seconds=seconds,
        rejects=tuple(rejects[:LISTED_REJECTS]),
        unused_columns=parts[0].unused_columns,
        verification=_merged_verification(verified) if len(verified) == len(parts) else None,
        error=next((part.error for part in parts if part.error is not None), None),
    )


def _merged_verification(parts: Sequence[Verification]) -> Verification:
    return Verification(
        **_sums(parts, ("expected", "verified", "converted", "requests")),
        sample=parts[0].sample,
        differences=tuple(chain.from_iterable(part.differences for part in parts)),
    )


def _sums(parts: Sequence[object], names: Sequence[str]) -> dict[str, Any]:
    return {name: sum(getattr(part, name) for part in parts) for name in names}
