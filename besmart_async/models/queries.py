"""`SignalQuery`: which readings to read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Self

import attrs

from besmart_async.errors import InvalidInputError
from besmart_async.models.checks import checked_flag, checked_object
from besmart_async.models.keys import SignalKey, checked_id, checked_key
from besmart_async.models.times import TimeLike, to_ms
from besmart_async.models.values import JsonValue


def _delta_t(field: str, value: object) -> int:
    minutes = checked_id(field, value)
    if minutes == 0:
        raise InvalidInputError(field, value, "give whole minutes of at least 1")
    return minutes


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "get_last": checked_flag,
    "delta_t": _delta_t,
    "raw": checked_flag,
    "output_unit_id": checked_id,
    "signal_origin_id": checked_id,
    "filters": checked_object,
    "is_chart": checked_flag,
    "apply_multiplier": checked_flag,
    "time_series_type": checked_id,
}
_OPTIONS = tuple(_CHECKS)
_options = attrgetter(*_OPTIONS)
_NO_OPTIONS = (None,) * len(_OPTIONS)


@attrs.frozen(init=False)
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
        output_unit_id: unit of the returned values.
        signal_origin_id: only this origin (1 measured, 2 predicted, 3 calculated, 4 estimated, 5 corrected).
        filters: data filters for complex structures: a mapping or JSON text.
        is_chart: use the expected chart output unit.
        apply_multiplier: apply the signal's multiplier (dialect `live` only).
        time_series_type: kind of time series, 0 to 2 (dialect `live`, reading one signal only).

    Raises:
        InvalidInputError: a field of the wrong type, or `since` after `till`.
    """

    key: SignalKey
    since: int | float
    till: int | float
    get_last: bool | None = None
    delta_t: int | None = None
    raw: bool | None = None
    output_unit_id: int | None = None
    signal_origin_id: int | None = None
    filters: Mapping[str, JsonValue] | None = None
    is_chart: bool | None = None
    apply_multiplier: bool | None = None
    time_series_type: int | None = None

    def __init__(
        self,
        key: SignalKey,
        since: TimeLike,
        till: TimeLike,
        get_last: bool | None = None,
        delta_t: int | None = None,
        raw: bool | None = None,
        output_unit_id: int | None = None,
        signal_origin_id: int | None = None,
        filters: Mapping[str, object] | str | None = None,
        is_chart: bool | None = None,
        apply_multiplier: bool | None = None,
        time_series_type: int | None = None,
    ) -> None:
        """Check all arguments, without attrs: it would call a function for each optional field."""
        key, since, till = checked_key(key), to_ms(since, "since"), to_ms(till, "till")
        if since > till:
            raise InvalidInputError("since", since, f"after till={till}")
        given = (
            get_last, delta_t, raw, output_unit_id, signal_origin_id, filters, is_chart, apply_multiplier,
            time_series_type,
        )  # fmt: skip
        none = get_last is delta_t is raw is output_unit_id is signal_origin_id is is_chart is apply_multiplier is None
        if none and time_series_type is None is filters:
            self.__attrs_init__(key, since, till)  # pyright: ignore[reportAttributeAccessIssue]
            return
        checks = zip(_CHECKS.items(), given, strict=True)
        options = [None if value is None else check(name, value) for (name, check), value in checks]
        self.__attrs_init__(key, since, till, *options)  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def options(self) -> dict[str, JsonValue]:
        """The options that are given, by name."""
        options = _options(self)
        if options == _NO_OPTIONS:
            return {}
        return {name: value for name, value in zip(_OPTIONS, options, strict=True) if value is not None}

    def within(self, since: TimeLike, till: TimeLike) -> Self:
        """Return the same query for another window."""
        return attrs.evolve(self, since=since, till=till)


def checked_query(field: str, value: object) -> SignalQuery:
    """Return `value` if it is a `SignalQuery`.

    Raises:
        InvalidInputError: it is anything else.
    """
    if isinstance(value, SignalQuery):
        return value
    raise InvalidInputError(field, value, "give SignalQuery(key, since, till, ...)")
