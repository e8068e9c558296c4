"""A mapping file for a source: found by its first rows, and tried on them."""

from __future__ import annotations

import re
from collections import Counter

import attrs

from besmart_async.ingest.mapping.file import FileMapping, mapping_of
from besmart_async.ingest.parse.parser import ParseOptions, Parser
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import CsvSource, ParquetSource, Source, SourceError
from besmart_async.ingest.sources.layout import FileForm
from besmart_async.ingest.sources.workbook import SheetSource
from besmart_async.ingest.suggest.clock import ClockFacts, clock_facts
from besmart_async.ingest.suggest.document import Document
from besmart_async.ingest.suggest.fields import write_columns, write_meter, write_signals, write_values
from besmart_async.ingest.suggest.known import Told
from besmart_async.ingest.suggest.roles import Roles, roles_of
from besmart_async.ingest.suggest.sample import Sample, sample_of
from besmart_async.ingest.suggest.standards import names_of
from besmart_async.ingest.suggest.table import FoundTable, table_of
from besmart_async.ingest.suggest.times import write_times, write_wide
from besmart_async.models.times import from_ms

__all__ = ["Suggestion", "Told", "suggestion_of"]

_TRIED = 200_000
"""Readings on which a suggestion is tried."""
_LISTED = 10
_UNSAID_METER = "the meter"


@attrs.frozen
class Trial:
    """What a mapping makes of the first rows of a file.

    Attributes:
        readings: readings that it found.
        reasons: how many rows it rejects, by the reason.
        example: the first rejected row.
    """

    readings: int
    reasons: Counter[str]
    example: Reject | None = None

    @property
    def rejected(self) -> int:
        """Rows that it rejects."""
        return sum(self.reasons.values())


@attrs.frozen
class Suggestion:
    """A mapping file for a source.

    Attributes:
        text: the file.
        notes: what to say about it besides.
        open: how many lines are left to its reader.
        trial: what it makes of the first rows; None for a format that needs no mapping.
    """

    text: str
    notes: tuple[str, ...] = ()
    open: int = 0
    trial: Trial | None = None


def suggestion_of(source: Source, told: Told | None = None) -> Suggestion:
    """Suggest a mapping file for a source.

    Args:
        source: the file, the member of an archive, or the sheet.
        told: what the user said with options.

    Raises:
        SourceError: the file cannot be read, or has no table with times and numbers.
    """
    told = told or Told()
    sample = sample_of(source)
    if sample is None:
        return _of_standard(source)
    table = table_of(sample)
    if table is None:
        raise SourceError(
            source.name,
            "has no rows with a time and a number in its first lines; there is no mapping to suggest",
        )
    roles = roles_of(table, sample.exact, sample.naive)
    clock = clock_facts(roles)
    made = _written(source, sample, table, roles, clock, told)
    trial = _trial(source, made, clock)
    if told.time_zone and not told.dst and any("comes twice" in reason for reason in trial.reasons):
        inferred = attrs.evolve(told, dst="infer")
        other = _written(source, sample, table, roles, clock, inferred)
        better = _trial(source, other, clock)
        made, trial = (other, better) if not better.rejected else (made, trial)
    made.head += _outcome(trial)
    return Suggestion(made.text, (), made.open, trial)


def _written(
    source: Source, sample: Sample, table: FoundTable, roles: Roles, clock: ClockFacts, told: Told
) -> Document:
    made = Document([f"Suggested by besmart check --suggest for {_last(source.name)}."])
    if not sample.whole:
        made.head.append(f"It is based on the first {len(table.rows):,} rows.")
    if table.delimiter is not None:
        made.set("file", "delimiter", table.delimiter)
    if sample.encoding is not None:
        made.set("file", "encoding", sample.encoding, "the file is not UTF-8; check that names with accents are right")
    if len(table.header) != 1:
        made.set("file", "header_row", list(table.header) or 0, "" if table.header else "no line has titles")
    _write_skipped(made, table)
    write_meter(made, table, roles, told)
    write_columns(made, table, roles)
    write_wide(made, roles)
    write_times(made, roles, clock, told)
    write_values(made, table, roles, told, typed=sample.kind != "csv")
    write_signals(made, roles, told)
    return made


def _last(name: str) -> str:
    return re.split(r"[/\\]", name)[-1]


def _write_skipped(made: Document, table: FoundTable) -> None:
    """Leave out lines that begin with a word that no row begins with."""
    found: dict[str, int] = {}
    for number, text in table.odd:
        word = re.match(r'"?([^\W\d_][^\d;,\t|"]*)', text)
        if word is not None and len(word[1].strip()) > 1:
            found.setdefault("^" + text[: word.start(1)] + re.escape(word[1].strip()), number)
    begins = {row[0] for row in table.rows if row}
    patterns = {
        pattern: number
        for pattern, number in found.items()
        if not any(re.match(pattern.replace('"', ""), begin) for begin in begins)
    }
    if patterns and len(patterns) <= _LISTED:
        rows = ", ".join(str(number) for number in patterns.values())
        made.set("file", "skip", list(patterns), f"lines that are not readings: row {rows}")


# -- trial ---------------------------------------------------------------------------------------------------------


def _trial(source: Source, made: Document, clock: ClockFacts) -> Trial:
    """Read the first rows as ingest would; a zone, a meter, and the order of day and month count as given."""
    mapping = mapping_of(made.text, "the suggestion")
    if len(clock.formats) > 1:
        mapping = attrs.evolve(mapping, reading=attrs.evolve(mapping.reading, time_format=clock.formats[0]))
    return tried(source, mapping)


def tried(source: Source, mapping: FileMapping) -> Trial:
    """Return what a mapping makes of the first rows of a source.

    Raises:
        SourceError: the file cannot be read with it.
    """
    form = mapping.form
    options = attrs.evolve(mapping.reading, time_zone=mapping.reading.time_zone or "UTC")
    try:
        return _read(_with(source, form), options)
    except SourceError as error:
        if "--meter" not in error.problem:
            raise
    return _read(_with(source, attrs.evolve(form, meter=_UNSAID_METER)), options)


def _with(source: Source, form: FileForm) -> Source:
    if isinstance(source, CsvSource):
        return attrs.evolve(source, form=form, encoding=form.encoding)
    if isinstance(source, SheetSource | ParquetSource):
        return attrs.evolve(source, form=form)
    return source


def _read(source: Source, options: ParseOptions) -> Trial:
    parser = Parser(options)
    readings, reasons, example = 0, Counter[str](), None
    pages = source.pages()
    try:
        for page in pages:
            found, rejects = parser.parse(page.chunk)
            readings += len(found)
            for reject in (*page.rejects, *rejects):
                reasons[reject.reason] += 1
                example = example or reject
            if readings + reasons.total() > _TRIED:
                break
    finally:
        pages.close()
    return Trial(readings, reasons, example)


def _outcome(trial: Trial) -> list[str]:
    found = [f"Tried on the file: {trial.readings:,} readings, {trial.rejected:,} rejected rows."]
    if any(reason.endswith(" in UTC") for reason in trial.reasons):
        found.append("The zone is not known, so UTC was tried, whose clock never changes; say --time-zone.")
    if trial.example is not None:
        found.append(f"The first one: row {trial.example.row}, {trial.example.column} {trial.example.reason}.")
    return found


# -- formats that say it themselves --------------------------------------------------------------------------------


def _of_standard(source: Source) -> Suggestion:
    names, kind = names_of(source)
    made = Document([f"{_last(source.name)} is {kind}, which says itself what its readings are: no mapping is needed."])
    for name, readings, since in names:
        made.leave(
            "signals.names",
            name,
            "1.29.0",
            f"the signal type of {name!r} ({readings:,} readings from {from_ms(since):%Y-%m-%d})",
        )
    if names:
        made.head.append(
            "It has names that are not OBIS codes; say which signal types they are, if the service has them."
        )
    return Suggestion(made.text, (), made.open)
