"""What `besmart ingest` and `besmart check` read: files, how to read them, whose meters they have, and what is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from besmart_async.cli.credentials import UserAccount, account_in_use
from besmart_async.cli.exits import NoCredentialsError, UsageError
from besmart_async.cli.options import Flag, Zone
from besmart_async.config import DEFAULT_BASE_URL
from besmart_async.ingest import Checkpoint, RejectLimit
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
from besmart_async.ingest.sources import Source, SourceError, file_of, is_stream, sources_of, tables_of_meters
from besmart_async.ingest.sources.layout import FileForm
from besmart_async.ingest.sources.stored import StoredFile


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class FileOptions:
    """The options of commands that read files."""

    mapping: Path | None = None
    """TOML file that describes the files and what their columns mean; options override it."""

    file_format: Annotated[
        str | None,
        Parameter(
            name="--format",
            help="Format of the files, if neither their first bytes nor their names show it: csv, parquet, excel, dsmr,"
            " nem12, mscons, green-button, zip, or one that an installed package adds.",
        ),
    ] = None
    meters: Annotated[
        Path | None,
        Parameter(
            help="CSV file with the columns meter, client_cid, sensor_mid and optionally signal_type. Without it the"
            " files name meters like 12.122."
        ),
    ] = None

    meter: str | None = None
    """The meter of all rows of the files, if they have no column for it."""

    signal_type: str | None = None
    """OBIS code, symbol or id for rows that do not name their signal type."""

    time_zone: Zone = None
    dst: Annotated[
        DstRule | None,
        Parameter(
            help="What a local time means that occurs twice or never, when clocks change. Without it such rows are"
            " rejected. infer: the first occurrence is the earlier time, the second the later one. standard: the clock"
            " is on standard (winter) time all year."
        ),
    ] = None

    decimal_comma: Flag = False
    """Values are written like 1,5."""

    encoding: str | None = None
    """Encoding of the files, such as cp1250."""

    rejects: Path | None = None
    """File for all rejected rows (CSV). Correct them there, and ingest it with the same command."""

    escape_formulas: Flag = False
    """Put an apostrophe before cells of the file of rejects that a spreadsheet would run."""


@attrs.frozen(kw_only=True)
class Inputs:
    """Files to read.

    Attributes:
        sources: the files.
        reading: how to read their texts.
        signal_type: the signal type of rows that do not name one.
        rules: which sensor a meter is.
        form: the form of the files, as far as options and the mapping file set it.
        left_out: what is not read of the named folders, and why.
    """

    sources: Sequence[Source]
    reading: Reading
    signal_type: str | None
    rules: MeterRules
    form: FileForm = attrs.field(factory=FileForm)
    left_out: tuple[str, ...] = ()

    @property
    def paths(self) -> list[Path | StoredFile]:
        """The sources that are files, which standard input and pipes are not."""
        return [path for path in map(file_of, self.sources) if path is not None]

    @property
    def meaning(self) -> str:
        """All that decides what a row means, as the same text in every process; the content of a table is not in it."""
        reading = attrs.evolve(self.reading, ignored=frozenset())
        rules = attrs.evolve(self.rules, table=None)
        return repr((self.form, reading, sorted(self.reading.ignored), self.signal_type, rules))

    def known(self) -> KnownMeters:
        """Return the meters that the table of meters or the mapping file lists.

        Raises:
            SourceError: the table cannot be read.
        """
        table = self.rules.table
        return KnownMeters({**(read_meter_table(table) if table else {}), **self.rules.names})

    def meters(self, sensors: SensorService, *, create: bool) -> Meters:
        """Return the lookup of meters: in the table, then among existing sensors; with `create`, others are created.

        Raises:
            UsageError: sensors are to be created, but it is not set of which client or in which table to note them.
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


def inputs_of(files: Sequence[str], options: FileOptions = FileOptions()) -> Inputs:
    """Combine the mapping file and the options; an option overrides the file.

    Raises:
        UsageError: one of them cannot work, or a file does not exist.
    """
    if not files:
        raise UsageError("name at least one file, or - for standard input")
    try:
        mapping = read_mapping(options.mapping) if options.mapping else FileMapping()
        form = attrs.evolve(
            mapping.form,
            format=options.file_format or mapping.form.format,
            encoding=_checked_encoding(options.encoding) if options.encoding else mapping.form.encoding,
        )
        if options.meter:
            form = with_meter(form, options.meter)
        sources = sources_of(files, form)
    except (MappingError, SourceError) as error:
        raise UsageError(str(error)) from None
    reading = attrs.evolve(
        mapping.reading,
        time_zone=_checked_zone(options.time_zone) or mapping.reading.time_zone,
        dst=options.dst or mapping.reading.dst,
        decimal_comma=options.decimal_comma or mapping.reading.decimal_comma,
    )
    table = options.meters or mapping.meters.table
    if table is not None and is_stream(table):
        raise UsageError(f"--meters {table}: is a pipe, and the table is read more than once; name a file")
    return Inputs(
        sources=sources,
        reading=reading,
        signal_type=options.signal_type or mapping.signal_type,
        rules=attrs.evolve(mapping.meters, table=table),
        form=form,
        left_out=tuple(f"{file}: a table of meters, which is not read as readings" for file in tables_of_meters(files)),
    )


def with_meter(form: FileForm, meter: str) -> FileForm:
    """Return a form in which all rows of a file have this meter, instead of what its name or its first lines say.

    Raises:
        UsageError: the form names a column for the meter.
    """
    if "meter" in form.columns or form.several_meters_in_a_row:
        raise UsageError("--meter says the meter of all rows, but the mapping file names columns for it; leave out one")
    pattern = form.name_pattern if form.name_pattern and "meter" not in form.name_pattern.parts else None
    preamble = {role: cell for role, cell in form.preamble.items() if role != "meter"}
    return attrs.evolve(form, meter=meter, name_pattern=pattern, preamble=preamble)


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


def check_combination(
    inputs: Inputs,
    simulate: bool,
    workers: int,
    checkpoint: Path | None,
    no_checkpoint: bool,
    account: str | None = None,
) -> None:
    """Check that the options can be used together.

    Raises:
        UsageError: two of them exclude each other.
    """
    if checkpoint is not None and (simulate or no_checkpoint):
        which = "--simulate" if simulate else "--no-checkpoint"
        raise UsageError(f"--checkpoint and {which} exclude each other")
    if account is not None and (simulate or no_checkpoint):
        which = "--simulate" if simulate else "--no-checkpoint"
        raise UsageError(f"--account names whose checkpoint it is; with {which} there is none")
    if account is not None and not account.strip():
        raise UsageError("--account is empty: give a name, such as the workspace's")
    if workers > 1 and simulate:
        raise UsageError("--workers cannot share the service of --simulate; run 'besmart simulate' and send to that")
    if workers > 1 and inputs.form.several_meters_in_a_row:
        raise UsageError(
            "--workers divide the rows by meter, and these files have several meters in a row; leave it out"
        )
    if workers > 1 and len(inputs.paths) < len(inputs.sources):
        raise UsageError("--workers cannot share a pipe or standard input; name files")


def check_creation(inputs: Inputs, create_sensors: bool, dry_run: bool, workers: int) -> None:
    """Check that the options for meters can be used together.

    Raises:
        UsageError: two of them exclude each other.
    """
    if create_sensors and dry_run:
        raise UsageError("--dry-run creates no sensors; leave out --create-sensors")
    if workers > 1 and (create_sensors or inputs.rules.looked_through):
        raise UsageError(
            "--workers need a list of all meters: list them with --meters, without sensors to look through"
        )


def forget(record: Checkpoint, paths: Sequence[Path | StoredFile]) -> None:
    """Delete what the checkpoint has recorded about files.

    Raises:
        UsageError: a file cannot be read.
    """
    for path in paths:
        try:
            record.restart(path)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None


def checked_limit(text: str | None) -> RejectLimit | None:
    """Return the limit of `--max-rejects`; `0%` is the same as `0`, which ends the run at the first reject.

    Raises:
        UsageError: the text is not a limit.
    """
    try:
        limit = None if text is None else RejectLimit.parse(text)
        return None if limit is None else attrs.evolve(limit, percent=limit.percent and limit.most > 0)
    except ValueError as error:
        raise UsageError(f"--max-rejects: {error}") from None


def default_path() -> Path:
    """Return the user's checkpoint file, such as `~/.local/state/besmart/ingest.sqlite3`."""
    from platformdirs import user_state_path

    return user_state_path("besmart") / "ingest.sqlite3"


def scope_of(*options: object, table: Path | None = None, identity: Sequence[str] | None = None) -> str:
    """Return a digest of the service, the account, the options and the table of meters.

    Rows that were sent to another service or account, or with another mapping, are not done. No secret is part of it.

    Args:
        identity: what identifies the account; None for the login alone, as versions before 0.2 had it.
        options: all that decides what rows mean; different options must have different reprs.
        table: the table of meters.

    Raises:
        SourceError: the table cannot be read.
        UsageError: the saved account cannot be read.
    """
    try:
        account, _ = account_in_use()
    except NoCredentialsError:
        account = UserAccount(base_url=os.environ.get("BESMART_BASE_URL", "").strip())
    service = account.base_url or DEFAULT_BASE_URL
    whose = ((account.login or "").strip(),) if identity is None else ("account", *identity)
    facts = repr((service.rstrip("/"), *whose, *options)).encode()
    try:
        content = b"" if table is None else table.read_bytes()
    except OSError as error:
        raise SourceError(str(table), f"cannot be read: {error.strerror or error}") from None
    return blake2b(facts + b"\0" + content, digest_size=20).hexdigest()
