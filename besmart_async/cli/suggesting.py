"""`besmart check --suggest`: a mapping file on standard output, and what else there is to say on standard error."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from besmart_async.cli.exits import Exit, UsageError
from besmart_async.cli.ingest_inputs import FileOptions, inputs_of
from besmart_async.cli.terminal.output import counted, error_line, write
from besmart_async.errors import visible
from besmart_async.ingest.mapping.file import mapping_of
from besmart_async.ingest.sources import Source, SourceError, sources_of
from besmart_async.ingest.suggest import Suggestion, Told, suggestion_of
from besmart_async.ingest.suggest.suggestion import tried


def suggest(files: Sequence[str], options: FileOptions) -> int:
    """Print a mapping file for the first file, and say of the others whether it fits them.

    Raises:
        UsageError: an option cannot be used with `--suggest`, or a file cannot be read.
    """
    if options.mapping is not None or options.rejects is not None:
        which = "--mapping" if options.mapping is not None else "--rejects"
        raise UsageError(f"--suggest writes a mapping file; leave out {which}")
    # The options are checked as those of a run, but the meter of the whole file is not held against its columns.
    inputs_of(["-"], attrs.evolve(options, meter=None))
    told = Told(
        meter=options.meter,
        signal_type=options.signal_type,
        time_zone=options.time_zone,
        dst=options.dst,
        decimal_comma=options.decimal_comma,
    )
    try:
        first, *others = _sources(files, options)
        found = suggestion_of(first, told)
        write(found.text.rstrip("\n"))
        for text in _notes(first, found):
            error_line(text)
        for source in others:
            error_line(_fit(source, found))
    except SourceError as error:
        raise UsageError(str(error)) from None
    return Exit.OK


def _sources(files: Sequence[str], options: FileOptions) -> list[Source]:
    form = inputs_of(["-"], attrs.evolve(options, meter=None)).form
    return sources_of(files, form, fitting=False)


def _notes(source: Source, found: Suggestion) -> list[str]:
    name = visible(source.name, one_line=True)
    trial = found.trial
    if trial is None:
        return [f"{name}: needs no mapping" + (f"; {counted(found.open, 'name')} to explain" if found.open else "")]
    text = f"{name}: {counted(trial.readings, 'reading')}, {counted(trial.rejected, 'rejected row')}"
    if found.open:
        return [f"{text}; to fill in: {counted(found.open, 'line')} with 'only you can know'"]
    return [text]


def _fit(source: Source, found: Suggestion) -> str:
    """Say whether the mapping of the first file fits another one."""
    name = visible(source.name, one_line=True)
    own = f"besmart check {name} --suggest"
    try:
        trial = tried(source, mapping_of(found.text, "the suggestion"))
    except SourceError as error:
        return visible(f"{name}: needs a mapping of its own ({error.problem}): {own}", one_line=True)
    if trial.rejected and trial.rejected * 2 > trial.readings:
        return f"{name}: needs a mapping of its own ({counted(trial.rejected, 'row')} would be rejected): {own}"
    return f"{name}: the same mapping, {counted(trial.readings, 'reading')}, {counted(trial.rejected, 'rejected row')}"
