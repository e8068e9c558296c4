"""OBIS codes: which quantity of which medium a value is (IEC 62056-61)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Self

import attrs

ELECTRICITY, CURRENT = 1, 255
_CODE = re.compile(r"(?:([0-9]{1,3})-([0-9]{1,3}):)?([0-9A-F]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?)(?:[*&.]([0-9]{1,3}))?")
_SIX = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})\.([0-9]{1,3})")
_MEDIA = {0: "no medium", 4: "heat costs", 5: "cooling", 6: "heat", 7: "gas", 8: "water", 9: "hot water"}


@attrs.frozen
class ObisCode:
    """An OBIS code `A-B:C.D.E*F`.

    Attributes:
        medium: value group A; None if it is not written.
        channel: value group B; None if it is not written.
        quantity: `C.D.E` or `C.D`.
        period: value group F, the billing period; None if it is not written.
    """

    medium: int | None
    channel: int | None
    quantity: str
    period: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse a code such as `1-0:1.8.0*255`, `1.8.0` or `1.0.1.8.0.255`; None for other texts."""
        found = _SIX.fullmatch(text) or _CODE.fullmatch(text)
        if found is None:
            return None
        medium, channel, quantity, period = found.groups()
        return cls(_int(medium), _int(channel), quantity, _int(period))

    @property
    def is_history(self) -> bool:
        """Whether it is the value at the end of a past billing period."""
        return self.period not in (None, CURRENT)

    def means(self, other: ObisCode) -> bool:
        """Whether another code, of a signal type, is the same quantity. What this one does not write is open.

        A signal type without a medium is of electricity; without a channel it has no channel (0), or the first.
        """
        medium = ELECTRICITY if other.medium is None else other.medium
        return (
            self.quantity == other.quantity
            and self.medium in (None, medium)
            and self.channel in (None, *((0, 1) if other.channel is None else (other.channel,)))
            and (CURRENT if self.period is None else self.period) == (CURRENT if other.period is None else other.period)
        )

    @property
    def said(self) -> str:
        """What distinguishes it from a present reading of electricity; empty for such a one."""
        said = [] if self.channel in (None, 0, 1) else [f"of channel {self.channel}"]
        said += [f"of {_MEDIA.get(self.medium or 1, 'another medium')}"] if self.medium not in (None, 1) else []
        said += [f"of billing period {self.period}"] if self.is_history else []
        return f"is {', '.join(said)}" if said else ""


def _int(text: str | None) -> int | None:
    return None if text is None else int(text)


obis_code = lru_cache(maxsize=10_000)(ObisCode.parse)
"""`ObisCode.parse`, with a cache."""
