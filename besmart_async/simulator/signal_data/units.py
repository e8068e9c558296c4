"""Units and their conversion. The document names ids but lists none except 1, kW.h: the others are ours."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class UnitOfMeasure:
    """A unit of measure; `factor` is its size in the smallest unit of its dimension."""

    unit_id: int
    symbol: str
    dimension: str
    factor: int = 1


UNITS = (
    UnitOfMeasure(1, "kW.h", "energy", 1_000),
    UnitOfMeasure(2, "W.h", "energy"),
    UnitOfMeasure(3, "MW.h", "energy", 1_000_000),
    UnitOfMeasure(4, "W", "power"),
    UnitOfMeasure(5, "kW", "power", 1_000),
    UnitOfMeasure(6, "MW", "power", 1_000_000),
    UnitOfMeasure(7, "var.h", "reactive energy"),
    UnitOfMeasure(8, "kvar.h", "reactive energy", 1_000),
    UnitOfMeasure(9, "Mvar.h", "reactive energy", 1_000_000),
    UnitOfMeasure(10, "var", "reactive power"),
    UnitOfMeasure(11, "kvar", "reactive power", 1_000),
    UnitOfMeasure(20, "Mvar", "reactive power", 1_000_000),
    UnitOfMeasure(12, "mV", "voltage"),
    UnitOfMeasure(13, "V", "voltage", 1_000),
    UnitOfMeasure(14, "kV", "voltage", 1_000_000),
    UnitOfMeasure(15, "mA", "current"),
    UnitOfMeasure(16, "A", "current", 1_000),
    UnitOfMeasure(17, "Hz", "frequency"),
    UnitOfMeasure(18, "1", "none"),
    UnitOfMeasure(19, "%", "ratio"),
)
BY_ID = {unit.unit_id: unit for unit in UNITS}
BY_SYMBOL = {unit.symbol: unit for unit in UNITS}


def convertible(source: UnitOfMeasure, target: UnitOfMeasure) -> bool:
    """Whether values of one unit can be given in the other."""
    return source.dimension == target.dimension


def convert(values: list[Any], source: UnitOfMeasure, target: UnitOfMeasure) -> list[Any]:
    """The values in the target unit; anything that is not a number stays as it is.

    Multiplies or divides by a whole number, so that 1500 W is exactly 1.5 kW.
    """
    if source.factor == target.factor:
        return values
    if source.factor > target.factor:
        ratio = source.factor // target.factor
        return [v * ratio if type(v) in (int, float) else v for v in values]
    ratio = target.factor // source.factor
    return [v / ratio if type(v) in (int, float) else v for v in values]


# The power that flows when one unit of energy passes in an hour.
POWER_OF = {unit.unit_id: BY_SYMBOL[unit.symbol.removesuffix(".h")] for unit in UNITS if unit.symbol.endswith(".h")}
