"""What a check found: typed, and as plain values for JSON."""

from __future__ import annotations

from typing import Any

import attrs

from besmart_async.ingest.check.survey import Kind, Spot
from besmart_async.ingest.report import Reject
from besmart_async.models.times import from_ms

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1))


@attrs.frozen
class Finding:
    """A possible mistake in a file, which can be ingested all the same.

    Attributes:
        kind: "conflict": a repeated reading with another value; "gap": readings are missing before it; "falling": a
            register is below its reading before; "out of order": a later reading is above it in the file.
        file: the file's name.
        row: the row where it was found.
        meter: the meter's name in the file.
        signal: the signal type's name in the file, or the signal's key.
        time: ISO 8601 in UTC.
        detail: what was found.
    """

    kind: Kind
    file: str
    row: int
    meter: str
    signal: str
    time: str
    detail: str

    def __str__(self) -> str:
        return f"{self.file} row {self.row}: {self.meter} {self.signal} {self.time} {self.detail}".replace("  ", " ")


@attrs.frozen(kw_only=True)
class CheckReport:
    """What is in the files. `rows = readings + rejected` and `readings = distinct + repeats` always hold.

    Attributes:
        files: the files' names.
        rows: readings read; in wide files a row has many.
        readings: rows that could be delivered.
        rejected: rows that hold no valid reading.
        left_out: missing values, and readings of ignored signal types; not counted as rows.
        meters: meters with readings.
        signals: pairs of meter and signal type with readings.
        since_ms: the first reading, UTC unix milliseconds; None without readings.
        till_ms: the last one.
        resolutions: number of signals by the most common distance of their readings in milliseconds; 0 for a single
            reading.
        distinct: readings that differ in signal, time or origin.
        repeats_equal: readings that repeat an earlier one with the same value.
        repeats_conflicting: the same with another value.
        gaps: places where readings are missing, by the signal's most common distance.
        missing: number of missing readings.
        out_of_order: readings that are earlier than one above them in the file.
        falling: readings of a register that are below the one before, in order of time.
        findings: the first of each kind.
        rejects: the first rejected rows.
        unused_columns: columns of the files that are not used.
        rejected_by_ends: rows that are rejected with each `time.ends`, if labels are ends of periods and the clock is
            set back among them; else empty.
        error: why the files could not be read to the end; None if they could.
    """

    files: tuple[str, ...] = ()
    rows: int = 0
    readings: int = 0
    rejected: int = 0
    left_out: int = 0
    meters: int = 0
    signals: int = 0
    since_ms: float | None = None
    till_ms: float | None = None
    resolutions: dict[int, int] = attrs.field(factory=dict[int, int])
    distinct: int = 0
    repeats_equal: int = 0
    repeats_conflicting: int = 0
    gaps: int = 0
    missing: int = 0
    out_of_order: int = 0
    falling: int = 0
    findings: tuple[Finding, ...] = ()
    rejects: tuple[Reject, ...] = ()
    unused_columns: tuple[str, ...] = ()
    rejected_by_ends: dict[str, int] = attrs.field(factory=dict[str, int])
    error: Exception | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        plain = attrs.asdict(self, filter=lambda attribute, _: attribute.name != "error")
        plain["resolutions"] = {str(resolution): count for resolution, count in self.resolutions.items()}
        plain["since"] = None if self.since_ms is None else iso(self.since_ms)
        plain["till"] = None if self.till_ms is None else iso(self.till_ms)
        plain["error"] = None if self.error is None else str(self.error)
        return plain


def finding_of(spot: Spot, names: tuple[str, str], file: str) -> Finding:
    """Describe a spot of a survey."""
    if spot.kind == "gap":
        detail = f"nothing since {iso(spot.before)}"
    elif spot.kind == "out of order":
        detail = f"stands below {iso(spot.before)}"
    elif spot.kind == "falling":
        detail = f"falls from {spot.before:.15g} to {spot.after:.15g}"
    else:
        detail = f"is {spot.after:.15g}, and was {spot.before:.15g} above"
    return Finding(spot.kind, file, spot.row, *names, iso(spot.time), detail)


def iso(ms: float) -> str:
    """Return a moment in ISO 8601, without zero seconds."""
    text = from_ms(int(ms) if float(ms).is_integer() else ms).isoformat()
    return text.replace("+00:00", "Z").replace(":00Z", "Z")


def distance(ms: int) -> str:
    """Return a distance of readings in words, such as `15 min`."""
    for name, size in _UNITS:
        if ms >= size and ms % size == 0:
            return f"{ms // size} {name}"
    return "one reading"
