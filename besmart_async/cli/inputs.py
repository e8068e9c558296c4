"""What the commands that read files share: the files, how to read them, and whose meters they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from besmart_async.cli.exits import UsageError
from besmart_async.ingest.mapping.file import FileMapping, MappingError, MeterRules, encoding_of, read_mapping
from besmart_async.ingest.mapping.meters import (
    CreatedMeters,
    EidMeters,
    KnownMeters,
    Meters,
    SensorService,
    read_meter_table,
)
from besmart_async.ingest.parse.parser import Reading
from besmart_async.ingest.parse.zones import DstRule, UnknownZoneError, zone_of
from besmart_async.ingest.sources import Source, SourceError, sources_of
from besmart_async.ingest.sources.layout import FileForm


@attrs.frozen(kw_only=True)
class Inputs:
    """Files to read.

    Attributes:
        sources: the files.
        reading: how to read their texts.
        signal_type: signal type of rows that do not tell it.
        rules: which sensor a meter is.
        form: what the files look like, as far as that was told.
    """

    sources: Sequence[Source]
    reading: Reading
    signal_type: str | None
    rules: MeterRules
    form: FileForm = attrs.field(factory=FileForm)

    @property
    def paths(self) -> list[Path]:
        """The sources that are files; standard input is none."""
        found: list[Path | None] = [getattr(source, "path", None) for source in self.sources]
        return [path for path in found if path is not None]

    @property
    def meaning(self) -> str:
        """All that decides what a row means, the same in each process; what the table of meters holds is not in it."""
        reading = attrs.evolve(self.reading, ignored=frozenset())
        rules = attrs.evolve(self.rules, table=None)
        return repr((self.form, reading, sorted(self.reading.ignored), self.signal_type, rules))

    def known(self) -> KnownMeters:
        """The meters that a table or the mapping file lists.

        Raises:
            SourceError: the table cannot be read.
        """
        table = self.rules.table
        return KnownMeters({**(read_meter_table(table) if table else {}), **self.rules.names})

    def meters(self, sensors: SensorService, *, create: bool) -> Meters:
        """Everybody who may know a meter: the table, the sensors to look through, and new sensors if asked for.

        Raises:
            UsageError: sensors are to be created, and it is not told of what kind or where to note them.
            SourceError: the table cannot be read.
        """
        rules = self.rules
        found: Meters
        if create and (rules.create is None or rules.table is None):
            raise UsageError(
                "--create-sensors needs [meters.create] with client_cid in the --mapping file, and a table of meters"
                " to note the sensors in: meters.table there, or --meters FILE.csv"
            )
        if create and rules.table is not None and not rules.table.exists():
            found = KnownMeters(rules.names)
        else:
            found = self.known()
        if rules.looked_through:
            found = EidMeters(found, sensors, rules.looked_through)
        if create and rules.create is not None and rules.table is not None:
            found = CreatedMeters(found, sensors, rules.create, rules.table)
        return found


def inputs_of(
    files: Sequence[str],
    *,
    mapping: Path | None = None,
    file_format: str | None = None,
    meters: Path | None = None,
    signal_type: str | None = None,
    time_zone: str | None = None,
    dst: DstRule | None = None,
    decimal_comma: bool = False,
    encoding: str | None = None,
) -> Inputs:
    """Put together what the mapping file and the options tell; an option goes before the file.

    Raises:
        UsageError: one of them cannot work, or there are no such files.
    """
    if not files:
        raise UsageError("name at least one file, or - for standard input")
    try:
        told = read_mapping(mapping) if mapping else FileMapping()
        form = attrs.evolve(
            told.form,
            format=file_format or told.form.format,
            encoding=_checked_encoding(encoding) if encoding else told.form.encoding,
        )
        sources = sources_of(files, form)
    except (MappingError, SourceError) as error:
        raise UsageError(str(error)) from None
    reading = attrs.evolve(
        told.reading,
        time_zone=_checked_zone(time_zone) or told.reading.time_zone,
        dst=dst or told.reading.dst,
        decimal_comma=decimal_comma or told.reading.decimal_comma,
    )
    rules = attrs.evolve(told.meters, table=meters or told.meters.table)
    return Inputs(sources=sources, reading=reading, signal_type=signal_type or told.signal_type, rules=rules, form=form)


def _checked_zone(name: str | None) -> str | None:
    try:
        if name is not None:
            zone_of(name)
    except UnknownZoneError as error:
        raise UsageError(f"--time-zone: {error}") from None
    return name


def _checked_encoding(name: str) -> str:
    try:
        return encoding_of(name)
    except ValueError as error:
        raise UsageError(f"--encoding: {name!r} {error}") from None
