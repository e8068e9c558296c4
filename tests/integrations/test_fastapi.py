"""One client per application, and what its errors mean to the application's callers."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI, WebSocket
from fastapi.requests import HTTPConnection
from fastapi.responses import JSONResponse

from besmart_async import (
    ApiError,
    AuthenticationError,
    BatchPolicy,
    BesmartClient,
    BesmartConfigError,
    BesmartError,
    ConflictError,
    ConnectError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    Response,
    ServerError,
    SignalData,
    SignalKey,
    UndeliveredError,
    UnprocessableError,
    Writer,
)
from besmart_async.integrations.fastapi import (
    BesmartDependency,
    ReaderDependency,
    WriterDependency,
    add_error_handlers,
    answer_to,
    besmart_lifespan,
    client_of,
    reader_of,
    writer_of,
)
from besmart_async.simulator import Fault, Simulator

MakeClient = Callable[[], BesmartClient]


def api_error(kind: type[ApiError], status: int, **more: Any) -> ApiError:
    return kind(status, "token sesame is bad", "sensors.get", Response(status, {}, b"sesame"), **more)


class Served:
    """A started application; what starts applications puts the lifespan's state into every scope."""

    def __init__(self, app: FastAPI, state: dict[str, Any]) -> None:
        self.app = app
        self.state = state

    async def get(self, path: str) -> httpx.Response:
        async def stated(scope: Any, receive: Any, send: Any) -> None:
            await self.app({**scope, "state": dict(self.state)}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(stated), base_url="http://app") as http:
            return await http.get(path)

    async def websocket(self, path: str) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []
        scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": []}

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app({**scope, "subprotocols": [], "state": dict(self.state)}, receive, send)
        return sent


@asynccontextmanager
async def started(app: FastAPI) -> AsyncGenerator[Served]:
    async with app.router.lifespan_context(app) as state:
        yield Served(app, dict(state or {}))


def with_sensor_route(app: FastAPI) -> FastAPI:
    @app.get("/sensors/{client_cid}/{sensor_mid}")
    async def sensor(client_cid: int, sensor_mid: int, client: BesmartDependency) -> dict[str, object]:
        return {"name": (await client.sensors.get(client_cid, sensor_mid)).name, "client": id(client)}

    return app


async def test_one_client_serves_every_request_and_logs_in_once(
    make_client: MakeClient, besmart_simulator: Simulator
) -> None:
    made: list[BesmartClient] = []

    def make() -> BesmartClient:
        made.append(make_client())
        return made[-1]

    app = with_sensor_route(FastAPI(lifespan=besmart_lifespan(make)))
    assert made == []
    async with started(app) as served:
        answers = [(await served.get("/sensors/1/1")).json() for _ in range(3)]
    assert [answer["name"] for answer in answers] == ["sensor name"] * 3
    assert {answer["client"] for answer in answers} == {id(one) for one in made}
    assert besmart_simulator.logins == 1


async def test_the_client_is_closed_at_shutdown(make_client: MakeClient) -> None:
    client = make_client()
    async with started(FastAPI(lifespan=besmart_lifespan(lambda: client))):
        await client.sensors.types()
    with pytest.raises(BesmartError, match="closed"):
        await client.sensors.types()


async def test_the_client_is_closed_when_the_application_fails(make_client: MakeClient) -> None:
    client = make_client()
    with pytest.raises(ZeroDivisionError):
        async with started(FastAPI(lifespan=besmart_lifespan(lambda: client))):
            raise ZeroDivisionError
    with pytest.raises(BesmartError, match="closed"):
        await client.sensors.types()


async def test_each_application_has_its_own_client(make_client: MakeClient) -> None:
    one, other = (with_sensor_route(FastAPI(lifespan=besmart_lifespan(make_client))) for _ in range(2))
    async with started(one) as first, started(other) as second:
        clients = [(await served.get("/sensors/1/1")).json()["client"] for served in (first, second)]
    assert len(set(clients)) == 2


async def test_an_application_can_be_started_again(make_client: MakeClient) -> None:
    app = with_sensor_route(FastAPI(lifespan=besmart_lifespan(make_client)))
    for _ in range(2):
        async with started(app) as served:
            assert (await served.get("/sensors/1/1")).status_code == 200


async def test_a_mounted_application_finds_the_client_of_its_parent(make_client: MakeClient) -> None:
    app = FastAPI(lifespan=besmart_lifespan(make_client))
    app.mount("/inner", with_sensor_route(FastAPI()))
    async with started(app) as served:
        assert (await served.get("/inner/sensors/1/1")).json()["name"] == "sensor name"


async def test_it_fits_into_a_lifespan_of_the_applications_own(make_client: MakeClient) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, object]]:
        async with besmart_lifespan(make_client)(app) as state:
            yield {**state, "more": 1}

    app = with_sensor_route(FastAPI(lifespan=lifespan))
    async with started(app) as served:
        assert served.state["more"] == 1
        assert (await served.get("/sensors/1/1")).status_code == 200


async def test_a_server_that_keeps_no_lifespan_state_will_do(make_client: MakeClient) -> None:
    app = with_sensor_route(FastAPI(lifespan=besmart_lifespan(make_client)))
    async with started(app) as served:
        served.state.clear()
        assert (await served.get("/sensors/1/1")).status_code == 200


async def test_a_websocket_has_the_client_too(make_client: MakeClient) -> None:
    app = FastAPI(lifespan=besmart_lifespan(make_client))

    @app.websocket("/names")
    async def names(websocket: WebSocket, client: BesmartDependency) -> None:
        await websocket.accept()
        await websocket.send_text((await client.sensors.get(1, 1)).name or "")
        await websocket.close()

    async with started(app) as served:
        sent = await served.websocket("/names")
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]
    assert sent[1]["text"] == "sensor name"


async def test_a_test_may_override_the_dependency(make_client: MakeClient) -> None:
    app = with_sensor_route(FastAPI())
    app.dependency_overrides[client_of] = make_client
    assert (await Served(app, {}).get("/sensors/1/1")).status_code == 200


def test_without_a_client_the_error_says_what_to_do() -> None:
    connection = HTTPConnection({"type": "http", "app": FastAPI()})
    with pytest.raises(BesmartConfigError, match=r"lifespan=besmart_lifespan\(\)"):
        client_of(connection)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInputError("time[3]", "sesame", "give UTC unix milliseconds"), 422),
        (api_error(NotFoundError, 404), 404),
        (api_error(ConflictError, 409), 409),
        (api_error(PayloadTooLargeError, 413), 413),
        (api_error(UnprocessableError, 422), 422),
        (api_error(AuthenticationError, 401), 502),
        (api_error(PermissionDeniedError, 403), 502),
        (api_error(ServerError, 500), 502),
        (api_error(ApiError, 418), 502),
        (api_error(RateLimitError, 429), 503),
        (api_error(ServerError, 503), 503),
        (api_error(ServerError, 504), 504),
        (ConnectError("sesame"), 503),
        (RequestTimeoutError("sesame"), 504),
        (ProtocolError("sesame"), 502),
        (DecodeError("sesame"), 502),
        (BesmartConfigError("sesame"), 500),
        (BesmartError("sesame"), 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_every_error_has_an_answer_that_tells_nothing_of_its_text(error: BesmartError, status: int) -> None:
    answer = answer_to(error)
    assert answer.status_code == status
    assert b"sesame" not in bytes(answer.body)
    assert json.loads(bytes(answer.body))["detail"]


def test_an_answer_says_what_became_of_a_write() -> None:
    body = json.loads(bytes(answer_to(api_error(ServerError, 500, outcome="in_doubt")).body))
    assert body == {"detail": "besmart failed", "outcome": "in_doubt"}
    assert json.loads(bytes(answer_to(InvalidInputError("value[3]", 1, "")).body))["detail"] == "value[3]: not valid"


def test_a_busy_service_tells_when_to_come_back() -> None:
    assert answer_to(api_error(RateLimitError, 429, retry_after_s=1.2)).headers["retry-after"] == "2"
    assert answer_to(api_error(ServerError, 503, retry_after_s=0.0)).headers["retry-after"] == "0"
    assert "retry-after" not in answer_to(api_error(RateLimitError, 429)).headers


async def test_an_application_answers_with_them(
    make_client: MakeClient, besmart_simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    app = with_sensor_route(FastAPI(lifespan=besmart_lifespan(make_client)))
    add_error_handlers(app)
    async with started(app) as served:
        with caplog.at_level(logging.ERROR, "besmart_async"):
            missing = await served.get("/sensors/1/999")
        assert (missing.status_code, caplog.records) == (404, [])
        besmart_simulator.faults.add(Fault(status=500))
        with caplog.at_level(logging.ERROR, "besmart_async"):
            failed = await served.get("/sensors/1/1")
    assert failed.status_code == 502
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_handler_of_ones_own_goes_first(make_client: MakeClient) -> None:
    app = with_sensor_route(FastAPI(lifespan=besmart_lifespan(make_client)))
    add_error_handlers(app)

    @app.exception_handler(NotFoundError)
    async def gone(_: object, error: NotFoundError) -> JSONResponse:
        return JSONResponse({"operation": error.operation}, 410)

    async with started(app) as served:
        assert (await served.get("/sensors/1/999")).json() == {"operation": "sensors.get"}


@pytest.mark.parametrize(
    ("error", "code"),
    [(InvalidInputError("ä" * 200, 1, ""), 1008), (ConnectError("sesame"), 1011)],
)
async def test_a_websocket_is_closed_with_a_code_and_a_short_reason(error: BesmartError, code: int) -> None:
    app = FastAPI()
    add_error_handlers(app)

    @app.websocket("/")
    async def fail(websocket: WebSocket) -> None:
        await websocket.accept()
        raise error

    closed = (await Served(app, {}).websocket("/"))[-1]
    assert (closed["type"], closed["code"]) == ("websocket.close", code)
    assert len(closed["reason"].encode()) <= 123


async def test_the_key_of_a_signal_that_a_caller_got_wrong_is_a_422() -> None:
    app = FastAPI()
    add_error_handlers(app)

    @app.get("/{key}")
    async def parse(key: str) -> str:
        return str(SignalKey.parse(key))

    assert (await Served(app, {}).get("/1.2")).status_code == 422


# -- reader and writer -----------------------------------------------------------------------------------------------

KEY = SignalKey(1, 1, 32)
T0 = 1_700_006_400_000


def with_readings_routes(app: FastAPI) -> FastAPI:
    @app.get("/last")
    async def last(reader: ReaderDependency) -> list[float]:
        data: list[float] = (await reader.read(KEY, T0, T0 + 1_000)).value.tolist()
        return data

    @app.get("/write")
    async def write(writer: WriterDependency) -> int:
        await writer.write(KEY, T0, 1.5)
        return writer.report.pending

    @app.get("/webhook")
    async def webhook(value: str, writer: WriterDependency) -> int:
        values = [float(each) for each in value.split(",")]
        items = (SignalData(KEY, [T0 + row], [each]) for row, each in enumerate(values))
        return len(await writer.write_many(items))

    return app


async def test_reader_and_writer_of_the_application_serve_its_requests(make_client: MakeClient) -> None:
    app = with_readings_routes(FastAPI(lifespan=besmart_lifespan(make_client)))
    async with started(app) as served:
        assert (await served.get("/write")).json() == 1
    async with started(app) as served:  # the shutdown has delivered it
        assert (await served.get("/last")).json() == [1.5]


async def test_a_bad_item_of_a_webhook_is_named_by_index_and_reason(make_client: MakeClient) -> None:
    app = with_readings_routes(FastAPI(lifespan=besmart_lifespan(make_client)))
    add_error_handlers(app)
    async with started(app) as served:
        assert (await served.get("/webhook?value=1,2,3")).json() == 3
        answer = await served.get("/webhook?value=1,nan,3")
    assert answer.status_code == 422
    body = answer.json()
    assert (body["field"], body["outcome"]) == ("items[1].value[0]", "not_sent")
    assert "NaN" in body["problem"]


def unreachable() -> BesmartClient:
    return BesmartClient(token="t", base_url="http://127.0.0.1:1/api")


async def test_a_shutdown_with_the_service_down_and_a_journal_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def journaled(client: BesmartClient) -> Writer:
        return client.writer(BatchPolicy(close_timeout_s=0.05), journal=tmp_path / "journal")

    app = with_readings_routes(FastAPI(lifespan=besmart_lifespan(unreachable, make_writer=journaled)))
    async with started(app) as served:
        assert (await served.get("/write")).json() == 1
    assert "1 readings stay in the journal" in caplog.text


async def test_a_shutdown_that_loses_readings_fails() -> None:
    def impatient(client: BesmartClient) -> Writer:
        return client.writer(BatchPolicy(close_timeout_s=0.05))

    app = with_readings_routes(FastAPI(lifespan=besmart_lifespan(unreachable, make_writer=impatient)))
    with pytest.raises(UndeliveredError, match="1 "):
        async with started(app) as served:
            await served.get("/write")


def test_without_a_writer_the_error_says_what_to_do() -> None:
    connection = HTTPConnection({"type": "http", "app": FastAPI(), "state": {}})
    with pytest.raises(BesmartConfigError, match="no writer: start it with"):
        writer_of(connection)
    with pytest.raises(BesmartConfigError, match="no reader: start it with"):
        reader_of(connection)
