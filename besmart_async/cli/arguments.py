"""Arguments of `besmart ingest` that more can be wrong with than their type."""

from __future__ import annotations

from pathlib import Path

from besmart_async.cli.exits import UsageError
from besmart_async.ingest import Checkpoint, RejectLimit
from besmart_async.ingest.times import UnknownZoneError, zone_of


def check_combination(
    files: list[str], simulate: bool, workers: int, checkpoint: Path | None, no_checkpoint: bool
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
    if workers > 1 and "-" in files:
        raise UsageError("--workers cannot share standard input; name files")


def forget(record: Checkpoint, files: list[str]) -> None:
    """Forget what was recorded of files.

    Raises:
        UsageError: one cannot be read.
    """
    for file in files:
        if file == "-":
            continue
        try:
            record.restart(Path(file))
        except OSError as error:
            raise UsageError(f"{file}: cannot be read: {error.strerror or error}") from None


def checked_limit(text: str | None) -> RejectLimit | None:
    """Return the limit of `--max-rejects`.

    Raises:
        UsageError: it is none.
    """
    try:
        return None if text is None else RejectLimit.parse(text)
    except ValueError as error:
        raise UsageError(f"--max-rejects: {error}") from None


def checked_zone(name: str | None) -> str | None:
    """Return the zone of `--time-zone` if there is such a one.

    Raises:
        UsageError: there is not.
    """
    try:
        if name is not None:
            zone_of(name)
    except UnknownZoneError as error:
        raise UsageError(f"--time-zone: {error}") from None
    return name


def checked_encoding(name: str) -> str:
    """Return the encoding of `--encoding`; UTF-8 may begin with a byte-order mark.

    Raises:
        UsageError: there is no such encoding.
    """
    try:
        "".encode(name)
    except LookupError:
        raise UsageError(f"--encoding: {name!r} is no encoding; give one such as cp1250") from None
    return "utf-8-sig" if name.casefold().replace("-", "").replace("_", "") == "utf8" else name
