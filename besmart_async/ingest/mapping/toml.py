"""TOML tables read key by key, with errors that name the file, the key, its value and what is allowed."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from besmart_async.errors import BesmartError, visible

T = TypeVar("T")

_MOST_BYTES = 16 << 20
"""Bytes of a mapping file: names of 100,000 meters take 4 MB."""
_MOST_PARTS = 100
_LONG_KEY = re.compile(rb"(?:\.[^.\n=\[\]{},]{0,100}){%d}" % _MOST_PARTS)
_DURATION = re.compile(r"([0-9]+)\s*(ms|s|min|h|d)")
_UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class MappingError(BesmartError):
    """A mapping file is wrong.

    Attributes:
        file: its name.
        key: the key at fault, such as `time.zone`; None if the file cannot be read at all.
        problem: what is wrong with its value, and what is allowed.
    """

    def __init__(self, file: str, key: str | None, problem: str) -> None:
        """Name the file, the key and the problem."""
        super().__init__(f"{visible(file, one_line=True)}: {f'{key} ' if key else ''}{problem}")
        self.file = file
        self.key = key
        self.problem = problem


class TomlTable:
    """A TOML table, read key by key. `done` refuses the keys that were never read."""

    def __init__(self, file: str, name: str, values: Mapping[str, object]) -> None:
        self._file = file
        self._name = name
        self._values = values
        self._asked: dict[str, None] = {}

    @classmethod
    def of_file(cls, path: Path) -> TomlTable:
        """Read a file.

        Raises:
            MappingError: the file cannot be read, or is not TOML.
        """
        try:
            with path.open("rb") as file:
                text = file.read(_MOST_BYTES + 1)
        except OSError as error:
            raise MappingError(str(path), None, f"cannot be opened: {error.strerror or error}") from None
        return cls.of_text(text, str(path))

    @classmethod
    def of_text(cls, text: bytes, name: str) -> TomlTable:
        """Read the content of a file.

        Raises:
            MappingError: it is not TOML.
        """
        if len(text) > _MOST_BYTES:
            raise MappingError(name, None, f"has more than {_MOST_BYTES >> 20} MiB; it is not a mapping file")
        if _LONG_KEY.search(text):
            raise MappingError(name, None, f"has a key of more than {_MOST_PARTS} parts; it is not a mapping file")
        try:
            return cls(name, "", tomllib.loads(text.decode()))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise MappingError(name, None, f"is not TOML: {error}") from None
        except RecursionError:
            raise MappingError(name, None, "is nested too deeply for a mapping file") from None
        except ValueError as error:  # a number of thousands of digits
            raise MappingError(name, None, f"is not TOML: {error}") from None

    def done(self) -> None:
        """Refuse keys that were never read.

        Raises:
            MappingError: the text names the first of them, and the keys that exist.
        """
        for key in self._values:
            if key not in self._asked:
                place = f"[{self._name}]" if self._name else "the file"
                raise self.error(key, f"is no key of {place}; there are {', '.join(self._asked)}")

    def error(self, key: str, problem: str) -> MappingError:
        """Create an error about a key."""
        value = self._values.get(key)
        shown = "" if value is None or isinstance(value, dict) else f" = {_shown(value)}"
        return MappingError(self._file, f"{self._name}.{key}{shown}" if self._name else f"{key}{shown}", problem)

    def table(self, key: str) -> TomlTable:
        """A table in this one; empty if it is absent."""
        value = self._value(key)
        if value is not None and not isinstance(value, dict):
            raise self.error(key, f"is not a table; write [{self._name + '.' if self._name else ''}{key}]")
        return TomlTable(self._file, f"{self._name}.{key}" if self._name else key, value or {})

    def tables(self, key: str) -> list[TomlTable]:
        """The tables of an array in this one; empty if it is absent."""
        value = self._value(key)
        if value is not None and not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
            raise self.error(key, f"is not a list of tables; write [[{key}]]")
        return [TomlTable(self._file, f"{key}[{number}]", one) for number, one in enumerate(value or (), start=1)]

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        value = self._value(key)
        if value is not None and (not isinstance(value, str) or not value):
            raise self.error(key, "is no text; write it in quotes")
        return value

    def choice(self, key: str, among: Sequence[T]) -> T | None:
        """One of the given texts."""
        value = self._value(key)
        for one in among:
            if value == one:
                return one
        if value is not None:
            raise self.error(key, f"is not allowed; give one of {', '.join(map(_shown, among))}")
        return None

    def number(self, key: str, lowest: int) -> int | None:
        """An integer."""
        value = self._value(key)
        if value is not None and (type(value) is not int or value < lowest):
            raise self.error(key, f"is not allowed; give a whole number from {lowest}")
        return value

    def numbers(self, key: str, lowest: int) -> tuple[int, ...]:
        """An integer, or a list of integers; empty if it is absent."""
        value = self._value(key)
        given = value if isinstance(value, list) else [] if value is None else [value]
        if value == [] or not all(type(one) is int and one >= lowest for one in given):
            raise self.error(key, f"is not allowed; give a whole number from {lowest}, or several")
        return tuple(one for one in given if isinstance(one, int))

    def number_or_text(self, key: str, lowest: int) -> int | str | None:
        """An integer or a text that is not empty."""
        return self.text(key) if isinstance(self._value(key), str) else self.number(key, lowest)

    def has(self, key: str) -> bool:
        """Whether the table has this key."""
        return self._value(key) is not None

    def is_table(self, key: str) -> bool:
        """Whether the value of this key is a table."""
        return isinstance(self._value(key), dict)

    def flag(self, key: str) -> bool:
        """True or false; false if it is absent."""
        value = self._value(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(key, "is not allowed; write true or false")
        return bool(value)

    def factors(self) -> dict[str, float]:
        """All keys of this table, with their numbers above 0."""
        found: dict[str, float] = {}
        for key in self._values:
            value = self._value(key)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise self.error(key, "is no factor; give a number above 0, such as 4000")
            found[key] = float(value)
        return found

    def duration_ms(self, key: str) -> int | None:
        """A duration such as "15min", in milliseconds."""
        text = self._value(key)
        if text is None:
            return None
        found = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if found is None or int(found[1]) == 0:
            raise self.error(key, 'is not a duration; write "15min", "1h" or "30s"')
        return int(found[1]) * _UNITS_MS[found[2]]

    def checked(self, key: str, check: Callable[[str], T]) -> T | None:
        """The result of `check` for a text; its ValueError says what is wrong with the text."""
        text = self.text(key)
        try:
            return None if text is None else check(text)
        except ValueError as error:
            raise self.error(key, str(error)) from None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one text."""
        value = self._value(key)
        found = [value] if isinstance(value, str) else value
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self.error(key, 'is no list of texts; write ["one", "other"]')
        return tuple(found)

    def columns(self, key: str) -> tuple[str | int, ...]:
        """One or several titles of columns, or the number of a column."""
        value = self._value(key)
        given = value if isinstance(value, list) else [] if value is None else [value]
        found: list[str | int] = []
        for one in given:
            if isinstance(one, bool) or not isinstance(one, str | int) or not one or (isinstance(one, int) and one < 0):
                raise self.error(key, "is no column; give its title, several titles, or its number counted from 1")
            found.append(one)
        if value is not None and not found:
            raise self.error(key, "names no column; give at least one title")
        return tuple(found)

    def pairs(self, check: Callable[[str], T]) -> dict[str, T]:
        """All keys of this table, with the result of `check` for their texts."""
        found: dict[str, T] = {}
        for key in self._values:
            value = self.checked(key, check)
            if value is not None:
                found[key] = value
        return found

    def _value(self, key: str) -> object:
        self._asked[key] = None
        return self._values.get(key)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return str(value)
