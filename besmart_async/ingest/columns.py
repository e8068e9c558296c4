"""Columns of a file on their way to the service: numpy arrays with the numbers of the rows they came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray


@attrs.frozen
class Coded:
    """A column of few distinct texts, as arrow's dictionary arrays: row i holds `names[codes[i]]`.

    Attributes:
        codes: shape (n,), int64.
        names: the distinct texts. Shared by all chunks of a file: it only grows, so a code keeps its meaning.
    """

    codes: NDArray[np.int64]
    names: list[str]

    def text(self, row: int) -> str:
        """The text of one row."""
        return self.names[int(self.codes[row])]

    def take(self, rows: NDArray[Any]) -> Coded:
        """The column at these rows."""
        return Coded(self.codes[rows], self.names)


class Coder:
    """Gives the distinct texts of a column their codes, in the order in which they appear."""

    def __init__(self) -> None:
        self._codes = _Codes()
        self.names: list[str] = self._codes.names

    def encode(self, texts: Iterable[str]) -> Coded:
        """Return the column as codes."""
        codes = self._codes
        return Coded(np.array([codes[text] for text in texts], np.int64), self.names)


class _Codes(dict[str, int]):
    """A dict in which a missing text gets the next code; texts that differ in outer blanks are the same."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, text: str) -> int:
        plain = text.strip()
        if plain != text:
            code = self[plain]
        else:
            code = len(self.names)
            self.names.append(text)
        self[text] = code
        return code


@attrs.frozen
class Chunk:
    """Some rows of a file, not yet interpreted.

    Attributes:
        file: the file's name for people.
        rows: shape (n,), the row numbers, counted from 1 with the header.
        meter: names of the meters.
        time: shape (n,); texts (object), or UTC unix milliseconds (int64 or float64) where the format has real times.
        value: shape (n,); texts (object), or float64.
        signal: OBIS code, symbol or id of the signal types; None without such a column.
        unit: unit symbols; None without such a column.
        origin: origins as texts; None without such a column.
        zone: names of the time zones; None without such a column.
        titles: what the file calls each column.
    """

    file: str
    rows: NDArray[np.int64]
    meter: Coded
    time: NDArray[Any]
    value: NDArray[Any]
    signal: Coded | None = None
    unit: Coded | None = None
    origin: Coded | None = None
    zone: Coded | None = None
    titles: dict[str, str] = attrs.field(factory=dict[str, str])

    def __len__(self) -> int:
        return len(self.rows)

    def title(self, role: str, place: int) -> str:
        """What the file calls the column of a reading, by its role."""
        return self.titles.get(role, role)

    def text(self, role: str, place: int) -> str:
        """What that column holds there, as text."""
        held: Coded | NDArray[Any] | None = getattr(self, role)
        return held.text(place) if isinstance(held, Coded) else "" if held is None else str(held[place])
