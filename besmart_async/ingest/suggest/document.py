"""A mapping file as text, with comments."""

from __future__ import annotations

import json
import re

import attrs

ONLY_YOU = "only you can know: "
"""Begins the comment of a line that its reader must fill in."""

_ORDER = (
    *("file", "preamble", "columns", "wide", "time", "time.zones", "values", "origins"),
    *("signals", "signals.names", "meters.names"),
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_INDENT = 32


def quoted(value: object) -> str:
    """Return a value as TOML."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(quoted, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@attrs.define
class Document:
    """The lines of a mapping file by table.

    Attributes:
        head: comments at its top.
        open: how many lines are left to the reader.
    """

    head: list[str] = attrs.field(factory=list[str])
    open: int = 0
    _tables: dict[str, list[str]] = attrs.field(factory=dict[str, list[str]])
    _series: list[list[str]] = attrs.field(factory=list[list[str]])

    def set(self, table: str, key: str, value: object, why: str = "") -> None:
        """Add a key."""
        self._tables.setdefault(table, []).append(_line(key, value, why))

    def leave(self, table: str, key: str, example: object, why: str) -> None:
        """Add a key as a comment, for the reader to fill in."""
        self.open += 1
        self._tables.setdefault(table, []).append(f"# {_line(key, example, ONLY_YOU + why)}")

    def note(self, table: str, text: str) -> None:
        """Add a comment to a table."""
        self._tables.setdefault(table, []).append(f"# {_plain(text)}")

    def has(self, table: str, key: str) -> bool:
        """Whether a key is set, not as a comment."""
        return any(line.startswith(f"{key} =") for line in self._tables.get(table, ()))

    def add_series(self, *keys: tuple[str, object, str]) -> None:
        """Add a `[[series]]`."""
        self._series.append([_line(*key) for key in keys])

    @property
    def text(self) -> str:
        """The whole file."""
        tables = {name: [f"[{name}]", *self._tables[name]] for name in _ORDER if name in self._tables}
        parts = [
            [f"# {_plain(line)}" for line in self.head],
            *(tables[name] for name in _ORDER[:3] if name in tables),
            *(["[[series]]", *lines] for lines in self._series),
            *(tables[name] for name in _ORDER[3:] if name in tables),
        ]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _line(key: str, value: object, why: str = "") -> str:
    name = key if _BARE.fullmatch(key) else quoted(key)
    line = f"{name} = {quoted(value)}"
    return f"{line.ljust(_INDENT)} # {_plain(why)}" if why else line


def _plain(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
