"""What an ingest did: typed, and as plain values for JSON."""

from __future__ import annotations

from typing import Any, Literal

import attrs

State = Literal["completed", "interrupted", "failed"]


@attrs.frozen
class Reject:
    """One row that was not delivered, and why.

    Attributes:
        file: the file's name.
        row: the row's number, counted from 1 with the header.
        column: the title of the column at fault; None where the whole row or the service's answer is the reason.
        value: what that column holds; the reading itself where there is no column.
        reason: what is wrong, and where it helps what to do.
    """

    file: str
    row: int
    column: str | None
    value: str
    reason: str

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
        expected: distinct readings that were delivered.
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
    differences: tuple[Difference, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything came back as it was sent."""
        return self.verified == self.expected


@attrs.frozen(kw_only=True)
class IngestReport:
    """The outcome of an ingest. `rows_read = accepted + rejected + in_doubt + not_sent` always holds.

    Attributes:
        state: "completed": every row was read and has its outcome; "interrupted": stopped by the user; "failed":
            ended by `error`.
        files: the files' names.
        rows_read: rows read, headers and blank lines not counted.
        accepted: rows the service acknowledged, repeated ones included.
        distinct: distinct readings (signal, time, origin) among them.
        repeats_equal: rows that repeat an earlier reading with the same value.
        repeats_conflicting: rows that repeat an earlier reading with another value; the last one holds.
        rejected: rows refused here or by the service.
        in_doubt: rows of a request that failed so that nobody knows whether it was applied.
        not_sent: rows read but not sent, because the run ended early.
        meters: meters with delivered readings.
        signals: signals with delivered readings.
        requests: bulk writes sent, repetitions and searches for refused readings included.
        body_bytes: bytes of their bodies.
        seconds: duration of reading and sending, without the verification.
        rejects: the first rejected rows.
        unused_columns: columns of the files that were not used.
        verification: the outcome of reading back; None if not asked for.
        error: why it failed; None if it did not.
    """

    state: State
    files: tuple[str, ...] = ()
    rows_read: int = 0
    accepted: int = 0
    distinct: int = 0
    repeats_equal: int = 0
    repeats_conflicting: int = 0
    rejected: int = 0
    in_doubt: int = 0
    not_sent: int = 0
    meters: int = 0
    signals: int = 0
    requests: int = 0
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
        plain = attrs.asdict(self, filter=lambda attribute, _: attribute.name != "error")
        plain["seconds"] = round(self.seconds, 3)
        plain["readings_per_s"] = round(self.readings_per_s)
        if self.verification is not None:
            plain["verification"]["ok"] = self.verification.ok
        plain["error"] = None if self.error is None else str(self.error)
        return plain
