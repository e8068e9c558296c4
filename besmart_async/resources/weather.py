"""`client.weather`: weather of external providers. Only the dialect `live` has it; source: public material on it.

The answers are assumed to have the form of other readings.
"""

from __future__ import annotations

from besmart_async.errors import DecodeError, Response
from besmart_async.models.checks import checked_degrees, checked_scalar, optional
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.times import TimeLike
from besmart_async.models.values import JsonValue
from besmart_async.wire import codec
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.operation import OperationSender
from besmart_async.wire.series import decode_series

_UNNAMED = 0
"""Stands for an id that neither the question nor the answer names."""


class Weather:
    """Weather, measured and predicted. `None` for an option leaves it to the service."""

    def __init__(self, sender: OperationSender, dialect: Dialect = DOCUMENTED) -> None:
        self._sender = sender
        self._dialect = dialect

    async def find_mid(self, lat: float, lon: float) -> int:
        """Return the `sensor_mid` of the weather for a place (`GET /weather/external/find/mid`; dialect `live` only).

        Args:
            lat: latitude in degrees.
            lon: longitude in degrees.

        Raises:
            InvalidInputError: an argument is refused locally.
            UnsupportedOperationError: the client's dialect is not `live`.
            NotFoundError: there is no weather for the place.
        """
        return await self._sender.send(
            self._dialect.operation(
                "weather.find_mid",
                _place(lat, lon),
                replay=True,
                writes=False,
                decode=codec.found_mid,
            )
        )

    async def read(
        self,
        sensor_mid: int,
        signal_type_moid: int,
        since: TimeLike,
        till: TimeLike,
        *,
        get_last: bool | None = None,
        delta_t: int | None = None,
        raw: bool | None = None,
        output_unit_id: int | None = None,
        signal_origin_id: int | None = None,
        is_chart: bool | None = None,
        variant: int | str | None = None,
    ) -> SignalData:
        """Read the weather of a sensor (`GET /weather/external/{sensor_mid}/signals/{signal_type_moid}/data`; `live`).

        Args:
            sensor_mid: the weather's sensor, see `find_mid`.
            signal_type_moid: what to read, such as the temperature.
            since: start, UTC unix ms or an aware datetime.
            till: its end.
            get_last: get only records with the newest acquisition time for the same capture times.
            delta_t: aggregate time in minutes.
            raw: fetch the raw signal.
            output_unit_id: unit the values are wanted in.
            signal_origin_id: only readings of this origin, such as 2 (predicted).
            is_chart: use the expected chart output unit.
            variant: variant of the weather; what variants there are is not known.

        Returns:
            The readings. An id in its key that the answer does not name is 0.

        Raises:
            InvalidInputError: an argument is refused locally.
            UnsupportedOperationError: the client's dialect is not `live`.
            NotFoundError: no such weather.
        """
        key = SignalKey(_UNNAMED, sensor_mid, signal_type_moid)
        asked = SignalQuery(
            key, since, till, get_last, delta_t, raw, output_unit_id, signal_origin_id, is_chart=is_chart
        )
        place: dict[str, JsonValue] = {"sensor_mid": key.sensor_mid}
        return await self._read("weather.read", asked, place, variant)

    async def read_at(
        self,
        lat: float,
        lon: float,
        signal_type_moid: int,
        since: TimeLike,
        till: TimeLike,
        *,
        get_last: bool | None = None,
        delta_t: int | None = None,
        raw: bool | None = None,
        output_unit_id: int | None = None,
        signal_origin_id: int | None = None,
        is_chart: bool | None = None,
        variant: int | str | None = None,
    ) -> SignalData:
        """Read the weather of a place (`GET /weather/external/{lat}/{lon}/{signal_type_moid}/data`; `live`).

        Args:
            lat: latitude in degrees.
            lon: longitude in degrees.
            signal_type_moid: what to read, such as the temperature.
            since: as in `read`, like the arguments after it.
            till: as above.
            get_last: as above.
            delta_t: as above.
            raw: as above.
            output_unit_id: as above.
            signal_origin_id: as above.
            is_chart: as above.
            variant: as above.

        Returns:
            The readings. An id in its key that the answer does not name is 0.

        Raises:
            InvalidInputError: an argument is refused locally.
            UnsupportedOperationError: the client's dialect is not `live`.
            NotFoundError: there is no weather for the place.
        """
        asked = SignalQuery(
            SignalKey(_UNNAMED, _UNNAMED, signal_type_moid),
            since,
            till,
            get_last,
            delta_t,
            raw,
            output_unit_id,
            signal_origin_id,
            is_chart=is_chart,
        )
        return await self._read("weather.read_at", asked, _place(lat, lon), variant)

    async def _read(
        self, operation: str, asked: SignalQuery, place: dict[str, JsonValue], variant: int | str | None
    ) -> SignalData:
        def decode(response: Response) -> SignalData:
            answered = decode_series(response, asked.key)
            if len(answered) > 1:
                raise DecodeError(f"{len(answered)} signals where one was asked for", response=response)
            return answered[0] if answered else SignalData(asked.key, [], [])

        return await self._sender.send(
            self._dialect.operation(
                operation,
                {
                    **place,
                    "signal_type_moid": asked.key.signal_type_moid,
                    "since": asked.since,
                    "till": asked.till,
                    **asked.options,
                    "variant": optional(checked_scalar, "variant", variant),
                },
                replay=True,
                writes=False,
                decode=decode,
            )
        )


def _place(lat: float, lon: float) -> dict[str, JsonValue]:
    # With a decimal point: common servers do not take `54` for a number in a path.
    return {"lat": float(checked_degrees("lat", lat, 90)), "lon": float(checked_degrees("lon", lon, 180))}
