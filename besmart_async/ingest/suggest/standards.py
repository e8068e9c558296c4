"""Formats that say what their readings are: which names of signal types they leave open."""

from __future__ import annotations

from besmart_async.ingest.parse.parser import ParseOptions, Parser
from besmart_async.ingest.sources import Source, TelegramSource
from besmart_async.ingest.sources.standards import GreenButtonSource, MsconsSource, Nem12Source
from besmart_async.ingest.suggest.cells import OBIS

_NAMES: tuple[tuple[type, str], ...] = (
    (Nem12Source, "NEM12"),
    (MsconsSource, "MSCONS"),
    (GreenButtonSource, "Green Button (ESPI) XML"),
    (TelegramSource, "P1 telegrams (DSMR)"),
)
_TRIED = 200_000


def names_of(source: Source) -> tuple[list[tuple[str, int, float]], str]:
    """Return (name, readings, first time in ms) of signal types that are not OBIS codes, and what the format is.

    Raises:
        SourceError: the file cannot be read.
    """
    kind = next((name for one, name in _NAMES if isinstance(source, one)), "in a format of another package")
    parser = Parser(ParseOptions(time_zone="UTC"))
    found: dict[str, tuple[int, float]] = {}
    read = 0
    pages = source.pages()
    try:
        for page in pages:
            readings, _ = parser.parse(page.chunk)
            read += len(readings)
            for code, name in enumerate(readings.signal.names if readings.signal is not None else ()):
                rows = readings.signal.codes == code if readings.signal is not None else ()
                if name and not OBIS.fullmatch(name) and name not in readings.options.signals and sum(rows):
                    many, since = found.get(name, (0, float("inf")))
                    found[name] = many + int(sum(rows)), min(since, float(readings.time[rows].min()))
            if read > _TRIED:
                break
    finally:
        pages.close()
    return [(name, many, since) for name, (many, since) in found.items()], kind
