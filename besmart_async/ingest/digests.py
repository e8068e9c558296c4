"""Digests of files, and of as much of a file as was there when it was seen before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import attrs

_PIECE = 1 << 20


@attrs.frozen
class Digests:
    """What a file holds.

    Attributes:
        size: its bytes.
        whole: digest of all of them.
        starts: digest of its first so many bytes, for each size that was asked for and that it has.
    """

    size: int
    whole: str
    starts: dict[int, str]


def digest(path: Path, sizes: Iterable[int] = ()) -> Digests:
    """Read a file once; some 0.8 GB/s.

    Args:
        path: the file.
        sizes: of these many first bytes the digest is wanted as well.

    Raises:
        OSError: it cannot be read.
    """
    wanted = sorted(set(sizes))
    starts: dict[int, str] = {}
    so_far = hashlib.blake2b(digest_size=20)
    read = 0
    with path.open("rb", buffering=0) as file:
        while True:
            if wanted and wanted[0] == read:
                starts[wanted.pop(0)] = so_far.hexdigest()
            piece = file.read(min(_PIECE, wanted[0] - read) if wanted else _PIECE)
            if not piece:
                return Digests(read, so_far.hexdigest(), starts)
            so_far.update(piece)
            read += len(piece)
