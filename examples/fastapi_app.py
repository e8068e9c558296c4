"""A FastAPI application with one client, which reads and writes a few signals.

Serve it with `uvicorn fastapi_app:app`. Run as a script, it calls itself in process and prints the answers.
Against the service: set BESMART_API_KEY, BESMART_LOGIN and BESMART_PASSWORD. Without them: against the simulator.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
from fastapi import FastAPI
from pydantic import BaseModel

from besmart_async import BesmartClient, SignalData, SignalKey
from besmart_async.integrations.fastapi import BesmartDependency, add_error_handlers, besmart_lifespan
from besmart_async.simulator import Simulator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[dict[str, object]]:
    """Without the simulator, `FastAPI(lifespan=besmart_lifespan())` would do."""
    if "BESMART_LOGIN" in os.environ:
        async with besmart_lifespan()(app) as state:
            yield state
        return
    async with Simulator().serve() as base_url:
        credentials = {"BESMART_API_KEY": "API_KEY", "BESMART_LOGIN": "login", "BESMART_PASSWORD": "password"}
        environ = credentials | {"BESMART_BASE_URL": base_url}
        async with besmart_lifespan(lambda: BesmartClient.from_env(environ))(app) as state:
            yield state


app = FastAPI(title="Readings", lifespan=lifespan)
add_error_handlers(app)


class Readings(BaseModel):
    time: list[datetime]
    value: list[float]
    unit: str | None = None


@app.get("/signals/{key}")
async def read(key: str, since: datetime, till: datetime, client: BesmartDependency) -> Readings:
    data = await client.signals.read(SignalKey.parse(key), since, till, get_last=True)
    times = [datetime.fromtimestamp(ms / 1000, UTC) for ms in data.time.tolist()]
    return Readings(time=times, value=data.value.tolist(), unit=data.unit)


@app.put("/signals/{key}", status_code=204)
async def write(key: str, readings: Readings, client: BesmartDependency) -> None:
    data = SignalData(SignalKey.parse(key), readings.time, readings.value, unit=readings.unit)
    await client.signals.write(data)


async def drive() -> None:
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        times = ["2024-03-01T00:00:00Z", "2024-03-01T00:15:00Z"]
        window = {"since": times[0], "till": "2024-03-02T00:00:00Z"}
        answers = [
            await http.put("/signals/12.122.32", json={"time": times, "value": [0.25, 0.5], "unit": "kW.h"}),
            await http.get("/signals/12.122.32", params=window),
            await http.get("/signals/12.122", params=window),
            await http.put("/signals/12.122.32", json={"time": ["2024-03-01T00:00:00"], "value": [1]}),
        ]
    for answer in answers:
        print(answer.request.method, answer.request.url.path, "->", answer.status_code, answer.text)


if __name__ == "__main__":
    asyncio.run(drive())
