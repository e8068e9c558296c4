"""Single lines of P1 telegrams, by the tables in `dsmr-parser`; a file of its own because that is an extra."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dsmr_parser import telegram_specifications as versions
from dsmr_parser.exceptions import InvalidChecksumError, ParseError
from dsmr_parser.objects import CosemObject, MBusObject
from dsmr_parser.parsers import TelegramParser

_VERSIONS: tuple[Mapping[str, Any], ...] = (
    versions.V5,
    versions.V4,
    versions.BELGIUM_FLUVIUS,
    versions.LUXEMBOURG_SMARTY,
    versions.SWEDEN,
    versions.ISKRA_IE,
    versions.EON_HUNGARY,
    versions.V2_2,
)
_CHECKSUM = re.compile(r"![0-9A-F]{1,4}\s*\Z")
_UNIT = re.compile(r"\*[A-Za-z0-9]+\)|\([A-Za-z0-9]+\)\r\n\(")


class TelegramLines:
    """Reads values of lines; caches the parser of each OBIS code."""

    def __init__(self) -> None:
        self._parsers: dict[str, Any] = {}

    def checksum_problem(self, telegram: str) -> str | None:
        """Return why a telegram is damaged; None if its checksum is right or it has none."""
        if not _CHECKSUM.search(telegram):
            return None
        try:
            TelegramParser.validate_checksum(telegram)
        except (InvalidChecksumError, ParseError):
            return "begins a telegram whose checksum is wrong"
        return None

    def value_of(self, line: str) -> tuple[Decimal, str, bool] | str | None:
        """Return (value, unit, whether the line has a time of its own); None without a value; a text is an error."""
        if len(_UNIT.findall(line)) != 1:  # several units make a list, of peaks or power failures
            return None
        parser = self._parser(line)
        if parser is None:
            return None
        try:
            found = parser.parse(f"{line}\r\n")
            value, unit = found.value, found.unit
        except (ParseError, ArithmeticError, ValueError, IndexError, AttributeError, TypeError):
            return "is not a line of the standard"
        if not isinstance(found, CosemObject | MBusObject) or not isinstance(value, Decimal | int) or not unit:
            return None
        return Decimal(value), str(unit), isinstance(found, MBusObject)

    def _parser(self, line: str) -> Any:
        obis = line.partition("(")[0]
        if obis not in self._parsers:
            known = (
                item["value_parser"]
                for version in _VERSIONS
                for item in version["objects"]
                if re.match(item["obis_reference"], f"{line}\r\n", re.DOTALL | re.MULTILINE)
            )
            self._parsers[obis] = next(known, None)
        return self._parsers[obis]
