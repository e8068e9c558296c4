"""Zip archives: each member is a file of its own, read without unpacking it to the disk.

Limits keep a small archive from costing much: members in number, and bytes in relation to the archive's size.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final, Literal

import attrs

from besmart_async.ingest.sources.base import SourceError
from besmart_async.ingest.sources.stored import Guarded, StoredFile, on_disk, seekable, size_of

MOST_MEMBERS: Final = 10_000
"""Members that an archive may have."""
FREE_BYTES: Final = 1 << 30
"""Bytes that an archive may hold however small it is."""
MOST_TIMES: Final = 200
"""An archive may hold this many times its own bytes; tables shrink to a tenth, seldom to a fiftieth."""
DEEPEST: Final = 3
"""Archives within archives."""

_ENCRYPTED = 0x1
_DAMAGED = "damaged or incomplete zip data; fetch it again"


@attrs.frozen
class ZipMember:
    """A file in a zip archive.

    Attributes:
        archive: the archive.
        member: the member's name in it.
        size: the member's bytes.
    """

    archive: Path | StoredFile
    member: str
    size: int = attrs.field(eq=False)

    def __str__(self) -> str:
        return f"{self.archive}/{self.member}"

    @property
    def name(self) -> str:
        """The member's name without its folders."""
        return PurePosixPath(self.member).name

    @property
    def suffix(self) -> str:
        """The suffix of its name."""
        return PurePosixPath(self.member).suffix

    @property
    def within(self) -> Path:
        """The outermost archive."""
        return on_disk(self.archive)

    def open(self, mode: Literal["rb"] = "rb", buffering: int = -1) -> IO[bytes]:
        """Open the member for reading; see `StoredFile`."""
        try:
            with zipfile.ZipFile(seekable(self.archive)) as archive:
                return io.BufferedReader(Guarded(archive.open(self.member), explained))
        except (zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError, RuntimeError) as error:
            raise OSError(explained(error) or str(error)) from None

    def is_file(self) -> bool:
        """Whether the archive exists."""
        return self.archive.is_file()

    def resolve(self) -> Path:
        """The archive's path, followed by the member's name."""
        return self.archive.resolve() / self.member


def explained(error: Exception) -> str | None:
    """Return what an error of reading an archive means; None if it is not one."""
    if isinstance(error, NotImplementedError):
        return "compressed in a way that is not supported; pack it again as a usual zip archive"
    if isinstance(error, RuntimeError):  # what zipfile raises for a password
        return "protected by a password; unpack it first"
    return _DAMAGED if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError | KeyError) else None


def members_of(path: Path | StoredFile) -> list[ZipMember]:
    """Return the files in an archive, in the order of their names, without hidden ones and those that macOS adds.

    Raises:
        SourceError: it cannot be read, is protected by a password, or holds more than the limits allow.
    """
    with _opened(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and _shown(entry.filename)]
    name = str(path)
    if not entries:
        raise SourceError(name, "is a zip archive without files")
    if len(entries) > MOST_MEMBERS:
        raise SourceError(name, f"holds {len(entries):,} files, more than {MOST_MEMBERS:,}; unpack it first")
    whole, own = sum(entry.file_size for entry in entries), size_of(path) or 0
    if whole > FREE_BYTES and whole > MOST_TIMES * own:
        problem = f"would unpack to {whole:,} bytes, more than {MOST_TIMES} times its own {own:,}: this is not data"
        raise SourceError(name, problem)
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise SourceError(f"{name}/{entry.filename}", "is protected by a password; unpack it first")
    names = [entry.filename for entry in entries]
    twice = next((one for one in names if names.count(one) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise SourceError(name, f"holds two files called {twice!r}; unpack it first")
    return [ZipMember(path, entry.filename, entry.file_size) for entry in sorted(entries, key=lambda one: one.filename)]


def parts_of(path: Path | StoredFile) -> dict[str, int]:
    """Return the names and bytes of all parts of a zip archive, to tell a workbook from an archive of files.

    Raises:
        SourceError: it cannot be read.
    """
    with _opened(path) as archive:
        return {entry.filename: entry.file_size for entry in archive.infolist()}


@contextmanager
def _opened(path: Path | StoredFile) -> Generator[zipfile.ZipFile, None, None]:
    try:
        with zipfile.ZipFile(seekable(path)) as archive:
            yield archive
    except OSError as error:
        raise SourceError(str(path), f"cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, NotImplementedError):
        raise SourceError(str(path), _DAMAGED) from None


def _shown(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts) and parts[-1] != "Thumbs.db"
