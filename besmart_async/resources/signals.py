"""`client.signals`: signal types, and readings one call at a time. Source: section Signals of the API document.

`client.reader()` and `client.writer()` gather many of these calls into few.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from besmart_async.errors import DecodeError, InvalidInputError, Response
from besmart_async.models.keys import SignalKey, checked_key
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType
from besmart_async.models.times import TimeLike
from besmart_async.wire import codec
from besmart_async.wire.columns import encode_columns, encode_items, encode_queries, item_of
from besmart_async.wire.operation import Operation, OperationSender
from besmart_async.wire.parameters import query
from besmart_async.wire.series import decode_series

T = TypeVar("T")


def bulk_read(queries: Sequence[SignalQuery]) -> Operation[list[SignalData]]:
    """Return `POST /sensors/signals/data`: its result is the answer as it came, in no promised order.

    The answer names only the signal, not the window or options: ask for one signal once per call.
    """
    return Operation(
        name="signals.read_bulk",
        method="POST",
        path="/sensors/signals/data",
        body=encode_queries(queries),
        content_type="application/json",
        replay=True,
        writes=False,
        decode=partial(decode_series, asked=[query.key for query in queries]),
    )


def bulk_reader(sender: OperationSender) -> Callable[[list[SignalQuery]], Awaitable[list[SignalData]]]:
    """Return a function that sends one bulk read, for a reader: the queries are of different signals."""

    def send(queries: list[SignalQuery]) -> Awaitable[list[SignalData]]:
        return sender.send(bulk_read(queries))

    return send


def bulk_write(body: bytes) -> Operation[None]:
    """Return `PUT /sensors/signals/data` with an encoded body (`encode_items`)."""
    return Operation(
        name="signals.write_bulk",
        method="PUT",
        path="/sensors/signals/data",
        body=body,
        content_type="application/json",
        replay=True,
        writes=True,
        decode=codec.acknowledged,
    )


class Signals:
    """Signals and their readings. `None` for an option leaves it to the service."""

    def __init__(self, sender: OperationSender) -> None:
        self._sender = sender

    async def types(self) -> list[SignalType]:
        """List the signal types (`GET /sensors/signals/types`)."""
        return await self._sender.send(
            Operation(
                name="signals.types",
                method="GET",
                path="/sensors/signals/types",
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
            filters: data filters for complex structures: a mapping or JSON text.
            is_chart: use the expected chart output unit.

        Returns:
            The readings; none if there are none.

        Raises:
            InvalidInputError: an argument is refused locally.
            NotFoundError: no such signal.
        """
        asked = SignalQuery(
            checked_key(key), since, till, get_last, delta_t, raw, output_unit_id, signal_origin_id, filters, is_chart
        )
        return await self._sender.send(
            Operation(
                name="signals.read",
                method="GET",
                path="/sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data",
                path_params=_path(key),
                query=query(
                    ("since", asked.since),
                    ("till", asked.till),
                    ("get_last", asked.get_last),
                    ("delta_t", asked.delta_t),
                    ("raw", asked.raw),
                    ("output_unit_id", asked.output_unit_id),
                    ("signal_origin_id", asked.signal_origin_id),
                    ("filters", asked.filters),
                    ("is_chart", asked.is_chart),
                ),
                replay=True,
                writes=False,
                decode=lambda response: _the_one(key, response),
            )
        )

    async def write(self, data: SignalData) -> None:
        """Write readings of one signal (`PUT /sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data`).

        Cancelling may come too late: the readings may be stored all the same.

        Raises:
            InvalidInputError: there are no readings.
            NotFoundError: no such signal.
        """
        key = _with_readings(data).key
        await self._sender.send(
            Operation(
                name="signals.write",
                method="PUT",
                path="/sensors/{client_cid}.{sensor_mid}/signals/{signal_type_moid}/data",
                path_params=_path(key),
                query=query(("unit", data.unit)),
                body=encode_columns(data),
                content_type="application/json",
                replay=True,
                writes=True,
                decode=codec.acknowledged,
            )
        )

    async def read_bulk(self, queries: Iterable[SignalQuery]) -> list[SignalData]:
        """Read many signals in one call (`POST /sensors/signals/data`).

        Returns:
            One `SignalData` per query, in query order; `absent` where the service gave no answer for the signal.

        Raises:
            InvalidInputError: not an iterable of queries, or two queries for one signal (answers have only the key).
            UnprocessableError: the service refuses the queries.
            DecodeError: the service answered twice for one signal.
        """
        asked = _several(queries, "queries", "SignalQuery")
        keys = set[SignalKey]()
        for number, one in enumerate(asked):
            if not isinstance(one, SignalQuery):
                raise InvalidInputError(f"queries[{number}]", one, "give a SignalQuery")
            if one.key in keys:
                problem = "asked for twice in one call, and answers name only the signal; client.reader() does this"
                raise InvalidInputError(f"queries[{number}].key", str(one.key), problem)
            keys.add(one.key)
        if not asked:
            return []
        by_key: dict[SignalKey, SignalData] = {}
        answered = await self._sender.send(bulk_read(asked))
        for number, data in enumerate(answered):
            if data.key in by_key and data.key in keys:
                raise DecodeError(
                    f"signal {data.key} answered twice", path=f"$[{number}]", operation="signals.read_bulk"
                )
            by_key[data.key] = data
        return [by_key[one.key] if one.key in by_key else SignalData.missing(one.key) for one in asked]

    async def write_bulk(self, items: Iterable[SignalData]) -> None:
        """Write readings of many signals in one call (`PUT /sensors/signals/data`).

        Cancelling may come too late: the readings may be stored all the same.

        Raises:
            InvalidInputError: no iterable of items, none in it, or one without readings.
            UnprocessableError: the service refuses the items; take it that it stored none of them.
            PayloadTooLargeError: too much for one call.
        """
        several = _several(items, "items", "SignalData")
        given = [_with_readings(item, f"items[{number}]") for number, item in enumerate(several)]
        if not given:
            raise InvalidInputError("items", given, "nothing to write")
        await self._sender.send(bulk_write(encode_items(list(map(item_of, given)))))


def _path(key: SignalKey) -> dict[str, int]:
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
