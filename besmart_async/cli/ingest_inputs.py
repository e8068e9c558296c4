"""What the commands that read files share: the files, how to read them, and whose meters they hold.

Arguments of `besmart ingest` that more can be wrong with than their type.

Where the command keeps what it has sent, and what else than the files that depends on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import attrs

from besmart_async.cli.credentials import UserAccount, stored
from besmart_async.cli.exits import UsageError
from besmart_async.config import DEFAULT_BASE_URL
from besmart_async.ingest import Checkpoint, RejectLimit
from besmart_async.ingest.layout import FileForm
from besmart_async.ingest.mapping_file import FileMapping, MeterRules, encoding_of, read_mapping
from besmart_async.ingest.meters import CreatedMeters, EidMeters, KnownMeters, Meters, SensorService, read_meter_table
from besmart_async.ingest.parsing import Reading
from besmart_async.ingest.sources import Source, SourceError, sources_of
from besmart_async.ingest.toml_tables import MappingError
from besmart_async.ingest.zones import DstRule, UnknownZoneError, zone_of


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


def check_combination(
    inputs: Inputs, simulate: bool, workers: int, checkpoint: Path | None, no_checkpoint: bool
) -> None:
    """See that options do not exclude each other.

    Raises:
        UsageError: they do.
    """
    if checkpoint is not None and (simulate or no_checkpoint):
        which = "--simulate" if simulate else "--no-checkpoint"
        raise UsageError(f"--checkpoint and {which} exclude each other")
    if workers > 1 and simulate:
        raise UsageError("--workers cannot share the service of --simulate; run 'besmart simulate' and send to that")
    if workers > 1 and len(inputs.paths) < len(inputs.sources):
        raise UsageError("--workers cannot share standard input; name files")


def check_creation(inputs: Inputs, create_sensors: bool, dry_run: bool, workers: int) -> None:
    """See that sensors can be looked for, or made, as asked.

    Raises:
        UsageError: they cannot.
    """
    if create_sensors and dry_run:
        raise UsageError("--dry-run makes no sensors; leave out --create-sensors")
    if workers > 1 and (create_sensors or inputs.rules.looked_through):
        raise UsageError(
            "--workers need meters that are known: list them with --meters, without sensors to look through"
        )


def forget(record: Checkpoint, paths: Sequence[Path]) -> None:
    """Forget what was recorded of files.

    Raises:
        UsageError: one cannot be read.
    """
    for path in paths:
        try:
            record.restart(path)
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from None


def checked_limit(text: str | None) -> RejectLimit | None:
    """Return the limit of `--max-rejects`.

    Raises:
        UsageError: it is none.
    """
    try:
        return None if text is None else RejectLimit.parse(text)
    except ValueError as error:
        raise UsageError(f"--max-rejects: {error}") from None


def default_path() -> Path:
    """The file of this user, such as `~/.local/state/besmart/ingest.sqlite3`."""
    from platformdirs import user_state_path

    return user_state_path("besmart") / "ingest.sqlite3"


def scope_of(*options: object, table: Path | None = None) -> str:
    """Return a digest of the service, the account, the options and the table of meters.

    Rows that were sent to another service, or were mapped otherwise, are not done. No secret goes into it.

    Args:
        options: whatever decides what rows mean; their reprs must tell them apart.
        table: the table of meters.

    Raises:
        SourceError: the table cannot be read.
        UsageError: the account that was kept cannot be read.
    """
    account = UserAccount.of(os.environ)
    if account is None:
        kept = stored()
        account = UserAccount(base_url=os.environ.get("BESMART_BASE_URL", "").strip()) if kept is None else kept[0]
    service = account.base_url or DEFAULT_BASE_URL
    told = repr((service.rstrip("/"), (account.login or "").strip(), *options)).encode()
    try:
        content = b"" if table is None else table.read_bytes()
    except OSError as error:
        raise SourceError(str(table), f"cannot be read: {error.strerror or error}") from None
    return blake2b(told + b"\0" + content, digest_size=20).hexdigest()
