"""Files as streams of bytes, with gzip and zstd decompressed."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from besmart_async.ingest.sources.base import SourceError, is_stream
from besmart_async.ingest.sources.columns import pa
from besmart_async.ingest.sources.stored import StoredFile

COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
"""Compression by file name suffix."""

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UNPACKED_BYTES = 16 << 10
"""Bytes decompressed at a time: at most this many before a damaged place are lost."""
_READ_BYTES = 256 << 10
"""Bytes of an uncompressed file read at a time."""


@contextmanager
def opened(path: Path | StoredFile | None, name: str) -> Generator[IO[bytes], None, None]:
    """Open a file without decompressing it; None means standard input.

    Raises:
        SourceError: the file cannot be opened.
    """
    try:
        # A duplicate of standard input: at exit the interpreter waits for a `sys.stdin` that is being read.
        raw = os.fdopen(os.dup(0), "rb") if path is None else path.open("rb")
    except FileNotFoundError:
        raise SourceError(name, "no such file") from None
    except IsADirectoryError:
        raise SourceError(name, "is a folder; name the files in it, such as folder/*.csv.gz") from None
    except OSError as error:
        advice = "; for standard input give -" if is_stream(path) else ""
        raise SourceError(name, f"cannot be opened: {error.strerror or error}{advice}") from None
    with raw:
        yield raw


def packing(start: bytes) -> str | None:
    """Return the compression of a file by its first bytes; None if it is not compressed."""
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)


def pieces(raw: IO[bytes], path: Path | StoredFile | None, name: str) -> Generator[bytes, None, None]:
    """Yield the bytes of an open file, decompressed, piece by piece.

    Raises:
        SourceError: reading or decompressing failed; what came before was yielded.
    """
    kind = packing(raw.peek(4)[:4])  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    named = COMPRESSIONS.get(path.suffix.casefold()) if path is not None else None
    if named is not None and kind is None and raw.peek(1):  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
        raise SourceError(name, f"is not {named} data, in spite of its name; rename it if it is plain text")
    try:
        stream = pa.CompressedInputStream(pa.PythonFile(_Unclosed(raw), mode="r"), kind) if kind else raw
        while piece := stream.read(_UNPACKED_BYTES if kind else _READ_BYTES):
            yield piece
    except (OSError, EOFError, pa.ArrowInvalid) as error:
        if kind is None:
            reason = getattr(error, "strerror", None) or error
            raise SourceError(name, f"cannot be read: {reason}") from None
        raise SourceError(name, f"damaged or incomplete {kind} data; fetch it again") from None


class _Unclosed:
    """A file that arrow may read but not close: its owner still asks for its position."""

    closed = False

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw

    def read(self, size: int) -> bytes:
        return self._raw.read(size)

    def close(self) -> None:
        """Do nothing: the owner closes the file."""
