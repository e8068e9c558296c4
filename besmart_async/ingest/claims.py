"""Which files a process is sending: two at the same file would overtake each other."""

from __future__ import annotations

import os
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows: there nobody is kept apart
    fcntl = None  # type: ignore[assignment]


class Claims:
    """Locks on the bytes of a file, one for each number; they end with the process, however it ends.

    Args:
        path: the file; made if there is none, and left empty.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)

    def take(self, number: int) -> bool:
        """Claim a number for this process; tell whether no other has it."""
        if fcntl is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except OSError:
                return False
        return True

    def close(self) -> None:
        """Give up what is claimed."""
        os.close(self._file)
