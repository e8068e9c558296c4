"""The simulator against its own OpenAPI document: whatever schemathesis sends gets an answer the document lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from besmart_async.simulator import Simulator

load_all_checks()

# Rules a JSON schema cannot express: one column as long as the other, since before till, a unit that fits the signal,
# a signal that exists, JSON inside a text body. A request that breaks one is refused with 422 although schema-valid.
RULES_BEYOND_THE_SCHEMA = {
    "api.endpoints.sensors.post_states",
    "api.endpoints.sensors.put_states_id",
    "api.endpoints.sensors.post_signals_data",
    "api.endpoints.sensors.put_signals_data",
    "api.endpoints.sensors.get_id_signals_id_data",
    "api.endpoints.sensors.put_id_signals_id_data",
    "api.endpoints.tasks.post_graphs_run",
    "api.endpoints.tasks.post_graphs_run_name",
}
LIVE_RULES = RULES_BEYOND_THE_SCHEMA | {
    "api.endpoints.sensors.post_signals_data_v2",
    "api.endpoints.sensors.put_signals_data_v2",
    "api.endpoints.sensors.put_id_signals_id_data_v2",
    "api.endpoints.sensors.put_id",  # `info` is the text of a JSON object
    "api.endpoints.weather.get_external_mid_signals_id_data",
    "api.endpoints.weather.get_external_lat_lon_id_data",
}
(ACCEPTANCE,) = CHECKS.get_by_names(["positive_data_acceptance"])
THOROUGH = settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


# schemathesis makes one test per operation while tests are collected, so the simulators must be there by then.
DOCUMENTED, LIVE = Simulator(), Simulator(dialect="live")
DOCUMENTED_SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", DOCUMENTED.app)
LIVE_SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", LIVE.app)


@pytest.fixture(scope="module", autouse=True)
def closed_in_the_end() -> Iterator[None]:
    yield
    DOCUMENTED.close()
    LIVE.close()


def hold(case: Any, simulator: Simulator) -> None:
    rules = LIVE_RULES if simulator is LIVE else RULES_BEYOND_THE_SCHEMA
    beyond = case.operation.definition.raw["operationId"] in rules
    headers = {"Authorization": f"Bearer {simulator.issue_token()}", "X-Auth": "API_KEY"}
    case.call_and_validate(headers=headers, excluded_checks=[ACCEPTANCE] if beyond else [])


@DOCUMENTED_SCHEMA.parametrize()
@THOROUGH
def test_the_documented_dialect_holds(case: Any) -> None:
    hold(case, DOCUMENTED)


@LIVE_SCHEMA.parametrize()
@THOROUGH
def test_the_live_dialect_holds(case: Any) -> None:
    hold(case, LIVE)
