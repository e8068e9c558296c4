"""Files that a command writes: never in place of a file that is something else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from io import FileIO
from pathlib import Path

from besmart_async.cli.exits import UsageError
from besmart_async.export.files import ELSE, is_foreign

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: files are not locked there
    fcntl = None  # type: ignore[assignment]


def is_same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths are one file, by whatever names; a file that is not there is its path."""
    try:
        return one.samefile(other)
    except OSError:
        return one.resolve() == other.resolve()


def check_unused(option: str, path: Path, others: Iterable[tuple[str, Path | None]]) -> None:
    """Check that a file to write is none that the command uses otherwise.

    Args:
        option: the option that names it.
        path: the file.
        others: what each other file is, and the file.

    Raises:
        UsageError: it is one of them.
    """
    for what, other in others:
        if other is not None and is_same_file(path, other):
            raise UsageError(f"{option} {path}: that file is {what}; name another")


def check_replaceable(option: str, path: Path, ours: Callable[[Path], bool]) -> None:
    """Check that a file to write is a new one, an empty one, or what an earlier run has written.

    Args:
        option: the option that names it.
        path: the file.
        ours: tells whether an earlier run has written it.

    Raises:
        UsageError: it is something else, or cannot be read.
    """
    try:
        foreign = is_foreign(path, ours)
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot be read: {error.strerror or error}") from None
    if foreign:
        raise UsageError(f"{option} {path}: {ELSE}")


def opened_anew(option: str, path: Path, starts: Iterable[bytes]) -> FileIO:
    """Open a file to write it from its start: a new one, an empty one, or one that an earlier run has written.

    Nothing is buffered. While it is open, no other process can open it in this way. A pipe or device is written to.

    Args:
        option: the option that names it.
        path: the file.
        starts: how a file begins that an earlier run has written.

    Raises:
        UsageError: it holds something else, and is left as it is; another process writes it; or it cannot be written.
    """
    if str(path) == "-":
        raise UsageError(f"{option} -: name a file; standard output has the report")
    if path.is_dir():
        raise UsageError(f"{option} {path}: is a folder; name a file in it")
    try:
        plain = not path.exists() or stat.S_ISREG(path.stat().st_mode)
        if not plain:
            return FileIO(path, "wb")
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    try:
        _claim(option, path, file, tuple(starts))
        file.truncate(0)
    except BaseException:
        file.close()
        raise
    return file


def _claim(option: str, path: Path, file: FileIO, starts: tuple[bytes, ...]) -> None:
    if fcntl is not None:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{option} {path}: another process is writing it; name another file") from None
    begun = file.read(max(map(len, starts), default=1))
    file.seek(0)
    if begun and not begun.startswith(starts):
        raise UsageError(f"{option} {path}: {ELSE}")
