"""Formats by name, file name or content; and the files that command line arguments stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from glob import glob, has_magic
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import attrs

from besmart_async.ingest.sources.base import Format, Source, SourceError, is_stream
from besmart_async.ingest.sources.compression import COMPRESSIONS
from besmart_async.ingest.sources.csv import CsvSource
from besmart_async.ingest.sources.dsmr import TelegramSource
from besmart_async.ingest.sources.layout import FileForm
from besmart_async.ingest.sources.parquet import ParquetSource

GROUP = "besmart_async.sources"
"""Entry points of this group are formats: a `Format`, or a class or function without parameters that returns one."""

STANDARD_INPUT = "-"
_PARQUET = b"PAR1"


@attrs.frozen
class _BuiltIn:
    suffixes: tuple[str, ...]
    create: Callable[[Path | None, FileForm], Source]

    def source(self, path: Path | None, form: FileForm) -> Source:
        return self.create(path, form)


def _parquet(path: Path | None, form: FileForm) -> Source:
    if path is None:
        raise SourceError("standard input", "cannot be Parquet, which is read from its end; name a file")
    return ParquetSource(path, form=form)


_BUILT_IN: Mapping[str, Format] = {
    "csv": _BuiltIn((".csv", ".txt", ".tsv"), lambda path, form: CsvSource(path, form.encoding, form=form)),
    "parquet": _BuiltIn((".parquet", ".pq"), _parquet),
    "dsmr": _BuiltIn((".p1", ".dsmr"), lambda path, _form: TelegramSource(path)),
}
_STREAMED = (_BUILT_IN["csv"], _BUILT_IN["dsmr"])
"""Formats that are read once, from start to end."""


def format_names() -> tuple[str, ...]:
    """Names of all formats: built in, and installed by other packages."""
    return (*_BUILT_IN, *_installed())


def sources_of(names: Iterable[str], form: FileForm | None = None) -> list[Source]:
    """Create sources for command line arguments: files, folders, patterns such as `data/*.csv.gz`, and `-`.

    A folder stands for all files in it and its subfolders that have a suffix of a known format, in the order of their
    names. A file that is named twice is read once. A pipe (`<(zcat x.gz)`, a FIFO, `/dev/stdin`) is read like standard
    input: once, and only in the formats that can be.

    Raises:
        SourceError: the file or format does not exist, a pattern or folder matches no files, or the format of a pipe
            cannot be read from one.
    """
    form = form or FileForm()
    found: dict[Path | None, Source] = {}
    for name in names:
        paths = [None] if name == STANDARD_INPUT else _paths(name)
        for path in paths:
            key = path.resolve() if path is not None else None
            if key not in found:
                found[key] = _source(path, form)
    return list(found.values())


def _source(path: Path | None, form: FileForm) -> Source:
    kind = format_of(path, form)
    if path is not None and is_stream(path) and kind not in _STREAMED:
        raise SourceError(str(path), "is a pipe, and files of this format are read more than once; copy it to a file")
    return kind.source(path, form)


def format_of(path: Path | None, form: FileForm) -> Format:
    """Find the format of a file: as given, else by its suffix, else by its first bytes; by default CSV.

    Raises:
        SourceError: the given format is unknown, or its package fails.
    """
    if form.format is not None:
        return _named(form.format)
    suffix = _suffix(path) if path is not None else ""
    for found in _BUILT_IN.values():
        if suffix in found.suffixes:
            return found
    for name in _installed() if suffix else ():
        if suffix in _named(name).suffixes:
            return _named(name)
    if path is not None and path.is_file():
        with path.open("rb") as file:
            if file.read(4) == _PARQUET:
                return _BUILT_IN["parquet"]
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
        known = {suffix for kind in format_names() for suffix in _named(kind).suffixes}
        found = sorted(
            file for file in path.rglob("*") if file.is_file() and _suffix(file) in known and _shown(file, path)
        )
        if not found:
            raise SourceError(name, f"is a folder without files of a known format ({', '.join(sorted(known))})")
        return found
    if not path.exists() and has_magic(name):
        matching = sorted(Path(match) for match in glob(name, recursive=True) if Path(match).is_file())  # noqa: PTH207
        if not matching:
            raise SourceError(name, "no file matches")
        return matching
    return [_behind(path)]


def _behind(path: Path) -> Path:
    """Return the file behind /dev/stdin or /dev/fd/N, if it is one: another process has another file there."""
    if path.parts[:2] in {("/", "dev"), ("/", "proc")} and path.is_file():
        real = path.resolve()
        return real if real.is_file() else path
    return path


def _suffix(path: Path) -> str:
    plain = path.with_suffix("") if path.suffix.casefold() in COMPRESSIONS else path
    return plain.suffix.casefold()


def _shown(file: Path, folder: Path) -> bool:
    return not any(part.startswith(".") for part in file.relative_to(folder).parts)
