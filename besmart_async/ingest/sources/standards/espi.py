"""Green Button files as a stream of entries and readings: Atom feeds with resources of NAESB's ESPI.

The parser is expat. A document type declaration is refused, so that no entity can grow; elements are forgotten when
they end, so memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Final
from xml.parsers import expat

import attrs

from besmart_async.ingest.sources.base import SourceError

ESPI: Final = "http://naesb.org/espi"
_ATOM: Final = "http://www.w3.org/2005/Atom"
_DEEPEST: Final = 64
_LONGEST_TEXT: Final = 64 << 10
_PIECE: Final = 64 << 10
_RESOURCES: Final = {"UsagePoint", "MeterReading", "ReadingType", "IntervalBlock"}


@attrs.define
class Entry:
    """An entry of the feed, with what is known so far.

    Attributes:
        number: its number in the feed, counted from 1.
        kind: the resource in it; empty if it is another one.
        links: the addresses that it links to, by relation (self, up, related).
        fields: texts of the resource's own elements, by name.
    """

    number: int
    kind: str = ""
    links: dict[str, list[str]] = attrs.field(factory=dict[str, list[str]])
    fields: dict[str, str] = attrs.field(factory=dict[str, str])


@attrs.define
class IntervalReading:
    """A reading of an interval block.

    Attributes:
        number: its number in the file, counted from 1.
        entry: the number of its entry.
        start: the start of its period, as written.
        duration: the length of its period, as written.
        value: its value, as written; None without one.
        qualities: its quality codes.
    """

    number: int
    entry: int
    start: str = ""
    duration: str = ""
    value: str | None = None
    qualities: list[str] = attrs.field(factory=list[str])


def espi(pieces: Iterable[bytes], name: str, *, readings: bool) -> Generator[Entry | IntervalReading, None, None]:
    """Yield the entries of a feed when they end, and with `readings` the readings before their entry.

    Args:
        pieces: the bytes.
        name: the file's name in errors.
        readings: yield readings.

    Raises:
        SourceError: the file is not XML, is cut off, or has a document type declaration.
    """
    feed = _Feed(name, readings=readings)
    for piece in pieces:
        for start in range(0, len(piece), _PIECE):
            feed.parse(piece[start : start + _PIECE], final=False)
            yield from feed.take()
    feed.parse(b"", final=True)
    yield from feed.take()


class _Feed:
    def __init__(self, name: str, *, readings: bool) -> None:
        self._name = name
        self._readings = readings
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._path: list[str] = []
        self._content: list[str] = []
        self._length = 0
        self._entries = self._count = 0
        self._entry = Entry(0)
        self._reading: IntervalReading | None = None
        self._found: list[Entry | IntervalReading] = []

    def parse(self, piece: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(piece, final)
        except expat.ExpatError as error:
            cut = (final and error.code == expat.errors.codes[expat.errors.XML_ERROR_NO_ELEMENTS]) or final
            what = "ends too early: it is cut off; fetch it again" if cut else f"is not well-formed XML: {error}"
            raise SourceError(self._name, what) from None

    def take(self) -> list[Entry | IntervalReading]:
        found, self._found = self._found, []
        return found

    def _doctype(self, *_: object) -> None:
        raise SourceError(
            self._name, "has a document type declaration (<!DOCTYPE>), which Green Button files never have"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        self._path.append(local)
        self._content, self._length = [], 0
        if len(self._path) > _DEEPEST:
            raise SourceError(
                self._name, f"has elements nested deeper than {_DEEPEST}; this is not a Green Button file"
            )
        if local == "entry" and space == _ATOM:
            self._entries += 1
            self._entry = Entry(self._entries)
        elif local == "link" and space == _ATOM:
            self._entry.links.setdefault(attributes.get("rel", ""), []).append(attributes.get("href", ""))
        elif local in _RESOURCES and space == ESPI:
            self._entry.kind = self._entry.kind or local
        elif local == "IntervalReading" and space == ESPI:
            self._count += 1
            if self._readings:
                self._reading = IntervalReading(self._count, self._entry.number)

    def _text(self, text: str) -> None:
        self._length += len(text)
        if self._length <= _LONGEST_TEXT:
            self._content.append(text)

    def _end(self, name: str) -> None:
        space, _, local = name.rpartition(" ")
        text = "".join(self._content).strip()
        self._content, self._length = [], 0
        parent = self._path[-2] if len(self._path) > 1 else ""
        self._path.pop()
        if local == "entry" and space == _ATOM:
            self._found.append(self._entry)
            self._entry = Entry(self._entries)
        elif local == "IntervalReading" and self._reading is not None:
            self._found.append(self._reading)
            self._reading = None
        elif self._reading is not None:
            _put(self._reading, parent, local, text)
        elif parent in _RESOURCES or local == "kind":
            self._entry.fields[local] = text


def _put(reading: IntervalReading, parent: str, local: str, text: str) -> None:
    if parent == "timePeriod" and local == "start":
        reading.start = text
    elif parent == "timePeriod" and local == "duration":
        reading.duration = text
    elif parent == "IntervalReading" and local == "value":
        reading.value = text or None
    elif local == "quality" and text:
        reading.qualities.append(text)
