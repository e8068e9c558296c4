"""All operations against a mock server that someone else's tool makes of the document.

The document becomes an OpenAPI description mechanically (`tests/openapi.py`), openapi-spec-validator checks it, and
connexion serves it: it validates every request strictly and answers with the document's examples.
"""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator

import httpx
import pytest
import uvicorn
from openapi_spec_validator import validate

from besmart_async import BesmartClient
from tests import document
from tests.openapi import openapi
from tests.resources.calls import CALLS, Call, elements

with warnings.catch_warnings():
    # Importing connexion imports starlette's and jsonschema's deprecated parts, each with a warning class of its own.
    warnings.simplefilter("ignore")
    import connexion
    from connexion.mock import MockResolver

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:connexion.*",  # jsonschema.RefResolver, which connexion 3 still uses
    "ignore::DeprecationWarning:jsonschema.*",  # as above
)


@pytest.fixture(scope="module")
def app() -> connexion.AsyncApp:
    app = connexion.AsyncApp(__name__, specification_dir=".")
    app.add_api(openapi(), resolver=MockResolver(mock_all=True), strict_validation=True, validate_responses=False)
    return app


@pytest.fixture
async def base_url(app: connexion.AsyncApp) -> AsyncIterator[str]:
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


async def test_all_operations_are_accepted_and_their_answers_typed(base_url: str) -> None:
    async with BesmartClient(api_key="API_KEY", login="login", password="password", base_url=base_url) as client:
        results = {call.sdk: elements(await call.of(client)) for call in CALLS}
    assert {sdk: {type(one) for one in result} for sdk, result in results.items()} == {
        call.sdk: {call.result} for call in CALLS
    }


@pytest.mark.parametrize("call", [call for call in CALLS if call.arguments], ids=str)
async def test_the_mock_server_refuses_what_the_document_does_not_have(base_url: str, call: Call) -> None:
    """Proves that the server above does validate: the same request with an undocumented parameter is a 400."""
    path = call.path.format(client_cid=1, sensor_mid=1, signal_type_moid=1, sensor_state_id=1, signal_state_id=1)
    headers = {"Authorization": "Bearer x"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers) as http:
        answer = await http.request(call.method, path.removeprefix("/"), params={"undocumented": "1"})
    assert answer.status_code == 400
