"""Columns of values that say themselves whose and what they are; and patterns such as `{meter} {signal} [{unit}]`.

A file with a column per register, a column per meter or blocks side by side has several readings in a row. Each of its
value columns is a series: the mapping file or the column's title say the meter, signal type, unit and origin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Self

import attrs

PARTS: tuple[str, ...] = ("meter", "signal", "unit", "origin")
"""What a title, the name of a file or the lines above a header may say about readings."""

_PLACE = re.compile(r"\{([a-z]*)\}|\*")
_ANY = r".*"
_YEAR, _MONTH, _DAY = r"(?:19|20)[0-9]{2}", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12][0-9]|3[01])"
_DATE = (
    rf"(?:{_YEAR}(?:[-._]?{_MONTH}(?:[-._]?{_DAY})?)?|{_DAY}[-._]?{_MONTH}[-._]?{_YEAR}|{_MONTH}[-._]?{_DAY}[-._]?{_YEAR})"
    r"(?:[-_.T ]?(?:[01][0-9]|2[0-4])[-_.:h]?[0-5][0-9](?:[-_.:]?[0-5][0-9])?)?"
)


@attrs.frozen
class TextPattern:
    """A text with places, such as `{meter}_{date}.csv`.

    `{meter}`, `{signal}`, `{unit}` and `{origin}` are what is looked for; `{date}` is a date with or without a time of
    day, and `*` any text. Letter case and the width of blanks do not matter.

    Attributes:
        text: the pattern as written.
        parts: what it finds.
    """

    text: str
    parts: frozenset[str]
    _greedy: re.Pattern[str]
    _reluctant: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> Self:
        """Compile a pattern.

        Raises:
            ValueError: a place is unknown or comes twice; the text says which there are.
        """
        found: list[str] = []
        greedy = reluctant = ""
        end = 0
        for place in _PLACE.finditer(text):
            literal = _literal(text[end : place.start()])
            end = place.end()
            name = place[1]
            if name in PARTS:
                if name in found:
                    raise ValueError(f"has {{{name}}} twice")
                found.append(name)
                text_of = r"\S+" if name == "unit" else ".+"  # `{signal} {unit}`: units have no blanks
                greedy += f"{literal}(?P<{name}>{text_of})"
                reluctant += f"{literal}(?P<{name}>{text_of}?)"
            elif name == "date":
                greedy += literal + _DATE
                reluctant += literal + _DATE
            elif name is None:
                greedy += literal + _ANY
                reluctant += literal + _ANY + "?"
            else:
                known = ", ".join(f"{{{part}}}" for part in (*PARTS, "date"))
                raise ValueError(f"has the unknown place {{{name}}}; there are {known}, and * for any text")
        rest = _literal(text[end:])
        flags = re.IGNORECASE | re.DOTALL
        return cls(text, frozenset(found), re.compile(greedy + rest, flags), re.compile(reluctant + rest, flags))

    @property
    def start(self) -> str:
        """The text before the first place."""
        place = _PLACE.search(self.text)
        return self.text[: place.start()] if place else self.text

    def match(self, text: str) -> dict[str, str] | None:
        """Return what stands at the places of a whole text; None if the pattern does not fit.

        Raises:
            ValueError: the pattern fits in several ways that differ.
        """
        return self._found(self._greedy.fullmatch(text), self._reluctant.fullmatch(text), text)

    def _found(self, longest: re.Match[str] | None, shortest: re.Match[str] | None, text: str) -> dict[str, str] | None:
        if longest is None or shortest is None:
            return None
        found, other = ({name: part.strip() for name, part in one.groupdict().items()} for one in (longest, shortest))
        if found != other:
            name = next(name for name in found if found[name] != other[name])
            raise ValueError(
                f"the pattern {self.text!r} fits {text!r} in several ways: {name} is {other[name]!r} or"
                f" {found[name]!r}; make it more specific"
            )
        return found if all(found.values()) else None


def _literal(text: str) -> str:
    return r"\s+".join(re.escape(word) for word in re.split(r"\s+", text))


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Return a text with what a pattern found at its places: `{meter} status` is `M1 status`."""
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


@attrs.frozen(kw_only=True)
class SeriesForm:
    """Value columns of a file, as far as the user describes them.

    Attributes:
        column: title of the column, or its number counted from 1; None with a pattern.
        pattern: pattern of the titles of the columns; it may find the meter, signal type, unit and origin.
        said: texts of the meter, signal type, unit and origin of all these columns.
        beside: further columns of the series by role (`origin`, `unit`, `time`, `date`): a title, a number, or the
            distance from the value column, such as `+1`.
        excluded: titles that the pattern does not mean, such as totals.
        optional: the file may lack the column.
    """

    column: str | int | None = None
    pattern: TextPattern | None = None
    said: Mapping[str, str] = attrs.field(factory=dict[str, str])
    beside: Mapping[str, str | int] = attrs.field(factory=dict[str, str | int])
    excluded: tuple[str, ...] = ()
    optional: bool = False

    @property
    def shown(self) -> str:
        """The column or pattern in messages."""
        return repr(self.column if self.pattern is None else self.pattern.text)

    @property
    def names_meter(self) -> bool:
        """Whether each column has a meter of its own."""
        return "meter" in self.said or (self.pattern is not None and "meter" in self.pattern.parts)


@attrs.frozen
class ValueColumn:
    """One column of values.

    Attributes:
        position: its index.
        title: its title in the file.
        said: texts of roles that all its readings share: those of `SeriesForm`, or its title as a time.
        beside: indexes of columns of its own, by role.
    """

    position: int
    title: str
    said: Mapping[str, str]
    beside: Mapping[str, int] = attrs.field(factory=dict[str, int])


def same_series(columns: Iterable[ValueColumn]) -> tuple[ValueColumn, ValueColumn] | None:
    """Return two columns whose readings are the same signal at the same times; None if there are none."""
    seen: dict[tuple[object, ...], ValueColumn] = {}
    for column in columns:
        told = tuple(column.said.get(role) for role in ("meter", "signal", "origin", "time"))
        own = tuple(column.beside.get(role) for role in ("origin", "time", "date"))
        other = seen.setdefault((told, own), column)
        if other is not column:
            return other, column
    return None
