"""A disk that fails when it is told to, under the real SQLite: a VFS of its own over the system's, by ctypes."""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

FULL, FSYNC_FAILS = 13, 10 | 4 << 8
"""SQLite's codes for ENOSPC at a write, and for EIO at fsync."""

_WORDS = 22  # of the structures below, in pointers: more than any version of SQLite fills with what we touch
_XOPEN, _XWRITE, _XSYNC = 5, 3, 5
_Open = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
_Write = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
_Sync = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


def sqlite_library() -> ctypes.CDLL | None:
    """Return the SQLite that Python's module uses, None if its functions cannot be reached."""
    library = ctypes.CDLL(_sqlite3.__file__)
    return library if hasattr(library, "sqlite3_vfs_find") else None


class FailingDisk:
    """Set `write` or `sync` to one of the codes above to let that fail.

    Attributes:
        write: what writes end with; 0 for success.
        sync: what fsyncs end with.
        syncs: fsyncs asked for.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self.write = self.sync = 0
        self.syncs = 0
        self._countdown: tuple[int, int] | None = None
        self._library = library
        library.sqlite3_vfs_find.restype = ctypes.c_void_p
        self._default: int = library.sqlite3_vfs_find(None)
        self._vfs = (ctypes.c_void_p * _WORDS).from_buffer_copy(ctypes.string_at(self._default, _WORDS * 8))
        self._name = ctypes.create_string_buffer(b"failing")
        self._vfs[3] = ctypes.cast(self._name, ctypes.c_void_p).value  # after iVersion and szOsFile, mxPathname, pNext
        self._open = _Open(self._opened)
        self._real_open = _Open(self._vfs[_XOPEN] or 0)
        self._vfs[_XOPEN] = ctypes.cast(self._open, ctypes.c_void_p).value
        self._kept: list[Any] = []

    @contextmanager
    def installed(self) -> Iterator[FailingDisk]:
        """Let every database opened meanwhile live on this disk."""
        register: Callable[..., int] = self._library.sqlite3_vfs_register
        assert register(ctypes.byref(self._vfs), 1) == 0
        try:
            yield self
        finally:
            register(ctypes.c_void_p(self._default), 1)
            self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))

    def write_after(self, code: int, writes: int) -> None:
        """Let writes end with a code, after so many that succeed."""
        self.write, self._countdown = (code, None) if not writes else (0, (code, writes))

    def _next_write(self) -> int:
        if self._countdown is not None:
            code, writes = self._countdown
            self.write_after(code, writes - 1)
        return self.write

    def _opened(self, _vfs: int, name: int, file: int, flags: int, out: int) -> int:
        result = int(self._real_open(self._default, name, file, flags, out))
        methods_of = ctypes.cast(file, ctypes.POINTER(ctypes.c_void_p))
        if result == 0 and methods_of[0]:
            methods = (ctypes.c_void_p * _WORDS).from_buffer_copy(ctypes.string_at(methods_of[0], _WORDS * 8))
            real_write, real_sync = _Write(methods[_XWRITE] or 0), _Sync(methods[_XSYNC] or 0)

            def write(file: int, data: int, size: int, offset: int) -> int:
                return self._next_write() or int(real_write(file, data, size, offset))

            def sync(file: int, flags: int) -> int:
                self.syncs += 1
                return self.sync or int(real_sync(file, flags))

            callbacks = _Write(write), _Sync(sync)
            methods[_XWRITE] = ctypes.cast(callbacks[0], ctypes.c_void_p).value
            methods[_XSYNC] = ctypes.cast(callbacks[1], ctypes.c_void_p).value
            methods_of[0] = ctypes.addressof(methods)
            self._kept.append((methods, callbacks, real_write, real_sync))
        return result
