"""The published OpenAPI document against its specification and against the 0.1.5 document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from besmart_async.simulator import Simulator

DOCUMENT = Path(__file__).parents[2] / "data" / "besmart-rest-api-0.1.5.md"
SECTION = re.compile(r'<a id="opId(?P<id>[\w.]+)"></a>(?P<text>.*?)(?=<a id="opId|# Schemas)', re.DOTALL)


def documented() -> dict[str, str]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return {match["id"]: match["text"] for match in SECTION.finditer(text)}


def published(sim: Simulator) -> dict[str, tuple[str, str, dict[str, Any]]]:
    paths = sim.openapi["paths"]
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in paths.items()
        for method, operation in methods.items()
    }


@pytest.mark.parametrize("fixture", ["sim", "live_sim"])
def test_the_document_is_valid(fixture: str, request: pytest.FixtureRequest) -> None:
    sim: Simulator = request.getfixturevalue(fixture)
    validate(sim.openapi)
    sim.settings.samples = False
    sim.settings.accepted_body = "empty"
    validate(sim.openapi)


def test_all_26_operations_are_published_under_their_names(sim: Simulator) -> None:
    assert len(documented()) == 26
    assert published(sim).keys() == documented().keys()


@pytest.mark.parametrize("operation_id", documented())
def test_an_operation_is_published_as_documented(sim: Simulator, operation_id: str) -> None:
    text = documented()[operation_id]
    method, path, operation = published(sim)[operation_id]
    assert f"`{method} {path}`" in text
    rows = re.findall(r"^\|(\w+)\|(path|query)\|(\w+)\|(true|false)\|", text, re.MULTILINE)
    ours = [
        (one["name"], one["in"], one.get("schema", {"type": "string"})["type"], str(one["required"]).lower())
        for one in operation["parameters"]
    ]
    assert sorted(ours) == sorted(rows)
    assert ("|body|body|" in text) == ("requestBody" in operation)
    statuses = set(re.findall(r"^\|(\d{3})\|", text, re.MULTILINE))
    listed = {code for code, reply in operation["responses"].items() if reply.get("x-documented", True)}
    assert listed == statuses
    scheme = "ApiKeyAuth" if "following methods:\nApiKeyAuth" in text else "BearerAuth"
    assert operation["security"] == [{scheme: []}]
