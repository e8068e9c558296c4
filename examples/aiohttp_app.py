"""An aiohttp application with one client. Run as a script, it calls itself and prints the answer.

Against the service: set BESMART_API_KEY, BESMART_LOGIN and BESMART_PASSWORD. Without them: against the simulator.
"""

import asyncio
import os

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from besmart_async import BesmartClient
from besmart_async.integrations.aiohttp import BESMART_CLIENT, besmart_context
from besmart_async.simulator import Simulator


async def signal_types(request: web.Request) -> web.Response:
    types = await request.config_dict[BESMART_CLIENT].signals.types()
    return web.json_response({one.signal_type_moid: one.symbol for one in types})


def make_app(environ: dict[str, str]) -> web.Application:
    app = web.Application()
    app.cleanup_ctx.append(besmart_context(lambda: BesmartClient.from_env(environ)))
    app.router.add_get("/signal-types", signal_types)
    return app


async def drive(environ: dict[str, str]) -> None:
    async with TestClient(TestServer(make_app(environ))) as http, http.get("/signal-types") as answer:
        print(answer.status, await answer.text())


async def main() -> None:
    if "BESMART_LOGIN" in os.environ:
        await drive(dict(os.environ))
        return
    async with Simulator().serve() as base_url:
        credentials = {"BESMART_API_KEY": "API_KEY", "BESMART_LOGIN": "login", "BESMART_PASSWORD": "password"}
        await drive(credentials | {"BESMART_BASE_URL": base_url})


asyncio.run(main())
