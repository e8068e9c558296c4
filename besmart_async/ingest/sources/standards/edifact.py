"""EDIFACT interchanges as segments: `LOC+172+DE000'` is the tag LOC with the elements 172 and DE000."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from typing import Final

import attrs

from besmart_async.ingest.sources.base import SourceError

_UNA_LENGTH: Final = 9
_LONGEST_SEGMENT: Final = 64 << 10
_DEFAULT = ":+.? '"


@attrs.frozen
class Syntax:
    """The characters that separate parts of segments.

    Attributes:
        component: between the components of an element.
        element: between elements.
        decimal: the decimal mark.
        release: before a character that stands for itself.
        end: after a segment.
    """

    component: str
    element: str
    decimal: str
    release: str
    end: str

    @classmethod
    def of(cls, start: str) -> Syntax:
        """Return the syntax that an interchange's UNA segment says; that of the standard without one."""
        marks = start[3:_UNA_LENGTH] if start.startswith("UNA") else _DEFAULT
        return cls(marks[0], marks[1], marks[2], marks[3].strip(), marks[5])


@attrs.frozen
class Segment:
    """A segment of an interchange.

    Attributes:
        number: its number in the file, counted from 1, UNA not counted.
        tag: its name.
        elements: the components of each element after the tag.
        text: as written.
    """

    number: int
    tag: str
    elements: tuple[tuple[str, ...], ...]
    text: str

    def get(self, element: int, component: int = 0) -> str:
        """A component of an element, both counted from 0; an empty text if there is none."""
        parts = self.elements[element] if element < len(self.elements) else ()
        return parts[component].strip() if component < len(parts) else ""


def syntax_and_rest(text: str) -> tuple[Syntax, str]:
    """Return the syntax of an interchange, and its text after the UNA segment."""
    text = text.lstrip("\ufeff \t\r\n")
    syntax = Syntax.of(text)
    return syntax, text[_UNA_LENGTH:] if text.startswith("UNA") else text


def segments(pieces: Iterable[bytes], name: str) -> Generator[tuple[Syntax, Segment], None, None]:
    """Split an interchange into segments; line ends between them are ignored.

    Args:
        pieces: the bytes. Characters outside of ASCII are read as Latin-1: they occur in names only.
        name: the file's name in errors.

    Raises:
        SourceError: a segment does not end, or the file ends within one; the segments before were yielded.
    """
    source = iter(pieces)
    rest = ""
    while len(rest.lstrip("\ufeff \t\r\n")) < _UNA_LENGTH and (piece := next(source, b"")):
        rest += piece.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf")
    syntax, rest = syntax_and_rest(rest)
    whole = _pattern(syntax)
    number = 0
    while True:
        end = 0
        while (found := whole.match(rest, end)) is not None:
            end = found.end()
            text = found[1].strip("\r\n\t ")
            if text:
                number += 1
                yield syntax, _segment(number, text, syntax)
        rest = rest[end:]
        if len(rest) > _LONGEST_SEGMENT:
            raise SourceError(name, f"segment {number + 1} does not end; this is not an EDIFACT interchange")
        piece = next(source, b"")
        if not piece:
            break
        rest += piece.decode("latin-1")
    if rest.strip():
        problem = f"ends within segment {number + 1} ({rest.strip()[:20]!r}): the file is cut off; fetch it again"
        raise SourceError(name, problem)


def _pattern(syntax: Syntax) -> re.Pattern[str]:
    end, release = re.escape(syntax.end), re.escape(syntax.release)
    escaped = rf"|{release}." if release else ""
    return re.compile(rf"((?:[^{end}{release}]++{escaped})*+){end}", re.DOTALL)


def _segment(number: int, text: str, syntax: Syntax) -> Segment:
    if syntax.release and syntax.release in text:
        elements = [_split(element, syntax.component, syntax) for element in _split(text, syntax.element, syntax)]
        parts = tuple(tuple(_plain(one, syntax.release) for one in element) for element in elements)
    else:
        parts = tuple(tuple(element.split(syntax.component)) for element in text.split(syntax.element))
    return Segment(number, parts[0][0].strip().upper(), parts[1:], text)


def _split(text: str, mark: str, syntax: Syntax) -> list[str]:
    """Split at a mark that no release character precedes."""
    found = [""]
    at = 0
    while at < len(text):
        if text[at] == syntax.release:
            found[-1] += text[at : at + 2]
            at += 2
            continue
        if text[at] == mark:
            found.append("")
        else:
            found[-1] += text[at]
        at += 1
    return found


def _plain(text: str, release: str) -> str:
    return re.sub(rf"{re.escape(release)}(.)", r"\1", text, flags=re.DOTALL)
