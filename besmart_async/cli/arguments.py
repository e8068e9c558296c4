"""Arguments of `besmart ingest` that more can be wrong with than their type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from besmart_async.cli.exits import UsageError
from besmart_async.cli.inputs import Inputs
from besmart_async.ingest import Checkpoint, RejectLimit


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
