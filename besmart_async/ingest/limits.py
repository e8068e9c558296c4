"""What a job is told not to exceed: readings a second, and rejects."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Self

import attrs

from besmart_async.errors import BesmartError

JUDGED_FROM_ROWS = 1_000
"""A share of rejects is judged once so many rows were read, and at the end."""

_LIMIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")


class TooManyRejectsError(BesmartError):
    """More rows were rejected than the job was told to accept; it has ended."""


@attrs.frozen
class RejectLimit:
    """How many rows may be rejected.

    Attributes:
        most: rows; or percent of the rows read.
        percent: `most` is a percentage.
    """

    most: float
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `100` or `0.5%`.

        Raises:
            ValueError: it is neither.
        """
        found = _LIMIT.fullmatch(text.strip())
        if found is None or (not found[2] and "." in found[1]) or (found[2] and float(found[1]) > 100):
            raise ValueError(f"{text!r} is neither a number of rows, such as 100, nor a share, such as 0.5%")
        return cls(float(found[1]), bool(found[2]))

    def check(self, rejected: int, rows: int, *, end: bool = False) -> None:
        """Judge the rows so far.

        Args:
            rejected: rows rejected.
            rows: rows read.
            end: there are no more.

        Raises:
            TooManyRejectsError: it is exceeded.
        """
        if self.percent:
            exceeded = (end or rows >= JUDGED_FROM_ROWS) and rejected * 100 > self.most * rows
        else:
            exceeded = rejected > self.most
        if exceeded:
            limit = f"{self.most:g}{' %' if self.percent else ''}"
            raise TooManyRejectsError(f"{rejected:,} of {rows:,} rows were rejected, more than the {limit} allowed")


class RateLimit:
    """Lets so many readings a second pass, evenly; what was not used up is saved for a quarter of a second at most.

    Args:
        readings_per_s: how many.
        clock: seconds that only go forward.
        sleep: waits for seconds.
    """

    SAVED_S = 0.25

    def __init__(
        self, readings_per_s: float, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._per_s = readings_per_s
        self._clock = clock
        self._sleep = sleep
        self._at = clock()

    @property
    def at_once(self) -> int:
        """So many readings should be let pass at a time at most, so that they come evenly."""
        return max(1, int(self._per_s * self.SAVED_S))

    async def take(self, readings: int) -> None:
        """Wait until these readings may pass."""
        self._at = max(self._at, self._clock() - self.SAVED_S) + readings / self._per_s
        wait_s = self._at - self._clock()
        if wait_s > 0:
            await self._sleep(wait_s)
