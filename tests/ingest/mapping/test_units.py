"""Units: known by their texts, converted by powers of ten, never guessed."""

import numpy as np
import pytest

from besmart_async.ingest.mapping.signals import Conversion, conversion, unit_of, unit_symbol


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("kWh", "kW.h"),
        ("KWH", "kW.h"),
        ("kwh", "kW.h"),
        ("Wh", "W.h"),
        ("MWh", "MW.h"),
        ("GWh", "GW.h"),
        ("kW.h", "kW.h"),
        ("kW*h", "kW.h"),
        ("kW h", "kW.h"),
        ("kVArh", "kvar.h"),
        ("kvarh", "kvar.h"),
        ("MVAh", "MVA.h"),
        ("kW", "kW"),
        ("mV", "mV"),
        ("mA", "mA"),
        ("mW", "mW"),
        ("Hz", "Hz"),
        ("var", "var"),
        ("furlong", "furlong"),
        ("", None),
    ],
)
def test_units_are_written_as_the_service_writes_them(text: str, symbol: str | None) -> None:
    assert unit_symbol(text) == symbol


@pytest.mark.parametrize("text", ["mwh", "mw", "Wk", "kkWh", "kWh/h", "m3", "k", "%"])
def test_milli_or_mega_is_not_guessed_and_other_texts_are_no_units(text: str) -> None:
    assert unit_of(text) is None


@pytest.mark.parametrize(
    ("text", "symbol", "value", "expected"),
    [
        ("Wh", "kW.h", 1500.0, 1.5),
        ("MWh", "kW.h", 0.001, 1.0),
        ("kWh", "kW.h", 0.1, 0.1),
        ("W", "kW", 1.0, 0.001),
        ("kvarh", "kvar.h", 2.0, 2.0),
        ("GWh", "W.h", 3.0, 3e9),
    ],
)
def test_values_are_converted_exactly_to_the_signal_types_unit(
    text: str, symbol: str, value: float, expected: float
) -> None:
    how = conversion(text, symbol)
    assert isinstance(how, Conversion)
    assert how.of(np.array([value])).tolist() == [expected]


@pytest.mark.parametrize(
    ("text", "symbol", "words"),
    [
        ("kW", "kW.h", "cannot be converted to the signal type's kW.h"),
        ("kWh", "kW", "cannot be converted"),
        ("kvarh", "kW.h", "cannot be converted"),
        ("furlong", "kW.h", "is no known unit; the signal type has kW.h"),
        ("kWh", "furlong", "cannot be converted to the signal type's furlong"),
    ],
)
def test_power_is_not_made_energy_nor_anything_else_what_it_is_not(text: str, symbol: str, words: str) -> None:
    assert words in str(conversion(text, symbol))


def test_a_unit_that_only_the_service_knows_is_taken_as_it_is() -> None:
    assert conversion("furlong", "furlong") == Conversion()
    assert conversion("furlong", None) == Conversion()
