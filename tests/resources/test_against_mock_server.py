"""All operations of both dialects against a mock server that someone else's tool makes of a description.

The document becomes an OpenAPI description mechanically (`tests/openapi.py`); the description of the live service is
written by hand from public material (`tests/data/besmart-live.yaml`). openapi-spec-validator checks them, and connexion
serves them: it validates every request strictly and answers with the description's examples.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn
from openapi_spec_validator import validate

from besmart_async import BesmartClient
from besmart_async.wire.dialect import DialectName
from tests import document, live_openapi
from tests.openapi import openapi
from tests.resources.calls import CALLS, Call, elements
from tests.resources.live_calls import LIVE_CALLS

with warnings.catch_warnings():
    # Importing connexion imports starlette's and jsonschema's deprecated parts, each with a warning class of its own.
    warnings.simplefilter("ignore")
    import connexion
    from connexion.mock import MockResolver

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:connexion.*",  # jsonschema.RefResolver, which connexion 3 still uses
    "ignore::DeprecationWarning:jsonschema.*",  # as above
)


DESCRIPTIONS = {"documented": openapi, "live": live_openapi.description}
EVERY_CALL: dict[str, tuple[Call, ...]] = {"documented": CALLS, "live": LIVE_CALLS}
APPS: dict[str, Any] = {}


def app_of(dialect: DialectName) -> connexion.AsyncApp:
    """The server of a description; it takes a second to make, so it is made once."""
    if dialect not in APPS:
        app = APPS[dialect] = connexion.AsyncApp(f"{__name__}.{dialect}", specification_dir=".")
        resolver = MockResolver(mock_all=True)
        app.add_api(DESCRIPTIONS[dialect](), resolver=resolver, strict_validation=True, validate_responses=False)
    return APPS[dialect]


@pytest.fixture(params=["documented", "live"])
def dialect(request: pytest.FixtureRequest) -> DialectName:
    name: DialectName = request.param
    return name


@pytest.fixture
async def base_url(dialect: DialectName) -> AsyncIterator[str]:
    app = app_of(dialect)
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="on")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    async with _running(server):
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/api"


@contextlib.asynccontextmanager
async def _running(server: uvicorn.Server) -> AsyncIterator[None]:
    serving = asyncio.ensure_future(server._serve())
    while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event to wait for
        await asyncio.sleep(0.001)
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def test_the_description_is_a_valid_openapi_document() -> None:
    validate(openapi())
    described = [operation for path in openapi()["paths"].values() for operation in path.values()]
    assert len(described) == len(document.operations()) == 26


def test_the_description_of_the_live_service_is_a_valid_openapi_document() -> None:
    validate(live_openapi.description())
    assert len(live_openapi.live_operations()) == 32


async def test_all_operations_are_accepted_and_their_answers_typed(base_url: str, dialect: DialectName) -> None:
    async with BesmartClient(
        api_key="API_KEY", login="login", password="password", base_url=base_url, dialect=dialect
    ) as client:
        results = {call.id: elements(await call.of(client)) for call in EVERY_CALL[dialect]}
    assert {operation: {type(one) for one in result} for operation, result in results.items()} == {
        call.id: {call.result} for call in EVERY_CALL[dialect]
    }


@pytest.mark.parametrize(
    ("dialect", "call"),
    [
        pytest.param(dialect, call, id=f"{dialect}-{call.id}")
        for dialect, calls in EVERY_CALL.items()
        for call in calls
        if call.arguments
    ],
)
async def test_the_mock_server_refuses_what_the_document_does_not_have(base_url: str, call: Call) -> None:
    """Proves that the server above does validate: the same request with an undocumented parameter is a 400."""
    ids = {"client_cid": 1, "sensor_mid": 1, "signal_type_moid": 1, "sensor_state_id": 1, "signal_state_id": 1}
    path = call.path.format(**ids, meter_type_id=1, lat=54.5, lon=18.5)
    headers = {"Authorization": "Bearer x"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers) as http:
        answer = await http.request(call.method, path.removeprefix("/"), params={"undocumented": "1"})
    assert answer.status_code == 400
