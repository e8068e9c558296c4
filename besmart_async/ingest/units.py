"""Units of files and of signal types, and the explicit conversion between them.

A unit is known by its dimension and a power of ten. Power is never made energy, nor the other way round: that takes
the length of a period, and is not the conversion of a unit.
"""

from __future__ import annotations

import re
from functools import lru_cache

import attrs
import numpy as np
from numpy.typing import NDArray

_BASES = {
    "w": "W",
    "var": "var",
    "va": "VA",
    "v": "V",
    "a": "A",
    "hz": "Hz",
    "wh": "W.h",
    "varh": "var.h",
    "vah": "VA.h",
    "j": "J",
}
_PREFIXES = {"m": -3, "": 0, "k": 3, "K": 3, "M": 6, "G": 9}
_UNIT = re.compile(r"([mkKMG]?)(wh|varh|vah|w|var|va|v|a|hz|j)", re.IGNORECASE)
_KNOWN = "Wh, kWh, MWh, W, kW, var, kvarh, V, A, Hz and the like"
_JOINTS = re.compile(r"[.*·\s]")


@attrs.frozen
class Unit:
    """A unit of measure.

    Attributes:
        dimension: the unit without a prefix, as the service writes it: `W.h`.
        exponent: its size in that unit, as a power of ten: 3 for `kW.h`.
    """

    dimension: str
    exponent: int

    @property
    def symbol(self) -> str:
        """The unit as the service writes it."""
        prefix = next(name for name, exponent in _PREFIXES.items() if exponent == self.exponent and name != "K")
        return f"{prefix}{self.dimension}"


def unit_of(text: str) -> Unit | None:
    """Return the unit of a text such as `kWh`, `kW.h`, `kVArh` or `MW`; None if it is none that is known.

    Where upper and lower case make a difference, `m` and `M`, nothing is guessed: `mwh` is no unit.
    """
    plain = _JOINTS.sub("", text)
    found = _UNIT.fullmatch(plain)
    if found is None:
        return None
    prefix, base = found[1], found[2]
    if prefix == "m" and base[0].islower() and base[0] != "v":
        return None
    if prefix.casefold() == "g":
        prefix = "G"
    return Unit(_BASES[base.casefold()], _PREFIXES[prefix])


def unit_symbol(text: str) -> str | None:
    """Return a unit as the service writes it: `kWh` is `kW.h`; None for an empty text, anything else as it is."""
    unit = unit_of(text)
    return unit.symbol if unit is not None else text or None


@attrs.frozen
class Conversion:
    """What values of one unit have to be multiplied by, as a power of ten."""

    exponent: int = 0

    def of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert values; by a whole number, so that 1500 W is exactly 1.5 kW."""
        if not self.exponent:
            return values
        factor = 10.0 ** abs(self.exponent)
        return values * factor if self.exponent > 0 else values / factor


@lru_cache(maxsize=1000)
def conversion(text: str, symbol: str | None) -> Conversion | str:
    """Return how to convert from a file's unit to a signal type's, or why that cannot be done.

    Args:
        text: the unit in the file.
        symbol: the unit of the signal type; None where the service tells none: then nothing is converted.
    """
    source, target = unit_of(text), unit_of(symbol or "")
    if symbol is None or text == symbol:
        return Conversion()
    if source is None:
        return f"is no known unit; the signal type has {symbol}, known are {_KNOWN}"
    if target is None or source.dimension != target.dimension:
        return f"cannot be converted to the signal type's {symbol}"
    return Conversion(source.exponent - target.exponent)
