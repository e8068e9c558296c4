"""Formats by name, file name or content; and the files that command line arguments stand for."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from glob import glob, has_magic
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path, PurePosixPath

import attrs

from besmart_async.ingest.sources.archive import DEEPEST, members_of, parts_of
from besmart_async.ingest.sources.base import Format, Source, SourceError, is_stream
from besmart_async.ingest.sources.compression import COMPRESSIONS, opened, pieces
from besmart_async.ingest.sources.csv import CsvSource
from besmart_async.ingest.sources.dsmr import TelegramSource
from besmart_async.ingest.sources.header import by_frequency, said_by_name
from besmart_async.ingest.sources.layout import COLUMN_NAMES, FileForm, plain_title
from besmart_async.ingest.sources.parquet import ParquetSource
from besmart_async.ingest.sources.recognition import LOOKED_AT, TEXT, Recognized, recognized
from besmart_async.ingest.sources.standards import GreenButtonSource, MsconsSource, Nem12Source
from besmart_async.ingest.sources.stored import StoredFile, name_of
from besmart_async.ingest.sources.workbook import is_workbook, require_calamine, sheets_of

GROUP = "besmart_async.sources"
"""Entry points of this group are formats: a `Format`, or a class or function without parameters that returns one."""

STANDARD_INPUT = "-"


@attrs.frozen
class _BuiltIn:
    suffixes: tuple[str, ...]
    create: Callable[[Path | StoredFile | None, FileForm], Source]

    def source(self, path: Path | StoredFile | None, form: FileForm) -> Source:
        return self.create(path, form)


def _not_standard_input(what: str) -> SourceError:
    return SourceError("standard input", f"cannot be {what}, which is not read from front to back; name a file")


def _zip(path: Path | StoredFile | None, form: FileForm) -> Source:
    if path is None:
        raise _not_standard_input("a zip archive")
    raise SourceError(str(path), "is not a zip archive")


def _excel(path: Path | StoredFile | None, form: FileForm) -> Source:
    if path is None:
        raise _not_standard_input("a workbook")
    raise SourceError(str(path), "is not a workbook")


def _green_button(path: Path | StoredFile | None, form: FileForm) -> Source:
    if path is None:
        raise _not_standard_input("Green Button XML")
    try:
        said = said_by_name(form, str(path))
    except ValueError as error:
        raise SourceError(str(path), str(error)) from None
    return GreenButtonSource(path, meter=said.get("meter"))


def _nem12(path: Path | StoredFile | None, form: FileForm) -> Source:
    return Nem12Source(path) if form.meter is None else _named_twice(path, "NEM12")


def _mscons(path: Path | StoredFile | None, form: FileForm) -> Source:
    return MsconsSource(path) if form.meter is None else _named_twice(path, "MSCONS")


def _named_twice(path: Path | StoredFile | None, what: str) -> Source:
    raise SourceError(name_of(path), f"is {what}, which names its meters itself; leave out file.meter")


def _parquet(path: Path | StoredFile | None, form: FileForm) -> Source:
    if path is None:
        raise _not_standard_input("Parquet")
    return ParquetSource(path, form=form)


_BUILT_IN: Mapping[str, Format] = {
    "csv": _BuiltIn((".csv", ".txt", ".tsv"), lambda path, form: CsvSource(path, form.encoding, form=form)),
    "parquet": _BuiltIn((".parquet", ".pq"), _parquet),
    "dsmr": _BuiltIn((".p1", ".dsmr"), lambda path, _form: TelegramSource(path)),
    "excel": _BuiltIn((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), _excel),
    "zip": _BuiltIn((".zip",), _zip),
    "nem12": _BuiltIn((".nem12",), _nem12),
    "mscons": _BuiltIn((".mscons", ".edi"), _mscons),
    "green-button": _BuiltIn((".espi",), _green_button),
}
_STREAMED = tuple(_BUILT_IN[name] for name in ("csv", "dsmr", "nem12", "mscons"))
"""Formats that are read once, from start to end."""


def format_names() -> tuple[str, ...]:
    """Names of all formats: built in, and installed by other packages."""
    return (*_BUILT_IN, *_installed())


def sources_of(names: Iterable[str], form: FileForm | None = None, *, fitting: bool = True) -> list[Source]:
    """Create sources for command line arguments: files, folders, patterns such as `data/*.csv.gz`, and `-`.

    A folder stands for all files in it and its subfolders that have a suffix of a known format, in the order of their
    names. A table of meters among the files is left out; `tables_of_meters` names it. A file that is named twice is
    read once. A zip archive stands for the files in it, and a workbook for its sheets. A pipe (`<(zcat x.gz)`, a FIFO,
    `/dev/stdin`) is read like standard input: once, and only in the formats that can be.

    Args:
        names: the arguments.
        form: what the user said about the files.
        fitting: leave out sheets of workbooks whose table does not fit the form.

    Raises:
        SourceError: the file or format does not exist, or cannot be read, a pattern or folder matches no files, or the
            format of a pipe cannot be read from one.
    """
    form = form or FileForm()
    found: dict[Path | None, list[Source]] = {}
    names = list(names)
    left_out = set(tables_of_meters(names))
    for name in names:
        paths = [None] if name == STANDARD_INPUT else _paths(name)
        for path in paths:
            if path in left_out:
                continue
            key = path.resolve() if path is not None else None
            if key not in found:
                found[key] = _sources(path, form, fitting=fitting)
    return [source for sources in found.values() for source in sources]


def tables_of_meters(names: Iterable[str]) -> list[Path]:
    """Return the tables of meters (meter, client_cid, sensor_mid) among several files, which `sources_of` leaves out.

    Raises:
        SourceError: a pattern or folder matches no files.
    """
    paths = [path for name in names for path in ([Path()] if name == STANDARD_INPUT else _paths(name))]
    found = [path for path in dict.fromkeys(paths) if is_meter_table(path)]
    return found if len(found) < len(set(paths)) else []


def is_meter_table(file: Path) -> bool:
    """Return whether the first line of a file has the titles of a table of meters, and none of readings."""
    if _suffix(file) not in _BUILT_IN["csv"].suffixes or is_stream(file) or not file.is_file():
        return False
    try:
        with opened(file, str(file)) as raw:
            line = next(pieces(raw, file, str(file)), b"").removeprefix(codecs.BOM_UTF8).split(b"\n")[0]
    except SourceError:
        return False
    text = line.decode(errors="replace").strip()
    titles = {plain_title(title.strip('"')) for title in text.split(by_frequency(text)[0])}
    meters = titles & {plain_title(name) for name in COLUMN_NAMES["meter"]}
    readings = titles & {plain_title(name) for role in ("time", "date", "value") for name in COLUMN_NAMES[role]}
    return bool(meters) and {"client_cid", "sensor_mid"} <= titles and not readings


def _sources(path: Path | StoredFile | None, form: FileForm, depth: int = 0, *, fitting: bool = True) -> list[Source]:
    """The sources of a file: those of each member of an archive, or of each sheet of a workbook."""
    kind = what_it_is(path)
    if path is not None and kind.format == "zip" and form.format in (None, "zip"):
        return _in_archive(path, form, depth, fitting=fitting)
    made = format_of(path, form)
    if path is not None and is_stream(path) and made not in _STREAMED:
        raise SourceError(str(path), "is a pipe, and files of this format are read more than once; copy it to a file")
    if path is not None and made is _BUILT_IN["excel"]:
        require_calamine(path)
        return [*sheets_of(path, form, fitting=fitting)]
    return [made.source(path, form)]  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def _in_archive(path: Path | StoredFile, form: FileForm, depth: int, *, fitting: bool) -> list[Source]:
    if depth == DEEPEST:
        raise SourceError(str(path), f"is an archive in an archive, {DEEPEST} deep; unpack it first")
    form = attrs.evolve(form, format=None) if form.format == "zip" else form
    known = _known_suffixes()
    found: list[Source] = []
    others: list[str] = []
    for member in members_of(path):
        kind = what_it_is(member)
        if kind.format is not None or _suffix(member) in known:
            found += _sources(member, form, depth + 1, fitting=fitting)
        else:
            others.append(f"{member.member} {kind.problem or 'has no suffix of a known format'}")
    if not found:
        raise SourceError(str(path), f"is a zip archive without readings: {'; '.join(others[:5])}")
    return found


def what_it_is(path: Path | StoredFile | None) -> Recognized:
    """Return what a file is by its first bytes; a table in text if they cannot be read, which its source explains."""
    if path is None or not path.is_file():
        return TEXT
    try:
        with opened(path, str(path)) as raw:
            start = b""
            for piece in pieces(raw, path, str(path)):
                start += piece
                if len(start) >= LOOKED_AT:
                    break
    except SourceError:
        return TEXT
    found = recognized(start[:LOOKED_AT])
    if found.format != "zip":
        return found
    parts = parts_of(path)
    if is_workbook(parts):
        return Recognized("excel")
    if "word/document.xml" in parts or "ppt/presentation.xml" in parts:
        return Recognized(problem="is a Word or PowerPoint document; ask for the data as CSV or Excel")
    return found


def format_of(path: Path | StoredFile | None, form: FileForm) -> Format:
    """Find the format of a file: as given, else by its first bytes, else by its suffix; by default CSV.

    A suffix of a format of another package counts before the first bytes.

    Raises:
        SourceError: the given format is unknown, its package fails, or the file is of a kind that cannot be read.
    """
    if form.format is not None:
        return _named(form.format)
    suffix = _suffix(path) if path is not None else ""
    for name in _installed() if suffix else ():
        if suffix in _named(name).suffixes:
            return _named(name)
    kind = what_it_is(path)
    if kind.problem:
        raise SourceError(str(path), kind.problem)
    if kind.format is not None:
        return _BUILT_IN[kind.format]
    for found in _BUILT_IN.values():
        if suffix in found.suffixes:
            return found
    return _BUILT_IN["csv"]


def _named(name: str) -> Format:
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    entry = _installed().get(name)
    if entry is None:
        raise SourceError(name, f"is no format; known are {', '.join(format_names())}")
    return _loaded(entry)


@lru_cache
def _loaded(entry: EntryPoint) -> Format:
    try:
        made: object = entry.load()
        found = made() if callable(made) else made
        suffixes: object = getattr(found, "suffixes", None)
    except Exception as error:
        raise SourceError(entry.name, f"the package of this format fails: {type(error).__name__}: {error}") from error
    if not isinstance(suffixes, tuple) or not callable(getattr(found, "source", None)):
        raise SourceError(entry.name, f"{entry.value} is no format: it needs suffixes (a tuple) and source(path, form)")
    return found  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in _BUILT_IN}


def _paths(name: str) -> list[Path]:
    path = Path(name)
    if path.is_dir():
        found = _in_folder(path)
        if not found:
            known = ", ".join(sorted(_known_suffixes()))
            raise SourceError(name, f"is a folder without files of a known format ({known})")
        return found
    if not path.exists() and has_magic(name):
        matching = sorted(Path(match) for match in glob(name, recursive=True) if Path(match).is_file())  # noqa: PTH207
        if not matching:
            raise SourceError(name, "no file matches")
        return matching
    return [_behind(path)]


def _in_folder(folder: Path) -> list[Path]:
    known = _known_suffixes()
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and _shown(file, folder) and (_suffix(file) in known or _green_button_xml(file))
    )


def _behind(path: Path) -> Path:
    """Return the file behind /dev/stdin or /dev/fd/N, if it is one: another process has another file there."""
    if path.parts[:2] in {("/", "dev"), ("/", "proc")} and path.is_file():
        real = path.resolve()
        return real if real.is_file() else path
    return path


def _known_suffixes() -> set[str]:
    return {suffix for kind in format_names() for suffix in _named(kind).suffixes}


def _green_button_xml(file: Path) -> bool:
    return file.suffix.casefold() == ".xml" and what_it_is(file).format == "green-button"


def _suffix(path: Path | StoredFile) -> str:
    own = path.suffix.casefold()
    return PurePosixPath(path.name[: -len(own)]).suffix.casefold() if own in COMPRESSIONS else own


def _shown(file: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in file.relative_to(folder).parts)
