"""The file of rejected rows: after its rows are corrected, it can be ingested with the same command.

Its first columns, `rejected_…`, say what was wrong and where; they are ignored when the file is read. After them come
the columns of the readings, named as in the original file. Of a wide file it has whole rows: the good values of a row
with a bad one are sent again. Further bad values of the same row are listed in rows of their own, without values.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from besmart_async.cli.exits import UsageError
from besmart_async.cli.ingest_inputs import Inputs
from besmart_async.cli.outputs import check_unused, opened_anew
from besmart_async.errors import BesmartError
from besmart_async.export.text import escaped, rows_to
from besmart_async.ingest import ROLES, TOLD, Reject
from besmart_async.ingest.sources.stored import on_disk

_NOT_TEXT = (".gz", ".zst", ".parquet", ".pq", ".xlsx", ".xls")
"""Names of files that are read as something else than text."""


class RejectFileError(BesmartError):
    """Rejected rows are missing from the file of rejects; the text says how many, and what to do."""


class RejectFile:
    r"""Writes rejected rows to a file as CSV. A row that cannot be written is counted, and ends nothing.

    Characters that the encoding lacks are written as escapes such as `\u2026`; only texts of the service or of this
    package can have such.

    Args:
        file: the file, unbuffered.
        name: its name in messages.
        delimiter: of fields.
        encoding: of the text.
        escape_formulas: put an apostrophe before cells that a spreadsheet would run.

    Attributes:
        lost: rows that could not be written.
    """

    def __init__(
        self,
        file: io.FileIO,
        name: str,
        delimiter: str = ",",
        encoding: str = "utf-8",
        *,
        escape_formulas: bool = False,
    ) -> None:
        self._file = file
        self._name = name
        self._encoder = codecs.getincrementalencoder(encoding)("backslashreplace")
        self._text = io.StringIO()
        self._writer = rows_to(self._text, delimiter)
        self._cells = escaped if escape_formulas else list[object]
        self._roles: list[str] = []
        self._slots: list[str] = []
        self._begun = False
        self._size = 0
        self._plain = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        self._problem = ""
        self.lost = 0

    @property
    def error(self) -> RejectFileError | None:
        """What is missing from the file; None if nothing is."""
        if not self.lost:
            return None
        return RejectFileError(
            f"{self._name}: {self.lost:,} rejected rows are missing from this file ({self._problem}); name one that can"
            " be written, and run the same command again: it lists all rejected rows once more"
        )

    def add(self, reject: Reject) -> None:
        """Write one reject: it is in the file even if the process is killed."""
        texts = {role: text for role, _, text in reject.record}
        slots = [(title, text) for role, title, text in reject.record if role == "slot"]
        if not self._begun and not self._roles:
            self._begin(reject, [title for title, _ in slots])
        facts = [reject.file, reject.row, reject.column, reject.value, reject.reason, texts.get("line", "")]
        alike = all(title == known for (title, _), known in zip(slots, self._slots, strict=False))
        if alike and bool(slots) == bool(self._slots):
            held = [*(texts.get(role, "") for role in self._roles), *(text for _, text in slots)]
            held += [""] * (len(self._slots) - len(slots))
        else:  # a row with other columns, or another value of the same wide row
            held = [""] * (len(self._roles) + len(self._slots))
        self._writer.writerow(self._cells([*facts, *held]))
        self._write()

    def _begin(self, reject: Reject, slots: list[str]) -> None:
        titles = {role: title for role, title, _ in reject.record}
        self._slots = slots
        self._roles = [role for role in ROLES if not (slots and role == "value")]
        self._header = self._cells([*TOLD, *(titles.get(role) or role for role in self._roles), *slots])
        self._writer.writerow(self._header)

    def _write(self) -> None:
        """Write what was formed, with the header if that has not been written; all of it or nothing."""
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        before = self._encoder.getstate()
        content = self._encoder.encode(text)
        try:
            written = 0
            while written < len(content):
                written += self._file.write(content[written:]) or 0
        except OSError as error:
            self._problem = error.strerror or str(error)
            self.lost += 1
            self._encoder.setstate(before)
            if not self._begun:
                self._writer.writerow(self._header)
            if self._plain:
                with contextlib.suppress(OSError):  # no half row stays before the next one
                    self._file.truncate(self._size)
                    self._file.seek(self._size)
            return
        self._begun = True
        self._size += len(content)


@contextmanager
def reject_file(
    path: Path | None,
    inputs: Inputs,
    others: Iterable[tuple[str, Path | None]] = (),
    *,
    escape_formulas: bool = False,
) -> Generator[RejectFile | None, None, None]:
    """Open a file for rejects, with the encoding and delimiter of the files that are read, if those are set.

    Args:
        path: the file; None for none.
        inputs: what is read.
        others: further files that the command uses, and what each is.
        escape_formulas: put an apostrophe before cells that a spreadsheet would run.

    Raises:
        UsageError: the file cannot be written, is used otherwise, or holds something else than rejects.
    """
    if path is None:
        yield None
        return
    read = [("being read", on_disk(source)) for source in inputs.paths]
    check_unused("--rejects", path, [*read, ("the table of meters", inputs.rules.table), *others])
    if path.suffix.casefold() in _NOT_TEXT:
        raise UsageError(f"--rejects {path}: rejects are plain CSV; give a name such as {path.stem}.csv")
    encoding = inputs.form.encoding.removesuffix("-sig")
    file = opened_anew("--rejects", path, {TOLD[0].encode(encoding), TOLD[0].encode()})
    with file:
        delimiter = inputs.form.delimiter or ","
        yield RejectFile(file, str(path), delimiter, encoding, escape_formulas=escape_formulas)
