"""One client per aiohttp.web application."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("aiohttp")

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from besmart_async import BesmartClient, BesmartError
from besmart_async.integrations.aiohttp import BESMART_CLIENT, besmart_context
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
