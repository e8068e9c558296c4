"""The file of rejected rows: after its rows are corrected, it can be ingested with the same command.

Its first columns, `rejected_…`, say what was wrong and where; they are ignored when the file is read. After them come
the columns of the readings, named as in the original file. Of a wide file it has whole rows: the good values of a row
with a bad one are sent again. Further bad values of the same row are listed in rows of their own, without values.
"""

from __future__ import annotations

import csv
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from besmart_async.cli.exits import UsageError
from besmart_async.cli.ingest_inputs import Inputs
from besmart_async.ingest import ROLES, TOLD, Reject


class RejectFile:
    """Writes rejected rows to a text file as CSV."""

    def __init__(self, file: IO[str], delimiter: str = ",") -> None:
        self._file = file
        self._writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        self._roles: list[str] = []
        self._slots: list[str] = []

    def add(self, reject: Reject) -> None:
        """Write one reject, and flush: it is in the file even if the process is killed.

        Raises:
            OSError: the file cannot be written.
        """
        texts = {role: text for role, _, text in reject.record}
        slots = [(title, text) for role, title, text in reject.record if role == "slot"]
        if not self._roles:
            self._begin(reject, [title for title, _ in slots])
        facts = [reject.file, reject.row, reject.column, reject.value, reject.reason, texts.get("line", "")]
        alike = all(title == known for (title, _), known in zip(slots, self._slots, strict=False))
        if alike and bool(slots) == bool(self._slots):
            held = [*(texts.get(role, "") for role in self._roles), *(text for _, text in slots)]
            held += [""] * (len(self._slots) - len(slots))
        else:  # a row with other columns, or another value of the same wide row
            held = [""] * (len(self._roles) + len(self._slots))
        self._writer.writerow([*facts, *held])
        self._file.flush()

    def _begin(self, reject: Reject, slots: list[str]) -> None:
        titles = {role: title for role, title, _ in reject.record}
        self._slots = slots
        self._roles = [role for role in ROLES if not (slots and role == "value")]
        self._writer.writerow([*TOLD, *(titles.get(role) or role for role in self._roles), *slots])


@contextmanager
def reject_file(path: Path | None, inputs: Inputs) -> Generator[RejectFile | None, None, None]:
    """Open a file for rejects, with the encoding and delimiter of the files that are read, if those are set.

    Raises:
        UsageError: the file cannot be written, or is one of the files that are read.
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
