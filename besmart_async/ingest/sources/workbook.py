"""Excel and OpenDocument workbooks, by python-calamine: each sheet is read like a CSV file.

A sheet becomes lines of CSV, one for each of its rows, so that row numbers are the sheet's and everything that a
mapping file can say about CSV holds. Cells that are numbers or dates stay so: no decimal comma and no format of times
applies to them. Formulas count by their stored values.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Generator, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Literal

import attrs

from besmart_async.ingest.sources.archive import explained, parts_of
from besmart_async.ingest.sources.base import CHUNK_ROWS, Page, SourceError
from besmart_async.ingest.sources.columns import Column, DaySlots, as_column, as_numpy, pa, pc
from besmart_async.ingest.sources.csv import CsvSource
from besmart_async.ingest.sources.layout import FileForm
from besmart_async.ingest.sources.stored import StoredFile, on_disk, seekable, size_of

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

MOST_CELLS: Final = 25_000_000
"""Cells of a sheet, empty ones included: all of them are held in memory."""
MOST_BYTES: Final = 512 << 20
"""Bytes that the parts of a workbook may have, unpacked."""
_MOST_REPEATS: Final = 1_000
_SCANNED_BYTES: Final = 1 << 20

_TYPED: Final = "\x1f"
"""Before the text of a cell that is a number or a date; never in a text cell, and stripped from names like a blank."""
_FROM_1900, _FROM_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)
_SERIALS = (36_526, 73_050)
"""Excel's numbers of the days from 2000 to 2099, counted from 1900."""
_CELL = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')
_1904 = re.compile(rb'date1904\s*=\s*"(?:1|true)"')
_REPEATED_ROW = re.compile(
    rb'<table:table-row[^>]*number-rows-repeated="([0-9]+)"[^>]*>(.*?)</table:table-row>', re.DOTALL
)
_REPEATED_CELL = re.compile(rb'<table:table-cell[^>]*number-columns-repeated="([0-9]+)"[^>]*>')


@attrs.frozen
class Sheet:
    """A sheet as a file of CSV text.

    Attributes:
        workbook: the workbook.
        sheet: the sheet's name.
        alone: it is the only one that is read, so that messages need not name it.
    """

    workbook: Path | StoredFile
    sheet: str
    alone: bool = attrs.field(default=False, eq=False)

    def __str__(self) -> str:
        return str(self.workbook) if self.alone else f"{self.workbook}!{self.sheet}"

    @property
    def name(self) -> str:
        """The name of the workbook and of the sheet."""
        return self.workbook.name if self.alone else f"{self.workbook.name}!{self.sheet}"

    @property
    def suffix(self) -> str:
        """Always `.csv`."""
        return ".csv"

    @property
    def size(self) -> int:
        """The bytes of its text."""
        return len(_text_of(self.workbook, self.sheet, _version(self.workbook)))

    @property
    def within(self) -> Path:
        """The workbook, or the archive that it is in."""
        return on_disk(self.workbook)

    def open(self, mode: Literal["rb"] = "rb", buffering: int = -1) -> IO[bytes]:
        """Open its text for reading; see `StoredFile`."""
        text = _text_of(self.workbook, self.sheet, _version(self.workbook))
        return io.BufferedReader(io.BytesIO(text))

    def is_file(self) -> bool:
        """Whether the workbook exists."""
        return self.workbook.is_file()

    def resolve(self) -> Path:
        """The workbook's path, followed by the sheet's name."""
        return self.workbook.resolve() / self.sheet


@attrs.frozen
class SheetSource:
    """A sheet of a workbook.

    Attributes:
        path: the sheet.
        form: what the user said about the file.
        passed_over: names of sheets of the same workbook that are not read, because they hold no table.
        chunk_rows: approximate readings per page.
    """

    path: Sheet
    form: FileForm = attrs.field(factory=FileForm)
    passed_over: tuple[str, ...] = ()
    chunk_rows: int = CHUNK_ROWS

    @property
    def name(self) -> str:
        """The path of the workbook, and the sheet."""
        return str(self.path)

    @property
    def size_bytes(self) -> int | None:
        """Bytes of its text."""
        return self.path.size if self.path.is_file() else None

    def check(self) -> tuple[str, ...]:
        """Check the header, and name unused columns and sheets; see `Source`."""
        unused = (title.replace(_TYPED, "") for title in self._csv.check())
        return (*unused, *(f"(sheet {sheet}: no table)" for sheet in self.passed_over))

    def pages(self) -> Generator[Page, None, None]:
        """Read the sheet from the start; see `Source`."""
        try:
            epoch = _FROM_1904 if _from_1904(self.path.workbook) else _FROM_1900
        except OSError as error:
            raise SourceError(self.name, f"cannot be read: {error}") from None
        for page in self._csv.pages():
            yield attrs.evolve(page, chunk=_typed(page, epoch), rejects=tuple(map(_untyped_reject, page.rejects)))

    @property
    def text(self) -> str:
        """The rows as CSV, as far as a person sees them."""
        return _text(self.path.workbook, self.path.sheet).decode().replace(_TYPED, "")

    @property
    def _csv(self) -> CsvSource:
        form = attrs.evolve(self.form, delimiter=",", encoding="utf-8")
        return CsvSource(self.path, "utf-8", self.chunk_rows, form)


def sheets_of(path: Path | StoredFile, form: FileForm, *, fitting: bool = True) -> list[SheetSource]:
    """Return the sheets of a workbook that hold a table; hidden and empty ones do not count.

    Args:
        path: the workbook.
        form: what the user said about it.
        fitting: leave out sheets whose table does not fit the form.

    Raises:
        SourceError: it cannot be read, python-calamine is not installed, or no sheet holds a table.
    """
    names = _chosen(path, form)
    with_text = [name for name in names if _text(path, name).strip(b"\n")]
    if not with_text and form.sheet:
        raise SourceError(str(path), f"is empty in the sheets that file.sheet chooses: {', '.join(names)}")
    if not with_text:
        raise SourceError(str(path), "is a workbook whose visible sheets are empty")
    if len(with_text) == 1:
        return [SheetSource(Sheet(path, with_text[0], alone=True), form)]
    if not fitting:
        return [SheetSource(Sheet(path, name), form) for name in with_text]
    found: list[SheetSource] = []
    problems: dict[str, str] = {}
    for name in with_text:
        source = SheetSource(Sheet(path, name), form)
        try:
            source.check()
            found.append(source)
        except SourceError as error:
            problems[name] = error.problem
    if not found:
        listed = "; ".join(f"{name} {problem}" for name, problem in problems.items())
        raise SourceError(str(path), f"is a workbook without a table that fits: sheet {listed}")
    if len(found) == 1:
        found = [SheetSource(attrs.evolve(found[0].path, alone=True), form)]
    _refuse_conflicts(path, found)
    return [attrs.evolve(found[0], passed_over=tuple(problems)), *found[1:]]


def _chosen(path: Path | StoredFile, form: FileForm) -> list[str]:
    """The visible sheets, or those that the user names, also hidden ones.

    Raises:
        SourceError: no sheet has such a name.
    """
    if not form.sheet:
        return list(_visible(path))
    every = _all_sheets(path)
    found: list[str] = []
    for pattern in form.sheet:
        fitting = [name for name in every if fnmatchcase(name.casefold(), pattern.casefold())]
        if not fitting:
            listed = ", ".join(map(repr, every))
            raise SourceError(str(path), f"has no sheet {pattern!r}, which file.sheet names; there are {listed}")
        found += [name for name in fitting if name not in found]
    return found


def _refuse_conflicts(path: Path | StoredFile, sheets: Sequence[SheetSource]) -> None:
    """Refuse sheets that have one reading with different values: a sheet of sums would replace the readings.

    Raises:
        SourceError: the text names the sheets and a reading.
    """
    if len(sheets) < 2:
        return
    seen: dict[int, tuple[int, int]] = {}  # hashes of readings: the texts of a workbook of millions would not fit
    for number, source in enumerate(sheets):
        for key, value in _readings(source):
            other, before = seen.setdefault(hash(key), (number, hash(value)))
            if other != number and before != hash(value):
                first = sheets[other]
                held = next((value for found, value in _readings(first) if found == key), None)
                if held is None or held == value:
                    continue  # another reading with the same hash
                meter, signal, time, *_ = key
                what = " ".join(str(part) for part in (meter, signal, time) if part)
                one, two = first.path.sheet, source.path.sheet
                raise SourceError(
                    str(path),
                    f"sheets {one!r} and {two!r} both have a value for {what}: {held} and {value};"
                    f" say which sheet has the readings, such as file.sheet = {json.dumps(one, ensure_ascii=False)}",
                )


def _readings(source: SheetSource) -> Iterator[tuple[tuple[object, ...], str]]:
    """Yield (meter, signal type, time, slot, origin) and the value of the readings of a sheet."""
    for page in source.pages():
        chunk = page.chunk
        roles = [role for role in ("meter", "signal", "time", "origin") if getattr(chunk, role) is not None]
        for index in range(len(chunk)):
            texts = {role: chunk.text(role, index) for role in roles}
            slot = chunk.title("value", index) if chunk.column is not None or isinstance(chunk.time, DaySlots) else ""
            key = (texts.get("meter"), texts.get("signal"), texts.get("time"), texts.get("origin"), slot)
            value = chunk.text("value", index)
            if value:
                yield key, value


def is_workbook(parts: dict[str, int]) -> bool:
    """Return whether a zip archive with these parts is a workbook (.xlsx, .xlsm, .xlsb, .ods)."""
    return "xl/workbook.xml" in parts or "xl/workbook.bin" in parts or {"mimetype", "content.xml"} <= parts.keys()


# -- cells to text -------------------------------------------------------------------------------------------------


def _text(path: Path | StoredFile, sheet: str) -> bytes:
    try:
        return _text_of(path, sheet, _version(path))
    except OSError as error:
        raise SourceError(f"{path}!{sheet}", f"cannot be read: {error}") from None


@lru_cache(maxsize=2)
def _text_of(path: Path | StoredFile, sheet: str, version: object) -> bytes:
    """The rows of a sheet as lines of CSV."""
    found: CalamineSheet = _opened(path).get_sheet_by_name(sheet)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    before = [""] * (found.start[1] if found.start is not None else 0)
    for cells in found.iter_rows():
        row = [_shown(cell) for cell in cells]
        if any(row):
            writer.writerow([*before, *row])
        else:
            text.write("\n")
    return text.getvalue().encode(errors="replace")


def _shown(cell: Any) -> str:  # noqa: PLR0911 - a kind of cell each
    if isinstance(cell, str):
        return " ".join(cell.replace(_TYPED, " ").splitlines()) if "\n" in cell or "\r" in cell else cell
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, datetime):
        return f"{_TYPED}{_rounded(cell).isoformat(timespec='auto')}"
    if isinstance(cell, date | time):
        return f"{_TYPED}{cell.isoformat()}"
    if isinstance(cell, timedelta):
        hours, seconds = divmod(round(cell.total_seconds()), 3600)
        return f"{_TYPED}{hours:02d}:{seconds // 60:02d}:{seconds % 60:02d}"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return f"{_TYPED}{int(cell)}"
    return f"{_TYPED}{cell!r}"


def _rounded(moment: datetime) -> datetime:
    """Round to a second what is a millisecond off: days are stored as doubles."""
    nearest = (moment + timedelta(microseconds=500_000)).replace(microsecond=0)
    return nearest if abs(moment - nearest) <= timedelta(milliseconds=1) else moment


# -- text to typed columns -----------------------------------------------------------------------------------------


def _typed(page: Page, epoch: datetime) -> Any:
    """The chunk of a page, with numbers and dates in the columns of values and times as such."""
    chunk = page.chunk
    titles = {role: title.replace(_TYPED, "") for role, title in chunk.titles.items()}
    time = chunk.time
    if isinstance(time, DaySlots):
        slots = attrs.evolve(time.slots, titles=tuple(title.replace(_TYPED, "") for title in time.slots.titles))
        time = attrs.evolve(time, slots=slots)
    else:
        time = _times(as_column(time), epoch)
    return attrs.evolve(chunk, time=time, value=_numbers(as_column(chunk.value)), titles=titles)


def _numbers(column: Column) -> Column:
    typed = as_numpy(pc.starts_with(column, _TYPED))
    plain = pc.replace_substring(column, _TYPED, "")
    if not typed.any():
        return column
    if (typed | as_numpy(pc.equal(plain, ""))).all():
        numbers = pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), plain)
        try:
            return pc.cast(numbers, pa.float64())
        except pa.ArrowInvalid:  # a date among the numbers
            return plain
    texts = plain.to_pylist()
    return pa.array([_without_point(text) if one else text for text, one in zip(texts, typed, strict=True)])


def _without_point(text: str) -> str:
    """A number without a decimal point, so that no option about points and commas changes it: 12.5 is 125e-1."""
    found = re.fullmatch(r"(-?[0-9]+)\.([0-9]+)", text)
    return f"{found[1]}{found[2]}e-{len(found[2])}" if found else text


def _times(column: Column, epoch: datetime) -> Column:
    if not pa.types.is_string(column.type):
        return column
    typed = as_numpy(pc.starts_with(column, _TYPED))
    plain = pc.replace_substring(column, _TYPED, "")
    if not typed.any():
        return column
    texts = [_of_serial(text, epoch) if one else text for text, one in zip(plain.to_pylist(), typed, strict=True)]
    plain = pa.array(texts, pa.string())
    if not typed.all():
        return plain
    try:
        return pc.cast(plain, pa.timestamp("ms"))
    except pa.ArrowInvalid:  # numbers that are not days
        return plain


def _of_serial(text: str, epoch: datetime) -> str:
    """A number in a column of times as ISO 8601, if it is Excel's number of a day in this century."""
    try:
        days = float(text)
    except ValueError:
        return text
    offset = (epoch - _FROM_1900).days
    if not _SERIALS[0] <= days + offset <= _SERIALS[1]:
        return text
    return _rounded(epoch + timedelta(milliseconds=round(days * 86_400_000))).isoformat()


def _untyped_reject(reject: Any) -> Any:
    record = tuple((role, title, text.replace(_TYPED, "")) for role, title, text in reject.record)
    return attrs.evolve(reject, value=reject.value.replace(_TYPED, ""), record=record)


# -- the workbook --------------------------------------------------------------------------------------------------


def _version(path: Path | StoredFile) -> object:
    if not isinstance(path, Path):
        return path.size
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _all_sheets(path: Path | StoredFile) -> list[str]:
    from python_calamine import SheetTypeEnum  # noqa: PLC0415 - of an extra

    try:
        return [sheet.name for sheet in _opened(path).sheets_metadata if sheet.typ == SheetTypeEnum.WorkSheet]
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error}") from None


def _visible(path: Path | StoredFile) -> Sequence[str]:
    from python_calamine import SheetTypeEnum, SheetVisibleEnum  # noqa: PLC0415 - of an extra

    try:
        sheets = _opened(path).sheets_metadata
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error}") from None
    return [
        sheet.name
        for sheet in sheets
        if sheet.typ == SheetTypeEnum.WorkSheet and sheet.visible == SheetVisibleEnum.Visible
    ]


def _opened(path: Path | StoredFile) -> CalamineWorkbook:
    """Open a workbook whose size is within the limits.

    Raises:
        OSError: it cannot be read.
        SourceError: a limit is exceeded, or it has a password.
    """
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError  # noqa: PLC0415 - of an extra

    _check_size(path)
    held = seekable(path)
    try:
        if isinstance(held, Path):
            return CalamineWorkbook.from_path(held)
        return CalamineWorkbook.from_filelike(held)
    except PasswordError:
        raise SourceError(str(path), "is a workbook with a password; save it without one") from None
    except CalamineError as error:
        raise SourceError(str(path), f"is a workbook that cannot be read: {error}") from None


def require_calamine(path: Path | StoredFile) -> None:
    """Check that python-calamine is installed.

    Raises:
        SourceError: the text says how to install it.
    """
    try:
        import_module("python_calamine")
    except ModuleNotFoundError:
        problem = "is an Excel or OpenDocument workbook, and these need python-calamine: pip install"
        raise SourceError(str(path), f"{problem} 'besmart-async[excel]'") from None


def _check_size(path: Path | StoredFile) -> None:
    if not _zipped(path):
        if (size_of(path) or 0) > MOST_BYTES:
            raise SourceError(str(path), f"is larger than {MOST_BYTES:,} bytes; save it as CSV")
        return
    whole = sum(parts_of(path).values())
    if whole > MOST_BYTES:
        raise SourceError(str(path), f"would unpack to {whole:,} bytes, more than {MOST_BYTES:,}; save it as CSV")
    for name, extent in _extents(path):
        if extent > MOST_CELLS:
            raise SourceError(str(path), f"{name} spans {extent:,} cells, more than {MOST_CELLS:,}; save it as CSV")


def _zipped(path: Path | StoredFile) -> bool:
    with path.open("rb") as raw:
        return raw.read(2) == b"PK"


def _extents(path: Path | StoredFile) -> Iterator[tuple[str, int]]:
    """Yield (part, cells from the first to the last row and column) of the sheets of .xlsx and .ods workbooks."""
    try:
        with zipfile.ZipFile(seekable(path)) as archive:
            for name in archive.namelist():
                if re.fullmatch(r"xl/worksheets/[^/]+\.xml", name):
                    yield name, _extent(archive, name)
                elif name == "content.xml":
                    yield name, _repeats(archive.read(name))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise OSError(explained(error)) from None


def _extent(archive: zipfile.ZipFile, name: str) -> int:
    rows = columns = 0
    rest = b""
    with archive.open(name) as part:
        while piece := part.read(_SCANNED_BYTES):
            text = rest + piece
            for letters, row in set(_CELL.findall(text)):
                rows = max(rows, int(row))
                columns = max(columns, _column(letters))
            rest = text[-40:]
    return rows * columns


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _repeats(content: bytes) -> int:
    """The most cells that a repeated row or cell with a value stands for."""
    most = 0
    for found in _REPEATED_ROW.finditer(content):
        if int(found[1]) > _MOST_REPEATS and b"office:value" in found[2]:
            most = max(most, int(found[1]) * _MOST_REPEATS)
    for found in _REPEATED_CELL.finditer(content):
        if int(found[1]) > _MOST_REPEATS and b"office:value" in found[0]:
            most = max(most, int(found[1]) * _MOST_REPEATS * 100)
    return most


def _from_1904(path: Path | StoredFile) -> bool:
    if not _zipped(path) or "xl/workbook.xml" not in parts_of(path):
        return False
    with zipfile.ZipFile(seekable(path)) as archive:
        return _1904.search(archive.read("xl/workbook.xml")) is not None
