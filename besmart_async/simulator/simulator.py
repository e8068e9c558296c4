"""The embedded simulator as one object: what tests add to it and ask of it, and serving it on a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from besmart_async.simulator.faults import Faults
from besmart_async.simulator.http.requests import RecordedRequest
from besmart_async.simulator.http.server import RunningServer, until_signalled
from besmart_async.simulator.http.service import Service
from besmart_async.simulator.http.tokens import Tokens
from besmart_async.simulator.routing.openapi import openapi
from besmart_async.simulator.routing.router import routes_of
from besmart_async.simulator.settings import Dialect, Settings, wall_clock_ms
from besmart_async.simulator.signal_data import units
from besmart_async.simulator.storage.database import connect
from besmart_async.simulator.storage.readings import ReadingColumns, StoredReading, latest
from besmart_async.simulator.storage.seed import TYPES_ONLY, Seed, fill, signal_type_row
from besmart_async.simulator.storage.store import EntityStore

try:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount, Route, Router
    from starlette.types import ASGIApp
except ModuleNotFoundError as error:
    hint = "the embedded service needs starlette: pip install 'besmart-async[simulator]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

BASE_PATH = "/api"


class Simulator:
    """The service in this process: all operations of a dialect on SQLite, with injectable faults.

    Use `app` with an ASGI transport, or `serve()` for a real socket. Everything happens in the event loop and time
    only passes by the given clock and `asyncio.sleep`, so a loop with virtual time works.

    Args:
        dialect: "documented" serves the operations of the 0.1.5 document, "live" those of the service of today.
        api_key: The value that `X-Auth` must have at a login.
        login: The one user's login.
        password: The one user's password.
        database: A file, or ":memory:". A file that already has data is not seeded again.
        token_lifetime_s: Life of a token in seconds.
        seed: True for the document's examples, False for sensor and signal types only, or what to start with.
        now_ms: The clock, UTC unix milliseconds.
        max_body_bytes: Bodies above this get the front end's 413.
        max_items: Bulk requests of more items get a 422.
        max_readings: Writes of more readings get a 422.
        rotate_on_refresh: A refresh hands out a new token and kills the old one at once.
        oddities: Answer in the document's odd forms, see `Settings`.
        keep_bodies: Keep request bodies in `requests`.
        requests_kept: How many recorded requests are kept.
        on_request: Called with each request when its answer has left, see `Settings`.
        graph_names: The graphs that can be run by name.
        random_seed: Seed of tokens and of the faults' random choices.

    Attributes:
        settings: All settings, also those without an argument; may be changed at any time.
        faults: The injected faults.
        app: The ASGI application: base path `/api`, the OpenAPI document at `/openapi.json`.
    """

    def __init__(
        self,
        *,
        dialect: Dialect = "documented",
        api_key: str = "API_KEY",
        login: str = "login",
        password: str = "password",  # noqa: S107  # the document's own placeholder
        database: str | Path = ":memory:",
        token_lifetime_s: float = 7200.0,
        seed: bool | Seed = True,
        now_ms: Callable[[], float] = wall_clock_ms,
        max_body_bytes: int | None = None,
        max_items: int | None = None,
        max_readings: int | None = None,
        rotate_on_refresh: bool = True,
        oddities: bool = False,
        keep_bodies: bool = False,
        requests_kept: int = 100_000,
        on_request: Callable[[RecordedRequest], object] | None = None,
        graph_names: tuple[str, ...] = ("estimation", "string"),
        random_seed: int = 0,
    ) -> None:
        self.settings = Settings(
            dialect=dialect,
            api_key=api_key,
            login=login,
            password=password,
            token_lifetime_s=token_lifetime_s,
            now_ms=now_ms,
            max_body_bytes=max_body_bytes,
            max_items=max_items,
            max_readings=max_readings,
            rotate_on_refresh=rotate_on_refresh,
            oddities=oddities,
            keep_bodies=keep_bodies,
            requests_kept=requests_kept,
            on_request=on_request,
            seed=random_seed,
        )
        self._store = EntityStore(connect(database))
        if self._store.row("SELECT 1 FROM signal_type LIMIT 1") is None:
            fill(self._store, seed if isinstance(seed, Seed) else _DEFAULT if seed else TYPES_ONLY)
        self._tokens = Tokens(self.settings)
        self.faults = Faults(random_seed)
        self._service = Service(self.settings, self._store, self._tokens, self.faults, set(graph_names))
        self._server: RunningServer | None = None
        self.app: ASGIApp = _application(self._service, lambda: self.openapi)

    # -- serving -----------------------------------------------------------------------------------------------------

    async def start(self, port: int = 0, host: str = "127.0.0.1", *, keep_alive_s: float = 75.0) -> str:
        """Listen on a socket in the running loop.

        Args:
            port: The port, 0 for any free one.
            host: The address.
            keep_alive_s: Idle connections are closed after so many whole seconds.

        Returns:
            The base URL, such as "http://127.0.0.1:8000/api".

        Raises:
            RuntimeError: If it listens already.
            OSError: If the address cannot be used.
        """
        if self._server is not None:
            raise RuntimeError("this simulator is being served already; stop() it first")
        server = RunningServer(self.app, keep_alive_s=keep_alive_s)
        bound = await server.start(host, port)
        self._server = server
        return f"http://{f'[{host}]' if ':' in host else host}:{bound}{BASE_PATH}"

    async def stop(self) -> None:
        """Stop listening at once: connections are aborted, requests under way cancelled. The data stays."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()

    @asynccontextmanager
    async def serve(
        self, port: int = 0, host: str = "127.0.0.1", *, keep_alive_s: float = 75.0
    ) -> AsyncGenerator[str, None]:
        """`start` and `stop` around a block; yields the base URL."""
        base_url = await self.start(port, host, keep_alive_s=keep_alive_s)
        try:
            yield base_url
        finally:
            await self.stop()

    async def run_server(
        self,
        port: int = 8000,
        host: str = "127.0.0.1",
        on_started: Callable[[str], None] | None = None,
    ) -> None:
        """Serve until cancelled, SIGINT or SIGTERM.

        Args:
            port: The port, 0 for any free one.
            host: The address.
            on_started: Called with the base URL once requests are accepted.

        Raises:
            OSError: If the address cannot be used.
        """
        async with self.serve(port, host) as base_url:
            await until_signalled(lambda: on_started(base_url) if on_started is not None else None)

    def close(self) -> None:
        """Close the database. Stop serving before."""
        self._store.connection.close()

    # -- what happened -----------------------------------------------------------------------------------------------

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests that arrived, oldest first, as many as `requests_kept`."""
        return list(self._service.requests)

    def count(self, operation: str) -> int:
        """How many requests of an operation arrived, such as "sensors.post_signals_data"; "" for unknown routes."""
        return self._service.counts[operation.removeprefix("api.endpoints.")]

    @property
    def counts(self) -> dict[str, int]:
        """How many requests arrived, by operation."""
        return dict(self._service.counts)

    @property
    def logins(self) -> int:
        """How many logins succeeded."""
        return self._tokens.logins

    @property
    def refreshes(self) -> int:
        """How many refreshes succeeded."""
        return self._tokens.refreshes

    @property
    def in_flight(self) -> int:
        """How many requests are being served."""
        return self._service.in_flight

    @property
    def peak_in_flight(self) -> int:
        """How many requests were served at one time, at most."""
        return self._service.peak_in_flight

    @property
    def graph_runs(self) -> list[dict[str, object]]:
        """The graphs that were run: their parameters, and the `graph` or the `parameters` given."""
        return list(self._service.runs)

    def forget_requests(self) -> None:
        """Empty the record of requests and set its counters, logins and refreshes included, to zero."""
        self._service.requests.clear()
        self._service.counts.clear()
        self._service.runs.clear()
        self._service.peak_in_flight = self._service.in_flight
        self._tokens.logins = self._tokens.refreshes = 0

    # -- what is stored ----------------------------------------------------------------------------------------------

    def stored(self, client_cid: int, sensor_mid: int, signal_type_moid: int) -> list[StoredReading]:
        """Every acquisition of a signal, in the order of application, values in the unit of the signal type."""
        return self._store.readings.stored((client_cid, sensor_mid, signal_type_moid))

    def latest(self, client_cid: int, sensor_mid: int, signal_type_moid: int) -> list[StoredReading]:
        """One row per (time, origin), the newest, ordered by time; deleted readings are left out."""
        return latest(self.stored(client_cid, sensor_mid, signal_type_moid))

    def stored_count(self) -> int:
        """How many acquisitions are stored over all signals."""
        return self._store.readings.count()

    # -- adding data past the API --------------------------------------------------------------------------------------
    # These methods check nothing that a request would have to obey.

    def add_sensor_type(self, sensor_type_id: int, name: str, description: str = "") -> int:
        """Add a sensor type and return its id."""
        row = {"id": sensor_type_id, "name": name, "description": description}
        self._store.insert("sensor_type", {**row, "sensor_state_custom_fields": "{}", "sensor_custom_fields": "{}"})
        return sensor_type_id

    def add_signal_type(
        self,
        signal_type_moid: int,
        symbol: str,
        *,
        unit: str = "kW.h",
        incremental: bool = False,
        description: str = "",
        obis: str | None = None,
        chart_unit: str | None = None,
    ) -> int:
        """Add a signal type and return its moid."""
        row = signal_type_row(
            signal_type_moid, symbol, incremental, description, units.BY_SYMBOL[unit].unit_id, obis, chart_unit
        )
        self._store.insert("signal_type", row)
        return signal_type_moid

    def add_sensor(
        self,
        client_cid: int,
        sensor_mid: int | None = None,
        *,
        name: str | None = None,
        sensor_type_id: int = 2,
        sensor_eid: str | None = None,
    ) -> tuple[int, int]:
        """Add a sensor, by default with the client's next `sensor_mid`; return (client_cid, sensor_mid)."""
        row = {"name": name or "meter", "sensor_type_id": sensor_type_id, "sensor_eid": sensor_eid}
        return client_cid, self._store.add_sensor(client_cid, sensor_mid, row)

    def add_sensors(self, client_cid: int, sensor_mids: Iterable[int]) -> None:
        """Add many sensors at once."""
        for sensor_mid in sensor_mids:
            self.add_sensor(client_cid, sensor_mid)

    def add_meter_type(
        self, client_cid: int, meter_type_id: int, name: str, *, phases: int = 3, is_ami: bool = True
    ) -> int:
        """Add a meter type and return its id."""
        row = {"client_cid": client_cid, "id": meter_type_id, "meter_type_name": name}
        self._store.insert("meter_type", {**row, "number_of_phases": phases, "is_ami": is_ami})
        return meter_type_id

    def add_sensor_state(
        self,
        client_cid: int,
        sensor_mid: int,
        since: int,
        till: int | None = None,
        *,
        meter_eid: str | None = None,
        meter_type_name: str | None = None,
        info: str | None = None,
    ) -> int:
        """Add a sensor state and return its id."""
        row = {"client_cid": client_cid, "sensor_mid": sensor_mid, "since": since, "till": till, "info": info}
        return self._store.insert("sensor_state", {**row, "meter_eid": meter_eid, "meter_type_name": meter_type_name})

    def add_readings(
        self,
        client_cid: int,
        sensor_mid: int,
        signal_type_moid: int,
        time: Sequence[float],
        value: Sequence[Any],
        *,
        kind: str = "DBL",
        origin: int = 1,
    ) -> None:
        """Store readings of one signal in the unit of its type, acquired now."""
        count = len(time)
        columns = ReadingColumns(list(time), list(value), [kind] * count, [origin] * count)
        self._store.readings.append((client_cid, sensor_mid, signal_type_moid), columns, self.settings.now_ms())

    def forget_replaced(self) -> None:
        """Drop every acquisition but the newest of each reading, so that a long run needs no more memory."""
        self._store.readings.forget_replaced()

    # -- sessions ----------------------------------------------------------------------------------------------------

    def issue_token(self) -> str:
        """A valid token without a login."""
        return self._tokens.issue()[0]

    def revoke_tokens(self) -> None:
        """Forget all tokens: every one of them is a 401 from now on."""
        self._tokens.revoke()

    def expire_tokens(self) -> None:
        """Let all tokens expire now."""
        self._tokens.expire()

    @property
    def token_lifetime_s(self) -> float:
        """Life in seconds of tokens issued from now on."""
        return self.settings.token_lifetime_s

    @token_lifetime_s.setter
    def token_lifetime_s(self, seconds: float) -> None:
        self.settings.token_lifetime_s = seconds

    @property
    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document of the service as it is set."""
        choices = {
            "sensor_type_id": [row["id"] for row in self._store.rows("SELECT id FROM sensor_type ORDER BY id")],
            "output_unit_id": list(units.BY_ID),
            "unit": list(units.BY_SYMBOL),
        }
        return openapi(routes_of(self.settings.dialect), self.settings, choices)


_DEFAULT = Seed()


def _application(service: Service, published: Callable[[], dict[str, Any]]) -> Router:
    async def document(_: Request) -> Response:
        content = orjson.dumps(published())
        return Response(content, media_type="application/json")

    routes = [
        Route("/openapi.json", document),
        Route(f"{BASE_PATH}/openapi.json", document),
        Mount(BASE_PATH, app=service),
    ]
    # A bare Router: Starlette's own middleware would turn a reset connection into a 500.
    return Router(routes, redirect_slashes=False, default=service)
