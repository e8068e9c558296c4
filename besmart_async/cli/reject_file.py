"""The file of rejected rows: mended, it ingests with the same command.

It has the columns of readings, named as in the file that they are from, and beside them `rejected_…` columns. Those
tell what was wrong where, and mean nothing when the file is read. Of a wide file it lists what is to be mended in the
file itself: meter, day and column.
"""

from __future__ import annotations

import csv
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from besmart_async.cli.exits import UsageError
from besmart_async.cli.inputs import Inputs
from besmart_async.ingest import REJECT_PREFIX, ROLES, Reject

_TOLD = ("file", "row", "column", "value", "reason", "line")


class RejectFile:
    """Writes rejects to a text file as CSV."""

    def __init__(self, file: IO[str], delimiter: str = ",") -> None:
        self._file = file
        self._writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._begun = False

    def add(self, reject: Reject) -> None:
        """Write one; whoever kills the process finds it there.

        Raises:
            OSError: it cannot be written.
        """
        texts = {role: text for role, _, text in reject.record}
        if not self._begun:
            self._begun = True
            titles = {role: title for role, title, _ in reject.record}
            header = [titles.get(role) or role for role in ROLES]
            self._writer.writerow([*header, *(f"{REJECT_PREFIX}{name}" for name in _TOLD)])
        held = [texts.get(role, "") for role in ROLES]
        told = [reject.file, reject.row, reject.column, reject.value, reject.reason, texts.get("line", "")]
        self._writer.writerow([*held, *told])
        self._file.flush()


@contextmanager
def reject_file(path: Path | None, inputs: Inputs) -> Generator[RejectFile | None, None, None]:
    """Open a file for rejects, with the encoding and delimiter that were told of the files that are read.

    Raises:
        UsageError: it cannot be written, or is one of those that are read.
    """
    if path is None:
        yield None
        return
    if any(path.resolve() == source.resolve() for source in inputs.paths):
        raise UsageError(f"--rejects {path}: that file is being read; name another")
    try:
        file = path.open("w", encoding=inputs.form.encoding.removesuffix("-sig"), newline="")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    with file:
        yield RejectFile(file, inputs.form.delimiter or ",")
