"""Which column of a table is the meter, the time, the value and so on, by its texts first and its title second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import attrs

from besmart_async.ingest.mapping.signals import unit_of
from besmart_async.ingest.parse.parser import ORIGINS
from besmart_async.ingest.sources.layout import COLUMN_NAMES, FileForm, Layout, plain_title
from besmart_async.ingest.suggest.cells import OBIS, Writing, is_number, plain_word, unit_in, writing_of
from besmart_async.ingest.suggest.table import FoundTable

_WORDS: dict[str, tuple[str, ...]] = {
    "meter": (
        "meter", "zahler", "zaehler", "zahlpunkt", "zaehlpunkt", "messlokation", "marktlokation", "malo", "melo", "ean",
        "ppe", "pod", "cups", "prm", "pdl", "nmi", "esiid", "mpan", "mprn", "licznik", "sensor", "servicepoint",
        "usagepoint", "device", "serial", "anlage", "jednostka", "punkt", "compteur", "contador", "contatore", "point",
    ),
    "signal": (
        "obis", "register", "richtung", "direction", "kanal", "channel", "kennzahl", "signal", "rejestr", "kod", "flow",
        "zahlwerk", "zaehlwerk", "quantity", "magnitud", "rodzaj",
    ),
    "origin": (
        "status", "quality", "qualit", "origin", "validation", "ersatzwert", "obtain", "herkunft", "flag", "estimated",
    ),
    "value": (
        "value", "reading", "wert", "kwh", "wh", "consum", "verbrauch", "volume", "energ", "usage", "wartosc", "kw",
        "messwert", "menge", "zuzycie", "pobor", "load", "leistung", "potenza", "lectura", "generation", "import",
        "export",
    ),
    "end": ("end", "ending", "until", "bis", "to", "fin", "fine", "do", "hasta"),
    "start": ("start", "begin", "beginning", "from", "von", "debut", "inicio", "inizio"),
    "summer": ("dst", "summer", "sommer", "letni", "verano"),
}  # fmt: skip
"""Parts of titles in several languages. They decide only among columns whose texts fit."""

_FEW = 20


@attrs.frozen
class ColumnFacts:
    """A column and what its texts are.

    Attributes:
        index: its place.
        title: its title.
        texts: its texts.
        exact: it holds times with a time zone, as such.
        naive: it holds times without one, as such.
    """

    index: int
    title: str
    texts: Sequence[str]
    exact: bool = False
    naive: bool = False

    @cached_property
    def distinct(self) -> list[str]:
        """Its texts without repeats and empty ones."""
        return list(dict.fromkeys(text.strip() for text in self.texts if text.strip()))

    @cached_property
    def writing(self) -> Writing | None:
        """How times are written in it; None if it does not hold times."""
        if self.exact or self.naive:
            return Writing(moments=self.exact)
        return writing_of(self.distinct)

    @cached_property
    def numeric(self) -> bool:
        """Whether nearly all of its texts are numbers."""
        return bool(self.distinct) and sum(map(is_number, self.distinct)) >= 0.8 * len(self.distinct)

    @property
    def shown(self) -> str | int:
        """Its title, or its number if it has none."""
        return self.title or self.index + 1

    def named(self, role: str) -> bool:
        """Whether the title has a word of a role."""
        plain = plain_word(self.title)
        if plain_title(self.title) in COLUMN_NAMES.get(role, ()):
            return True
        if role == "summer" and plain.startswith("dst"):
            return True
        if role in ("end", "start"):
            return any(plain.startswith(word) or plain.endswith(word) for word in _WORDS[role] if len(word) > 3) or any(
                word in plain_title(self.title).split("_") for word in _WORDS[role]
            )
        if role == "value" and len(plain) <= 3:
            return plain in _WORDS[role]
        words = plain_title(self.title).replace("(", "_").replace(")", "_").split("_")
        return any(word in (plain if len(word) > 3 else words) for word in _WORDS.get(role, ()))


@attrs.frozen(kw_only=True)
class Roles:
    """The columns of a table by their roles.

    Attributes:
        columns: all columns.
        positions: index by role; `date` is there only if the time of day is another column or the titles.
        values: indexes of the columns of values, in files with one or several readings in a row.
        layout: the layout if the columns are the periods of a day or moments; else None.
        until: index of a column with the ends of periods, if there is one for the starts.
        summer: index of a column that seems to say summer time.
        candidates: indexes of columns with the meter that were not chosen.
    """

    columns: tuple[ColumnFacts, ...]
    positions: dict[str, int]
    values: tuple[int, ...] = ()
    layout: Layout | None = None
    until: int | None = None
    summer: int | None = None
    candidates: tuple[int, ...] = ()

    def facts(self, role: str) -> ColumnFacts | None:
        """The column of a role."""
        index = self.positions.get(role)
        return None if index is None else self.columns[index]


def roles_of(table: FoundTable, exact: frozenset[int] = frozenset(), naive: frozenset[int] = frozenset()) -> Roles:
    """Find the columns of a table."""
    columns = tuple(
        ColumnFacts(index, title, table.column(index), index in exact, index in naive)
        for index, title in enumerate(table.titles)
    )
    layout = _days(columns, headed=bool(table.header))
    slots = set() if layout is None else {*(layout.slots.positions if layout.slots else ())}
    slots |= {column.position for column in layout.series} if layout else set()
    free = [column for column in columns if column.index not in slots and column.distinct]
    positions: dict[str, int] = {}
    until = None if layout is not None and layout.series else _times(free, positions, wide=layout is not None)
    used = {*positions.values(), *([] if until is None else [until])}
    free = [column for column in free if column.index not in used and not _timely(column)]
    summer = next((one for one in free if one.named("summer") and len(one.distinct) <= 2), None)
    free = [column for column in free if column is not summer]
    _take(free, positions, "unit", lambda one: all(unit_of(text) is not None for text in one.distinct) * 3)
    _take(free, positions, "signal", _signal_score)
    meters = _meters(free)
    if meters:
        positions["meter"] = meters[0].index
        free = [column for column in free if column not in meters]
    _take(free, positions, "origin", _origin_score)
    values = () if layout is not None else _values(free, headed=bool(table.header))
    if "signal" not in positions and layout is None and len(values) == 1:
        _telling(columns, free, positions, values)
    return Roles(
        columns=columns,
        positions=positions,
        values=values,
        layout=layout,
        until=until,
        summer=None if summer is None else summer.index,
        candidates=tuple(one.index for one in meters[1:]),
    )


def _timely(column: ColumnFacts) -> bool:
    return column.writing is not None and not column.writing.counted


def _days(columns: Sequence[ColumnFacts], *, headed: bool) -> Layout | None:
    """The layout if titles are the periods of a day, or moments."""
    if not headed:
        return None
    for place, one in enumerate(columns):
        if one.writing is None or one.writing.clock == "time" or one.writing.unix:
            continue
        try:
            layout = Layout.of(
                [column.title for column in columns],
                FileForm(columns={"meter": (1 if place else 2,), "date": (place + 1,)}),
            )
        except ValueError:
            continue
        return layout if layout.slots else None
    try:
        layout = Layout.of([column.title for column in columns], FileForm(slots="moments", columns={"meter": (1,)}))
    except ValueError:
        return None
    return layout if len(layout.series) > 1 else None


def _times(free: Sequence[ColumnFacts], positions: dict[str, int], *, wide: bool) -> int | None:
    """Find the columns of dates and times; return that of the ends of periods."""
    moments = [one for one in free if one.writing and one.writing.clock == "moment"]
    dates = [one for one in free if one.writing and one.writing.clock == "date"]
    clocks = [one for one in free if one.writing and one.writing.clock == "time" and not one.writing.counted]
    counters = [one for one in free if one.writing and one.writing.counted and _is_hour(one)]
    if wide:
        if dates or moments:
            positions["date"] = (dates or moments)[0].index
        return None
    if dates and (clocks or counters) and not moments:
        starts = [one for one in dates if not one.named("end")] or dates
        times = clocks or counters
        begins = [one for one in times if not one.named("end")] or times
        positions["date"], positions["time"] = starts[0].index, begins[0].index
        ends = [one for one in times if one.named("end") and one is not begins[0]]
        return ends[0].index if ends else None
    times = moments or dates
    if not times:
        return None
    starts = sorted(times, key=lambda one: (one.named("end"), not one.named("time")))
    positions["time"] = starts[0].index
    ends = [one for one in times if one.named("end") and one is not starts[0]]
    return ends[0].index if ends else None


def _is_hour(column: ColumnFacts) -> bool:
    plain = plain_word(column.title)
    return any(word in plain for word in ("hour", "stunde", "godz", "hora", "heure", "ora", "he", "period"))


def _take(free: list[ColumnFacts], positions: dict[str, int], role: str, score: Callable[[ColumnFacts], float]) -> None:
    """Give a role to the free column with the highest score, if that is above 0."""
    best = max(free, key=score, default=None)
    if best is not None and score(best) > 0:
        positions[role] = best.index
        free.remove(best)


def _signal_score(column: ColumnFacts) -> float:
    if all(OBIS.fullmatch(text) for text in column.distinct):
        return 5
    return 3 * (column.named("signal") and not column.numeric and len(column.distinct) <= _FEW)


def _origin_score(column: ColumnFacts) -> float:
    if all(text.casefold() in ORIGINS for text in column.distinct):
        return 4
    return 2 * (column.named("origin") and len(column.distinct) <= _FEW and not column.numeric)


def _meters(free: Sequence[ColumnFacts]) -> list[ColumnFacts]:
    def score(column: ColumnFacts) -> float:
        digits = all(any(map(str.isdigit, text)) for text in column.distinct)
        fraction = any("." in text or "," in text for text in column.distinct) and column.numeric
        keys = digits and all(len(text.split(".")) == 2 for text in column.distinct) and column.named("meter")
        if (fraction and not keys) or not digits:
            return 0
        long = max(map(len, column.distinct)) >= 9
        named = column.named("meter")
        if column.numeric and not (named or long):
            return 0
        repeated = len(column.distinct) * 2 <= len(column.texts)
        return 3 * named + long + repeated if named or (repeated and not column.numeric) or long else 0

    found = [column for column in free if score(column) > 0]
    return sorted(found, key=lambda column: -score(column))


def _values(free: Sequence[ColumnFacts], *, headed: bool) -> tuple[int, ...]:
    numeric = [one for one in free if one.numeric]
    named = [one for one in numeric if unit_in(one.title) or one.named("value")] if headed else []
    fractions = [one for one in numeric if any(mark in text for text in one.distinct for mark in ".,")]
    exact = [one for one in numeric if plain_title(one.title) in COLUMN_NAMES["value"]]
    return tuple(one.index for one in exact[:1] or named or fractions or numeric)


def _telling(
    columns: Sequence[ColumnFacts], free: Sequence[ColumnFacts], positions: dict[str, int], values: tuple[int, ...]
) -> None:
    """Find the column that tells readings of one meter and time apart: it is that of the signal types."""
    keys = [columns[positions[role]].texts for role in ("meter", "date", "time") if role in positions]
    rows = list(zip(*keys, strict=True))
    if len(set(rows)) == len(rows):
        return
    for one in free:
        few = 1 < len(one.distinct) <= _FEW and one.index not in values and not one.numeric
        if few and len(set(zip(*keys, one.texts, strict=True))) == len(rows):
            positions["signal"] = one.index
            return
