"""What the user said with options of the command."""

from __future__ import annotations

import attrs

from besmart_async.ingest.parse.zones import DstRule


@attrs.frozen(kw_only=True)
class Told:
    """What the user said; None where nothing.

    Attributes:
        meter: the meter of all rows.
        signal_type: OBIS code, symbol or id of rows that do not name their signal type.
        time_zone: zone of times without an offset.
        dst: what repeated and missing local times mean.
        decimal_comma: values are written `1,5`.
    """

    meter: str | None = None
    signal_type: str | None = None
    time_zone: str | None = None
    dst: DstRule | None = None
    decimal_comma: bool = False
