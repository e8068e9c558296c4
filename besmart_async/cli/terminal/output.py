"""Writing to the terminal: lines, tables, drawings, JSON.

Texts come from outside: from the service, from files, from file names. Here, and nowhere else, they are made safe for
a terminal: control characters are written out. JSON keeps its exact content, since it can say each of them in ASCII.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import orjson

from besmart_async.errors import visible
from besmart_async.models.times import from_ms

if TYPE_CHECKING:
    from typing_extensions import Buffer

_WIDE = 10_000
_LINES, _BLOCKS, _SHADES = "┌┐└┘┤├┬┴┼─│", "█▀▄▌▐▛▜▙▟▘▝▖▗▞▚", "·░▒▓"
_COLOUR = re.compile("(\x1b\\[[0-9;]*m)")
_BEYOND_UTF8 = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BEYOND_ASCII = re.compile("[^\x00-\x7e]")
_ASCII = str.maketrans(_LINES + _BLOCKS + _SHADES, "+++++++++-|" + "#" * len(_BLOCKS) + ".:+*")


def write(text: str, *, flush: bool = False) -> None:
    """Write a line to standard output, with control characters written out."""
    sys.stdout.write(f"{visible(text)}\n")
    if flush:
        sys.stdout.flush()


def error_line(text: str) -> None:
    """Write a line to standard error, with control characters written out."""
    sys.stderr.write(f"{visible(text)}\n")


def write_drawing(text: str) -> None:
    """Write a picture made of characters to standard output; of control sequences it keeps only colours."""
    parts = _COLOUR.split(printable(text))
    sys.stdout.write("".join(part if number % 2 else visible(part) for number, part in enumerate(parts)) + "\n")


def write_json_text(text: str | bytes, *, flush: bool = False, to_stderr: bool = False) -> None:
    """Write JSON to standard output, the characters that a terminal obeys or cannot show as JSON's escapes."""
    text = text if isinstance(text, str) else text.decode()
    stream = sys.stderr if to_stderr else sys.stdout
    if not text.isascii() or "\x7f" in text:
        encoding = (stream.encoding or "ascii").replace("-", "").casefold()
        text = (_BEYOND_UTF8 if encoding == "utf8" else _BEYOND_ASCII).sub(_escaped, text)
    stream.write(f"{text}\n")
    if flush:
        stream.flush()


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1].replace("\x7f", "\\u007f")


def json_text(value: object, *, indent: bool = False) -> str:
    """Return plain values as JSON; of a file name that is not UTF-8, each odd byte is half a surrogate pair."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except TypeError:  # half a surrogate pair, which orjson refuses
        return json.dumps(value, indent=2 if indent else None)


class TerminalBytes(io.BufferedIOBase):
    """Standard output for UTF-8 text on a terminal: writes it with control characters written out."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: Buffer) -> int:
        """Write bytes; the start of a character waits for its end."""
        content = bytes(data)
        sys.stdout.write(visible(self._decoder.decode(content)))
        return len(content)

    def flush(self) -> None:
        """Write what standard output has buffered."""
        sys.stdout.flush()


def colourful() -> bool:
    """Whether standard output is a terminal that wants colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(text: str) -> str:
    """Return a text that the terminal can show: with ASCII for line-drawing characters that its encoding lacks."""
    encoding = sys.stdout.encoding or "ascii"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    return text


def write_json(value: object) -> None:
    """Write a value of the API as JSON, in the API's own names."""
    write_json_text(json.dumps(plain(value), ensure_ascii=False, indent=2))


def plain(value: Any) -> Any:
    """Return models as values of JSON; fields of the service that we do not know are beside those we know."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if attrs.has(type(value)):
        fields = {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
        extra = fields.pop("extra", {})
        return {**fields, **extra}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def write_table(header: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Write a table, with some columns aligned right: cut to the width of a terminal, whole elsewhere."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    terminal = sys.stdout.isatty()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_header=any(header))
    for name in header:
        table.add_column(visible(name, one_line=True), justify="right" if name in right else "left")
    for row in rows:
        table.add_row(*map(cell, row))
    console = Console(width=None if terminal else _WIDE, no_color=not colourful(), markup=False, emoji=False)
    with console.capture() as capture:
        console.print(table, soft_wrap=not terminal)
    write_drawing("\n".join(line.rstrip() for line in capture.get().strip("\n").splitlines() if line.strip()))


def write_records(records: Sequence[Any], names: Sequence[str]) -> None:
    """Write models as a table of some of their fields."""
    write_table(names, ([getattr(record, name) for name in names] for record in records))


def write_fields(record: Any) -> None:
    """Write one model as a table of all its fields that are not None."""
    write_table(("field", "value"), ((name, value) for name, value in plain(record).items() if value is not None))


def cell(value: object) -> str:
    """The text of one field."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list | tuple):
        return visible(json.dumps(plain(value), ensure_ascii=False))
    return visible(str(value), one_line=True)


def size_text(count: int) -> str:
    """A number of bytes for people."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:,.1f} kB" if count < 1_000_000 else f"{count / 1e6:,.1f} MB"


def counted(number: int, noun: str) -> str:
    """A number with its noun in the right form."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def stamp(moment_ms: float | None) -> str:
    """A moment in UTC; nothing for None."""
    if moment_ms is None:
        return ""
    fine = "seconds" if moment_ms % 1000 == 0 else "milliseconds" if moment_ms % 1 == 0 else "microseconds"
    return from_ms(moment_ms).isoformat(timespec=fine).replace("+00:00", "Z")


def counted_line(name: str, number: int, text: str) -> str:
    """One line of a report: what, how many, of what."""
    return f"{name:<9} {number:>12,} {text}"
