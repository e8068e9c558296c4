"""`SignalQuery`: which readings to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import attrs

from besmart_async.errors import InvalidInputError
from besmart_async.models.checks import checked_flag, checked_object, optional
from besmart_async.models.keys import SignalKey, checked_id, checked_key
from besmart_async.models.times import TimeLike, to_ms
from besmart_async.models.values import JsonValue


def _since(value: TimeLike) -> int | float:
    return to_ms(value, "since")


def _till(value: TimeLike) -> int | float:
    return to_ms(value, "till")


def _filters(value: Mapping[str, object] | str | None) -> Mapping[str, JsonValue] | None:
    return None if value is None else checked_object("filters", value)


def _delta_t(value: int | None) -> int | None:
    minutes = optional(checked_id, "delta_t", value)
    if minutes == 0:
        raise InvalidInputError("delta_t", value, "give whole minutes of at least 1")
    return minutes


def _output_unit_id(value: int | None) -> int | None:
    return optional(checked_id, "output_unit_id", value)


def _signal_origin_id(value: int | None) -> int | None:
    return optional(checked_id, "signal_origin_id", value)


def _flag(_: object, field: attrs.Attribute[bool | None], value: bool | None) -> None:
    optional(checked_flag, field.name, value)


@attrs.frozen
class SignalQuery:
    """One request for readings (`POST /sensors/signals/data`, `GET .../signals/{signal_type_moid}/data`).

    None means "not sent": the service's own default holds.

    Attributes:
        key: which signal.
        since: start, UTC unix milliseconds (any moment `to_ms` takes is converted).
        till: end, UTC unix milliseconds; the document does not say whether it is inclusive.
        get_last: get only records with the newest acquisition time for the same capture times.
        delta_t: aggregate time in minutes.
        raw: fetch the raw signal.
        output_unit_id: unit the values are wanted in.
        signal_origin_id: only this origin (1 measured, 2 predicted, 3 calculated, 4 estimated, 5 corrected).
        filters: data filters for complex structures: a mapping or JSON text.
        is_chart: use the expected chart output unit.

    Raises:
        InvalidInputError: a field of the wrong type, or `since` after `till`.
    """

    key: SignalKey = attrs.field(converter=checked_key)
    since: int | float = attrs.field(converter=_since)
    till: int | float = attrs.field(converter=_till)
    get_last: bool | None = attrs.field(default=None, validator=_flag)
    delta_t: int | None = attrs.field(default=None, converter=_delta_t)
    raw: bool | None = attrs.field(default=None, validator=_flag)
    output_unit_id: int | None = attrs.field(default=None, converter=_output_unit_id)
    signal_origin_id: int | None = attrs.field(default=None, converter=_signal_origin_id)
    filters: Mapping[str, JsonValue] | None = attrs.field(default=None, converter=_filters)
    is_chart: bool | None = attrs.field(default=None, validator=_flag)

    def __attrs_post_init__(self) -> None:
        """Refuse a window that ends before it starts."""
        if self.since > self.till:
            raise InvalidInputError("since", self.since, f"after till={self.till}")

    def within(self, since: TimeLike, till: TimeLike) -> Self:
        """Return the same query for another window."""
        return attrs.evolve(self, since=since, till=till)
