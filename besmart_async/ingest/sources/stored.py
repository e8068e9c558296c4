"""Files that are not files of the file system: members of archives and sheets of workbooks."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, Literal, Protocol

LARGEST_IN_MEMORY: Final = 256 << 20
"""Bytes of a file inside another one that is not read from front to back, such as a workbook in an archive."""


class StoredFile(Protocol):
    """What sources and the checkpoint use of a `Path`, for a file inside another one.

    `str()` of it is its name in messages.
    """

    @property
    def name(self) -> str:
        """Its name without that of the file around it."""
        ...

    @property
    def suffix(self) -> str:
        """The suffix of its name."""
        ...

    @property
    def size(self) -> int:
        """Its bytes, or an estimate for showing progress."""
        ...

    @property
    def within(self) -> Path:
        """The file of the file system that it is in."""
        ...

    def open(self, mode: Literal["rb"] = "rb", buffering: int = -1) -> IO[bytes]:
        """Open it for reading.

        Raises:
            OSError: it cannot be read.
        """
        ...

    def is_file(self) -> bool:
        """Whether it exists."""
        ...

    def __hash__(self) -> int:
        """A hash, as a key of caches."""
        ...

    def resolve(self) -> Path:
        """A path that identifies it: the path of the file around it, followed by its name."""
        ...


def name_of(path: Path | StoredFile | None) -> str:
    """Return the name of a file in messages."""
    return "standard input" if path is None else str(path)


def on_disk(path: Path | StoredFile) -> Path:
    """Return a file of the file system: the path itself, or the file around a stored one."""
    return path if isinstance(path, Path) else path.within


def size_of(path: Path | StoredFile | None) -> int | None:
    """Return the bytes of a file as it is stored; None if unknown."""
    if path is None or not path.is_file():
        return None
    return path.stat().st_size if isinstance(path, Path) else path.size


def seekable(path: Path | StoredFile) -> Path | io.BytesIO:
    """Return a file that is not read from front to back; one inside another file is read into memory.

    Raises:
        OSError: it cannot be read, or is too large for that.
    """
    if isinstance(path, Path):
        return path
    if path.size > LARGEST_IN_MEMORY:
        raise OSError(f"{path.size:,} bytes, more than {LARGEST_IN_MEMORY:,}, inside another file; unpack it first")
    with path.open("rb") as stored:
        return io.BytesIO(stored.read())


class Guarded(io.RawIOBase):
    """A stream whose failures are `OSError`s that say what to do.

    Args:
        stream: the stream; closed with this one.
        explain: turns an error of the library below into a text; None for an error that is not of its kind.
    """

    def __init__(self, stream: Any, explain: Callable[[Exception], str | None]) -> None:
        self._stream = stream
        self._explain = explain

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Read some bytes into a buffer."""
        try:
            data: bytes = self._stream.read(len(buffer))
        except Exception as error:
            text = self._explain(error)
            if text is None:
                raise
            raise OSError(text) from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close both streams."""
        self._stream.close()
        super().close()
