"""Requests as they arrive, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

import attrs
import orjson

from besmart_async.simulator.routing.declarations import Route
from besmart_async.simulator.storage.readings import SignalTriple

_KEY = ("client_cid", "sensor_mid", "signal_type_moid")


@attrs.define(kw_only=True, eq=False)
class RecordedRequest:
    """One request as the simulator saw it.

    Attributes:
        method: HTTP method.
        path: The path without the base path.
        query: The raw query string.
        operation: Operation id without `api.endpoints.`, None for an unknown route.
        headers: Header fields, names in lower case.
        at: When it had arrived, UTC unix ms of the simulator's clock.
        body_bytes: Size of the body.
        body: The body itself, only with `keep_bodies`.
        status: The status answered, None while it is worked on and where the connection was aborted.
        applied: The operation was carried out: a write is stored, whatever was answered then.
        finished_at: When the answer had left or the connection was aborted, None while it is worked on.
        faults: How many faults hit it.
    """

    method: str
    path: str
    query: str
    operation: str | None
    headers: Mapping[str, str] = attrs.field(repr=False)
    at: float
    body_bytes: int = 0
    body: bytes | None = attrs.field(default=None, repr=False)
    status: int | None = None
    applied: bool = False
    finished_at: float | None = None
    faults: int = 0


@attrs.define(kw_only=True, eq=False, slots=False)
class Arrival:
    """One request on its way through the service; what a fault's `where` is given."""

    record: RecordedRequest
    route: Route | None
    found: Mapping[str, str]
    body: bytes = attrs.field(repr=False)

    @property
    def method(self) -> str:
        """HTTP method."""
        return self.record.method

    @property
    def path(self) -> str:
        """The path without the base path."""
        return self.record.path

    @property
    def operation(self) -> str | None:
        """Operation id without `api.endpoints.`, None for an unknown route."""
        return self.record.operation

    @property
    def headers(self) -> Mapping[str, str]:
        """Header fields, names in lower case."""
        return self.record.headers

    @cached_property
    def json(self) -> Any:
        """The body's JSON, None if it holds none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @cached_property
    def keys(self) -> frozenset[SignalTriple]:
        """The signals the request names, in its path or in the items of its body."""
        if isinstance(self.json, list):
            items: list[Any] = self.json
        else:
            items = [{name: int(text) for name, text in self.found.items() if text.isdecimal()}]
        named = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
        return frozenset(
            (item[_KEY[0]], item[_KEY[1]], item[_KEY[2]])
            for item in named
            if all(type(item.get(name)) is int for name in _KEY)
        )
