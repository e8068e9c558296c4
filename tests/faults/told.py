"""What a caller was told about readings, as a frozen value and as one line of text, for callers in other processes."""

from __future__ import annotations

from typing import Any, Literal, Self

import attrs
import orjson

from besmart_async import SignalKey

REMOVAL = "RM"
"""The type of a reading that marks others as deleted."""

What = Literal[
    "offered",  # a call begins
    "accepted",  # `write` returned
    "acknowledged",  # `deliver`, or a single call, returned
    "refused",  # the call raised, nothing of it was accepted
    "rejected",  # handed back: the service said no
    "not_sent",  # handed back: it never left
    "in_doubt",  # handed back: nobody knows
    "flushing",  # `flush` begins
    "flushed",  # `flush` returned: everything accepted before it began has its outcome
]


_NO_KEY = SignalKey(0, 0, 0)


@attrs.frozen(kw_only=True)
class Told:
    """One thing that a caller was told.

    Attributes:
        what: the news.
        key: of which signal.
        times: at which times.
        values: the values, each a number of its own (of removals 0).
        origin: origin of the readings.
        kind: type of the readings.
        readings: if they are handed back: for how many accepted readings they stand; None otherwise.
        number: which flush.
        counted: whether a writer's report counts them; it does not count single calls.
    """

    what: What
    key: SignalKey = _NO_KEY
    times: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    origin: int = 1
    kind: str = "DBL"
    readings: int | None = None
    number: int = 0
    counted: bool = True

    def line(self) -> str:
        """One line of JSON, with its end."""
        fields: dict[str, Any] = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        return orjson.dumps({**fields, "key": str(self.key)}).decode() + "\n"

    @classmethod
    def of_line(cls, line: str | bytes) -> Self:
        """Read what `line` wrote."""
        fields = orjson.loads(line)
        fields["key"] = SignalKey.parse(fields["key"])
        fields["times"], fields["values"] = tuple(fields["times"]), tuple(fields["values"])
        return cls(**fields)
