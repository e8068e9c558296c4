"""One client per aiohttp.web application."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("aiohttp")

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from besmart_async import BesmartClient, BesmartError, SignalKey
from besmart_async.integrations.aiohttp import (
    BESMART_CLIENT,
    BESMART_READER,
    BESMART_WRITER,
    besmart_context,
    besmart_errors,
)
from besmart_async.simulator import Simulator

MakeClient = Callable[[], BesmartClient]


async def sensor_name(request: web.Request) -> web.Response:
    client = request.config_dict[BESMART_CLIENT]
    return web.json_response((await client.sensors.get(1, 1)).name)


def with_route(app: web.Application) -> web.Application:
    app.router.add_get("/name", sensor_name)
    return app


async def test_one_client_serves_every_request(make_client: MakeClient, besmart_simulator: Simulator) -> None:
    app = with_route(web.Application())
    app.cleanup_ctx.append(besmart_context(make_client))
    async with TestClient(TestServer(app)) as http:
        for _ in range(3):
            async with http.get("/name") as answer:
                assert await answer.json() == "sensor name"
    assert besmart_simulator.logins == 1


async def test_the_client_is_closed_at_clean_up(make_client: MakeClient) -> None:
    client = make_client()
    app = web.Application()
    app.cleanup_ctx.append(besmart_context(lambda: client))
    async with TestClient(TestServer(app)):
        assert app[BESMART_CLIENT] is client
        await client.sensors.types()
    with pytest.raises(BesmartError, match="closed"):
        await client.sensors.types()


async def test_a_sub_application_finds_the_client_of_its_parent(make_client: MakeClient) -> None:
    app = web.Application()
    app.cleanup_ctx.append(besmart_context(make_client))
    app.add_subapp("/inner/", with_route(web.Application()))
    async with TestClient(TestServer(app)) as http, http.get("/inner/name") as answer:
        assert await answer.json() == "sensor name"


KEY = SignalKey(1, 1, 32)
T0 = 1_700_006_400_000


async def write(request: web.Request) -> web.Response:
    await request.config_dict[BESMART_WRITER].write(KEY, T0, float(request.query["value"]))
    return web.json_response(None)


async def read(request: web.Request) -> web.Response:
    data = await request.config_dict[BESMART_READER].read(KEY, T0, T0)
    return web.json_response(data.value.tolist())


async def missing(request: web.Request) -> web.Response:
    return web.json_response((await request.config_dict[BESMART_CLIENT].sensors.get(1, 9_999)).name)


def application(make_client: MakeClient) -> web.Application:
    app = web.Application(middlewares=[besmart_errors])
    app.cleanup_ctx.append(besmart_context(make_client))
    app.add_routes([web.get("/write", write), web.get("/read", read), web.get("/missing", missing)])
    return app


async def test_reader_and_writer_of_the_application_serve_its_requests(make_client: MakeClient) -> None:
    async with TestClient(TestServer(application(make_client))) as http, http.get("/write?value=2.5") as answer:
        assert answer.status == 200
    async with TestClient(TestServer(application(make_client))) as http, http.get("/read") as answer:
        assert await answer.json() == [2.5]  # the clean-up of the one before has delivered it


async def test_errors_become_answers(make_client: MakeClient) -> None:
    async with TestClient(TestServer(application(make_client))) as http:
        async with http.get("/missing") as answer:
            assert answer.status == 404
            assert await answer.json() == {"detail": "besmart knows no such resource"}
        async with http.get("/write?value=nan") as answer:
            assert answer.status == 422
            body = await answer.json()
    assert (body["field"], body["outcome"]) == ("value", "not_sent")
