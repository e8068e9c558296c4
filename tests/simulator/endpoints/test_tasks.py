from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from besmart_async.simulator import Simulator

TEXT = {"Content-Type": "text/plain"}
GRAPH = {"nodes": [{"function": "a", "params": {}}, {"function": "b"}], "edges": [{"from": 0, "to": 1}]}


async def run(api: httpx.AsyncClient, graph: Any, query: str = "") -> httpx.Response:
    return await api.post(f"/tasks/graphs/run{query}", content=json.dumps(graph), headers=TEXT)


async def test_a_graph_answers_one_output_per_last_node(sim: Simulator, api: httpx.AsyncClient) -> None:
    answer = await run(api, GRAPH, "?task_priority=5&since=1&till=2.5")
    assert answer.status_code == 201
    data = {"time": [1577836800000], "value": [10.01], "type": ["DBL"], "origin": [1]}
    assert answer.json() == [{"data": data}]
    assert sim.graph_runs == [{"graph": GRAPH, "task_priority": 5, "since": 1, "till": 2.5}]
    assert (await run(api, {**GRAPH, "edges": []})).json() == [{"data": data}] * 2


async def test_an_asynchronous_graph_has_no_output_yet(api: httpx.AsyncClient) -> None:
    answer = await run(api, GRAPH, "?task_async=true")
    assert (answer.status_code, answer.json()) == (201, [])


@pytest.mark.parametrize(
    "graph",
    [
        [],
        None,
        {},
        {"nodes": {}},
        {"nodes": [{}]},
        {"nodes": [1]},
        {"nodes": [{"function": 1}]},
        {"nodes": [{"function": "a", "params": []}]},
        {**GRAPH, "edges": [{"from": 0, "to": 2}]},
        {**GRAPH, "edges": [{"from": True, "to": 0}]},
        {**GRAPH, "edges": [1]},
        {**GRAPH, "edges": {}},
        {**GRAPH, "more": 1},
    ],
)
async def test_a_malformed_graph_is_not_run(sim: Simulator, api: httpx.AsyncClient, graph: Any) -> None:
    assert (await run(api, graph)).status_code == 422
    assert sim.graph_runs == []


async def test_a_graph_must_be_plain_text(api: httpx.AsyncClient) -> None:
    assert (await api.post("/tasks/graphs/run", json=GRAPH)).status_code == 415


async def test_an_absent_graph_is_empty_as_the_documents_sample_has_it(sim: Simulator, api: httpx.AsyncClient) -> None:
    assert (await api.post("/tasks/graphs/run", headers=TEXT)).json() == []
    sim.settings.samples = False
    assert (await api.post("/tasks/graphs/run", headers=TEXT)).status_code == 422


async def by_name(api: httpx.AsyncClient, query: str, body: str = '[{"client_cid": 12}]') -> httpx.Response:
    return await api.post(f"/tasks/graphs/run/name?{query}", content=body, headers=TEXT)


async def test_a_named_graph_answers_a_text_that_looks_like_python(sim: Simulator, api: httpx.AsyncClient) -> None:
    answer = await by_name(api, "graph_name=string")
    assert answer.status_code == 200
    assert answer.json().startswith("{ 'client_cid': 12, 'sensor_mid': 13781, ")
    assert "'data': {...}" in answer.json()
    assert sim.graph_runs == [{"parameters": [{"client_cid": 12}], "graph_name": "string"}]


@pytest.mark.parametrize(("form", "content"), [("id", b'{"id":1}'), ("text", b'"Accepted"'), ("empty", b"")])
async def test_an_asynchronous_named_graph_is_accepted(
    sim: Simulator, api: httpx.AsyncClient, form: Any, content: bytes
) -> None:
    sim.settings.accepted_body = form
    answer = await by_name(api, "graph_name=string&task_async=true")
    assert (answer.status_code, answer.content) == (202, content)


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("graph_name=unknown", "[{}]", 404),
        ("graph_name=string", "{}", 422),
        ("graph_name=string", "[1]", 422),
        ("graph_name=string", "", 422),
        ("graph_name=string", "'[{}]'", 422),
        ("graph_name=string&since=2&till=1", "[{}]", 422),
        ("task_priority=1", "[{}]", 422),
    ],
)
async def test_a_named_graph_is_refused(api: httpx.AsyncClient, query: str, body: str, status: int) -> None:
    assert (await by_name(api, query, body)).status_code == status
