"""Output files: they appear under their name only when they are complete; the suffix selects the compression."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import secrets
import stat
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol, cast

from besmart_async.errors import BesmartError
from besmart_async.export.rows import IDS, Times, header
from besmart_async.export.text import CsvSink, JsonLinesSink
from besmart_async.models.series import SignalData

if TYPE_CHECKING:
    from typing_extensions import Buffer

Format = Literal["csv", "jsonl", "parquet"]
"""The format of an exported file."""
Compression = Literal["gz", "zst"]
ELSE = "that file is something else, not from an earlier run, and is left as it is; name another, or delete it first"
"""What to say of a file that is not replaced."""
_HEAD = 256

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst", ".zstd": "zst"}
_GZIP_LEVEL = 6
_HEADERS = frozenset(",".join(header(times)).encode() for times in ("iso", "ms", "both"))
_JSON_START = re.compile(b",".join(rb'"%s":\d+' % name.encode() for name in IDS))


class ExportError(BesmartError):
    """The file cannot be written, or not in that format; the message says what to do."""


class Sink(Protocol):
    """Something that readings are written to."""

    def write(self, data: SignalData) -> Iterator[int]:
        """Write readings; yields the number of rows of each block, so that other tasks can run in between."""
        ...

    def finish(self) -> None:
        """Write what is buffered. The stream stays open."""
        ...


def format_of(path: Path) -> Format | None:
    """Return the format for a file name."""
    suffixes = [suffix.casefold() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSIONS:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def compression_of(path: Path) -> Compression | None:
    """Return the compression for a file name."""
    return _COMPRESSIONS.get(path.suffix.casefold())


def sink_for(stream: BinaryIO, kind: Format, times: Times, *, escape_formulas: bool = False) -> Sink:
    """Return the writer for a format; only CSV has formulas to escape.

    Raises:
        ExportError: pyarrow is not installed.
    """
    if kind == "csv":
        return CsvSink(stream, times, escape_formulas=escape_formulas)
    if kind == "jsonl":
        return JsonLinesSink(stream, times)
    try:
        from besmart_async.export.parquet import ParquetSink  # noqa: PLC0415 - pyarrow takes 0.3 s to import
    except ImportError as error:
        raise ExportError(f"Parquet needs an extra ({error}): pip install 'besmart-async[files]'") from None
    return ParquetSink(stream, times)


@contextmanager
def complete_file(path: Path, ours: Callable[[Path], bool]) -> Generator[BinaryIO, None, None]:
    """Open a file for writing. It appears when the block ends without an error; otherwise nothing is left.

    It is written beside its place, as `.NAME.…part`, and renamed after it is on the disk. What is no plain file (a
    pipe, a device) is written straight away. An existing file is replaced if it is empty or `ours`.

    Args:
        path: the file.
        ours: tells whether an existing file is what an earlier call wrote.

    Raises:
        ExportError: it cannot be written, or is something else.
    """
    with _explained(path):
        if path.is_dir():
            raise ExportError(f"{path}: is a folder; name a file in it")
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            with path.open("wb") as stream:
                yield stream
            return
        place = path.resolve()  # a link stays one: what it points to is replaced
        if is_foreign(place, ours):
            raise ExportError(f"{path}: {ELSE}")
        beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
        try:
            with beside.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(place)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


def is_foreign(path: Path, ours: Callable[[Path], bool]) -> bool:
    """Tell whether a plain file has content that is not ours, so that it must not be replaced."""
    return path.is_file() and path.stat().st_size > 0 and not ours(path)


def is_export(path: Path) -> bool:
    """Tell whether a file is an export, whatever its format and compression: by its columns."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        file.seek(0)
        if head.startswith(b"PAR1"):
            return _parquet_columns(file)[: len(IDS)] == IDS
        head = _unpacked(file, head)
    return head.split(b"\n", 1)[0] in _HEADERS or _JSON_START.match(head, 1) is not None


def _unpacked(file: BinaryIO, head: bytes) -> bytes:
    """Return the start of what is compressed in a file; nothing if it is damaged."""
    try:
        if head.startswith(b"\x1f\x8b"):
            return gzip.GzipFile(fileobj=file).read(_HEAD)
        if head.startswith(b"\x28\xb5\x2f\xfd"):
            import pyarrow as pa  # noqa: PLC0415 - takes 0.3 s to import

            with pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd") as packed:
                return bytes(packed.read(_HEAD))
    except (ImportError, OSError, EOFError, zlib.error):
        return b""
    return head


def _parquet_columns(file: BinaryIO) -> tuple[str, ...]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - takes 0.3 s to import
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        return ()
    try:
        return tuple(pq.read_schema(file).names)
    except (OSError, pa.ArrowInvalid):
        return ()


@contextmanager
def compressed(stream: BinaryIO, how: Compression | None) -> Generator[BinaryIO, None, None]:
    """Compress what is written to a stream, which stays open.

    Raises:
        ExportError: the zstd library is not installed.
    """
    if how is None:
        yield stream
    elif how == "gz":
        # without a time and a name: the same readings make the same file.
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, stream, mtime=0) as packed:
            yield cast("BinaryIO", packed)
    else:
        try:
            import pyarrow as pa  # noqa: PLC0415 - takes 0.3 s to import
        except ImportError as error:
            raise ExportError(f"zstd needs an extra ({error}): pip install 'besmart-async[files]'") from None
        with pa.CompressedOutputStream(pa.PythonFile(stream, "w"), "zstd") as packed:
            yield cast("BinaryIO", packed)


class Valve(io.BufferedIOBase):
    """Passes bytes to a stream until it is shut; never closes the stream.

    Writers that are given up write what they have buffered when they are collected: after `shut` that goes nowhere.

    Attributes:
        count: bytes so far.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream: BinaryIO | None = stream
        self.count = 0

    def shut(self) -> None:
        """Pass nothing from now on."""
        self._stream = None

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, content: Buffer, /) -> int:
        """Write to the stream."""
        size = memoryview(content).nbytes
        if self._stream is not None:
            self._stream.write(content)
            self.count += size
        return size

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None:
            self._stream.flush()


@contextmanager
def _explained(path: Path) -> Generator[None, None, None]:
    try:
        yield
    except BesmartError:
        raise  # a timeout of the service is an OSError too
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror or error}") from error
