"""Sets of row numbers, a bit per row, in blocks.

A full block needs no bits. So a file that is sent from its start needs little room, however scattered the rows under
way are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 8_192
"""Rows of a block; its bits take 1 KB."""

Bits = bytes | None
"""The bits of a block; None if all are set."""


class RowSet:
    """Some rows of a file.

    Args:
        blocks: the bits of each block that is not empty.
    """

    def __init__(self, blocks: Mapping[int, Bits] | None = None) -> None:
        self._blocks = dict(blocks or {})

    def __bool__(self) -> bool:
        return bool(self._blocks)

    def __len__(self) -> int:
        return sum(BLOCK if bits is None else int(flags(bits).sum()) for bits in self._blocks.values())

    def holds(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each row whether it is in the set."""
        found = np.zeros(len(rows), np.bool_)
        if not self._blocks:
            return found
        block = rows // BLOCK
        for number in set(block[np.flatnonzero(np.diff(block, prepend=-1))].tolist()):
            if number in self._blocks:
                here = block == number
                found[here] = flags(self._blocks[number])[rows[here] % BLOCK]
        return found


def flags(bits: Bits) -> NDArray[np.bool_]:
    """The bits of a block as booleans, shape (BLOCK,)."""
    if bits is None:
        return np.ones(BLOCK, np.bool_)
    return np.unpackbits(np.frombuffer(bits, np.uint8)).astype(np.bool_)


def by_block(rows: NDArray[Any]) -> Iterator[tuple[int, Bits]]:
    """Yield (block, bits) for these rows, ascending."""
    if not (rows[1:] > rows[:-1]).all():
        rows = np.unique(rows)
    if len(rows):
        first, last = int(rows[0]), int(rows[-1])
        yield from _run(first, last) if last - first == len(rows) - 1 else _scattered(rows)


def _run(first: int, last: int) -> Iterator[tuple[int, Bits]]:
    """The blocks of consecutive rows: the usual case for a sorted file."""
    for block in range(first // BLOCK, last // BLOCK + 1):
        start, stop = max(first - block * BLOCK, 0), min(last + 1 - block * BLOCK, BLOCK)
        yield block, _bits(((1 << (stop - start)) - 1) << (BLOCK - stop))


def _scattered(rows: NDArray[np.int64]) -> Iterator[tuple[int, Bits]]:
    block = rows // BLOCK
    for part in np.split(rows, np.flatnonzero(block[1:] != block[:-1]) + 1):
        yield int(part[0]) // BLOCK, with_rows(NO_BITS, part % BLOCK)


def with_rows(bits: Bits, places: NDArray[np.int64]) -> Bits:
    """Return the bits of a block with these rows added."""
    merged = flags(bits)
    merged[places] = True
    return None if merged.all() else np.packbits(merged).tobytes()


def union(bits: Bits, other: Bits) -> Bits:
    """Return the union of two blocks' bits."""
    if bits is None or other is None:
        return None
    return _bits(int.from_bytes(bits) | int.from_bytes(other))


def without_row(bits: Bits, place: int) -> bytes:
    """Return the bits of a block without this row."""
    left = flags(bits)
    left[place] = False
    return np.packbits(left).tobytes()


def _bits(number: int) -> Bits:
    return None if number == _ALL else number.to_bytes(BLOCK // 8)


NO_BITS = bytes(BLOCK // 8)
_ALL = (1 << BLOCK) - 1
