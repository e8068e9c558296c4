"""`client.signals`: signal types, and readings one call at a time. Source: section Signals of the API document.

`client.reader()` and `client.writer()` gather many of these calls into few.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeVar

from besmart_async.errors import DecodeError, InvalidInputError, Response
from besmart_async.models.keys import SignalKey, checked_key
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType
from besmart_async.models.times import TimeLike
from besmart_async.models.values import JsonValue
from besmart_async.wire import codec
from besmart_async.wire.columns import encode_columns, encode_items, encode_queries, item_of
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.operation import Operation, OperationSender
from besmart_async.wire.series import decode_series

T = TypeVar("T")


Version = Literal[1, 2]
"""Version of the operations for readings: 1 is in both dialects, 2 (`/v2`) in the dialect `live` only."""


def bulk_read(
    queries: Sequence[SignalQuery], dialect: Dialect = DOCUMENTED, form: str = "signals.read_bulk"
) -> Operation[list[SignalData]]:
    """Return `POST /sensors/signals/data`: its result is the answer as it came, in no promised order.

    The answer names only the signal, not the window or options: ask for one signal once per call.
    """
    return dialect.operation(
        "signals.read_bulk",
        form=form,
        body=encode_queries(queries, dialect.form(form).item_names),
        replay=True,
        writes=False,
        decode=partial(decode_series, asked=[query.key for query in queries]),
    )


def bulk_reader(
    sender: OperationSender, dialect: Dialect = DOCUMENTED
) -> Callable[[list[SignalQuery]], Awaitable[list[SignalData]]]:
    """Return a function that sends one bulk read, for a reader: the queries are of different signals."""

    def send(queries: list[SignalQuery]) -> Awaitable[list[SignalData]]:
        return sender.send(bulk_read(queries, dialect))

    return send


def bulk_write(body: bytes, dialect: Dialect = DOCUMENTED, form: str = "signals.write_bulk") -> Operation[None]:
    """Return `PUT /sensors/signals/data` with an encoded body (`encode_items`)."""
    return dialect.operation(
        "signals.write_bulk",
        form=form,
        body=body,
        replay=True,
        writes=True,
        decode=codec.acknowledged,
    )


class Signals:
    """Signals and their readings. `None` for an option leaves it to the service."""

    def __init__(self, sender: OperationSender, dialect: Dialect = DOCUMENTED) -> None:
        self._sender = sender
        self._dialect = dialect

    async def types(self) -> list[SignalType]:
        """List the signal types (`GET /sensors/signals/types`)."""
        return await self._sender.send(
            self._dialect.operation(
                "signals.types",
                replay=True,
                writes=False,
                decode=codec.many(SignalType),
            )
        )

    async def read(
        self,
        key: SignalKey,
        since: TimeLike,
        till: TimeLike,
        *,
        get_last: bool | None = None,
        delta_t: int | None = None,
        raw: bool | None = None,
        output_unit_id: int | None = None,
        signal_origin_id: int | None = None,
        filters: Mapping[str, object] | str | None = None,
        is_chart: bool | None = None,
        apply_multiplier: bool | None = None,
        time_series_type: int | None = None,
    ) -> SignalData:
        """Read one signal (`GET /sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data`).

        Args:
            key: which signal.
            since: start, UTC unix ms or an aware datetime.
            till: end; the document does not say whether it is inclusive.
            get_last: get only records with the newest acquisition time for the same capture times.
            delta_t: aggregate time in minutes.
            raw: fetch the raw signal.
            output_unit_id: unit the values are wanted in.
            signal_origin_id: only readings of this origin.
            filters: data filters for complex structures: a mapping or JSON text (dialect `documented` only).
            is_chart: use the expected chart output unit.
            apply_multiplier: apply the signal's multiplier (dialect `live` only).
            time_series_type: kind of time series, 0 to 2 (dialect `live` only).

        Returns:
            The readings; none if there are none.

        Raises:
            InvalidInputError: an argument is refused locally.
            NotFoundError: no such signal.
        """
        asked = SignalQuery(
            checked_key(key),
            since,
            till,
            get_last,
            delta_t,
            raw,
            output_unit_id,
            signal_origin_id,
            filters,
            is_chart,
            apply_multiplier,
            time_series_type,
        )
        return await self._sender.send(
            self._dialect.operation(
                "signals.read",
                {**_path(key), "since": asked.since, "till": asked.till, **asked.options},
                replay=True,
                writes=False,
                decode=lambda response: _the_one(key, response),
            )
        )

    async def write(self, data: SignalData, *, version: Version | None = None) -> None:
        """Write readings of one signal (`PUT /sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data`).

        Cancelling may come too late: the readings may be stored all the same.

        Args:
            data: what to write.
            version: which version of the operation; the dialect's newest by default.

        Raises:
            InvalidInputError: there are no readings.
            UnsupportedOperationError: the client's dialect does not have this version.
            NotFoundError: no such signal.
        """
        key = _with_readings(data).key
        await self._sender.send(
            self._dialect.operation(
                "signals.write",
                {**_path(key), "unit": data.unit},
                form=_form("signals.write", version),
                body=encode_columns(data),
                replay=True,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def read_bulk(self, queries: Iterable[SignalQuery], *, version: Version | None = None) -> list[SignalData]:
        """Read many signals in one call (`POST /sensors/signals/data`).

        Args:
            queries: what to read, each signal once.
            version: which version of the operation; the dialect's newest by default.

        Returns:
            One `SignalData` per query, in query order; `absent` where the service gave no answer for the signal.

        Raises:
            InvalidInputError: not an iterable of queries, or two queries for one signal (answers have only the key).
            UnsupportedOperationError: the client's dialect does not have this version.
            UnprocessableError: the service refuses the queries.
            DecodeError: the service answered twice for one signal.
        """
        form = _form("signals.read_bulk", version)
        asked = _several(queries, "queries", "SignalQuery")
        keys = set[SignalKey]()
        for number, one in enumerate(asked):
            if not isinstance(one, SignalQuery):
                raise InvalidInputError(f"queries[{number}]", one, "give a SignalQuery")
            if one.key in keys:
                problem = "asked for twice in one call, and answers name only the signal; client.reader() does this"
                raise InvalidInputError(f"queries[{number}].key", str(one.key), problem)
            self._dialect.check_query(one, form, f"queries[{number}]")
            keys.add(one.key)
        if not asked:
            return []
        by_key: dict[SignalKey, SignalData] = {}
        answered = await self._sender.send(bulk_read(asked, self._dialect, form))
        for number, data in enumerate(answered):
            if data.key in by_key and data.key in keys:
                raise DecodeError(
                    f"signal {data.key} answered twice", path=f"$[{number}]", operation="signals.read_bulk"
                )
            by_key[data.key] = data
        return [by_key[one.key] if one.key in by_key else SignalData.missing(one.key) for one in asked]

    async def write_bulk(self, items: Iterable[SignalData], *, version: Version | None = None) -> None:
        """Write readings of many signals in one call (`PUT /sensors/signals/data`).

        Cancelling may come too late: the readings may be stored all the same.

        Args:
            items: what to write.
            version: which version of the operation; the dialect's newest by default.

        Raises:
            UnsupportedOperationError: the client's dialect does not have this version.
            InvalidInputError: no iterable of items, none in it, or one without readings.
            UnprocessableError: the service refuses the items; take it that it stored none of them.
            PayloadTooLargeError: too much for one call.
        """
        several = _several(items, "items", "SignalData")
        given = [_with_readings(item, f"items[{number}]") for number, item in enumerate(several)]
        if not given:
            raise InvalidInputError("items", given, "nothing to write")
        body = encode_items(list(map(item_of, given)))
        await self._sender.send(bulk_write(body, self._dialect, _form("signals.write_bulk", version)))


def _form(operation: str, version: Version | None) -> str:
    return operation if version is None else f"{operation}@{version}"


def _path(key: SignalKey) -> dict[str, JsonValue]:
    return {
        "client_cid": key.client_cid,
        "sensor_mid": key.sensor_mid,
        "signal_type_moid": key.signal_type_moid,
    }


def _several(given: Iterable[T], field: str, what: str) -> list[T]:
    try:
        several = iter(given)
    except TypeError:
        raise InvalidInputError(field, given, f"give an iterable of {what}") from None
    return list(several)


def _with_readings(data: SignalData, field: str = "data") -> SignalData:
    if not isinstance(data, SignalData):
        raise InvalidInputError(field, data, "give a SignalData")
    if not len(data):
        raise InvalidInputError(field, data, "no readings to write")
    return data


def _the_one(key: SignalKey, response: Response) -> SignalData:
    answered = decode_series(response, key)
    if not answered:
        return SignalData(key, [], [])
    matching = [data for data in answered if data.key == key]
    if len(matching) != 1:
        keys = ", ".join(str(data.key) for data in answered)
        raise DecodeError(f"asked for {key}, answered for {keys}", response=response)
    return matching[0]
