"""Files as streams of plain bytes: gzip and zstd unpacked, and errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from besmart_async.ingest.sources.base import SourceError
from besmart_async.ingest.sources.columns import pa

PACKED = {".gz": "gzip", ".zst": "zstd"}
"""Endings of packed files, and what they are packed with."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UNPACKED_BYTES = 16 << 10
"""Bytes unpacked at a time: so many before damage are lost at most."""
_READ_BYTES = 256 << 10
"""Bytes of a plain file read at a time."""


@contextmanager
def opened(path: Path | None, name: str) -> Generator[BinaryIO, None, None]:
    """Open a file as it is, or standard input.

    Raises:
        SourceError: it cannot be opened.
    """
    try:
        # Standard input gets an object of its own: the interpreter waits at exit for one that is being read.
        raw = os.fdopen(os.dup(0), "rb") if path is None else path.open("rb")
    except FileNotFoundError:
        raise SourceError(name, "no such file") from None
    except IsADirectoryError:
        raise SourceError(name, "is a folder; name the files in it, such as folder/*.csv.gz") from None
    except OSError as error:
        raise SourceError(name, f"cannot be opened: {error.strerror or error}") from None
    with raw:
        yield raw


def packing(start: bytes) -> str | None:
    """What a file is packed with, by its first bytes."""
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


def pieces(raw: BinaryIO, path: Path | None, name: str) -> Generator[bytes, None, None]:
    """Yield the bytes of an open file, unpacked, some at a time.

    Raises:
        SourceError: they cannot be read or unpacked; what could be was yielded before.
    """
    kind = packing(raw.peek(4)[:4])  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    named = PACKED.get(path.suffix.casefold()) if path is not None else None
    if named is not None and kind is None and raw.peek(1):  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        raise SourceError(name, f"is not {named} data, in spite of its name; rename it if it is plain text")
    try:
        stream = pa.CompressedInputStream(pa.PythonFile(_Lent(raw), mode="r"), kind) if kind else raw
        while piece := stream.read(_UNPACKED_BYTES if kind else _READ_BYTES):
            yield piece
    except (OSError, EOFError, pa.ArrowInvalid) as error:
        if kind is None:
            told = getattr(error, "strerror", None) or error
            raise SourceError(name, f"cannot be read: {told}") from None
        raise SourceError(name, f"damaged or incomplete {kind} data; fetch it again") from None


class _Lent:
    """A file that arrow may read and not close: its owner wants to know how far it is."""

    closed = False

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def read(self, size: int) -> bytes:
        return self._raw.read(size)

    def close(self) -> None:
        """Nothing: the owner closes it."""
