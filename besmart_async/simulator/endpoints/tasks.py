"""Tasks: run a graph, given whole or by its name."""

from __future__ import annotations

from typing import Any, cast

import attrs

from besmart_async.simulator.endpoints.context import RequestContext
from besmart_async.simulator.http.refusals import not_found, unprocessable
from besmart_async.simulator.http.responses import ServiceResponse
from besmart_async.simulator.routing.declarations import (
    COLUMNS,
    COLUMNS_EXAMPLE,
    INT,
    NOT_FOUND,
    TEXT,
    UNAUTHORIZED,
    UNPROCESSABLE,
    Body,
    Reply,
    Route,
    listed,
    model,
    query,
)


def run_graph(context: RequestContext) -> ServiceResponse:
    """Check a graph and answer one output per node that no edge leaves. An asynchronous one has no output yet."""
    _check_window(context)
    outputs = _outputs(context.body)
    context.runs.append({"graph": context.body, **context.params})
    return ServiceResponse.of(
        201, [] if context.params.get("task_async") else [{"data": COLUMNS_EXAMPLE} for _ in range(outputs)]
    )


def run_graph_by_name(context: RequestContext) -> ServiceResponse:
    """Run a graph the service knows: 200 with its result as a text, 202 if asynchronous."""
    _check_window(context)
    if not isinstance(context.body, list):
        unprocessable("the body must hold a list of parameter objects", "body")
    params: list[Any] = context.body
    for i, item in enumerate(params):
        if not isinstance(item, dict):
            unprocessable(f"parameters {i} must be an object", "body", i)
    if context.params["graph_name"] not in context.graph_names:
        not_found()
    context.runs.append({"parameters": params, **context.params})
    if context.params.get("task_async"):
        return _accepted(context)
    first = cast("dict[str, Any]", params[0]) if params else {}
    return ServiceResponse.of(200, _result(first))


def _accepted(context: RequestContext) -> ServiceResponse:
    form = context.settings.accepted_body
    if form == "empty":
        return ServiceResponse(202, media=None)
    return ServiceResponse.of(202, {"id": len(context.runs)} if form == "id" else "Accepted")


def _result(params: dict[str, Any]) -> str:
    """The document's example: a Python-style dict with a literal `{...}`, so the JSON string does not contain JSON."""
    client_cid, sensor_mid = params.get("client_cid", 13), params.get("sensor_mid", 13781)
    return (
        f"{{ 'client_cid': {client_cid!r}, 'sensor_mid': {sensor_mid!r}, 'signal_type_moid': 32, 'data': {{...}},"
        " 'unit': 'kW.h', 'time_tstorage': 0.0593122320715338, 'time_other': 0.018632062943652272,"
        " 'hook_from': 'output', 'signature_id': 4, 'hook_to': 'input'}"
    )


def _outputs(graph: Any) -> int:
    if not isinstance(graph, dict):
        unprocessable("the graph must be an object", "body")
    found = cast("dict[str, Any]", graph)
    nodes: Any = found.get("nodes")
    edges: Any = found.get("edges", [])
    if set(map(type, (nodes, edges))) != {list} or found.keys() - {"nodes", "edges"}:
        unprocessable("the graph must hold a list of nodes and a list of edges, and nothing else", "body")
    for i, node in enumerate(nodes):
        _check_node(node, i)
    size = len(nodes)
    left: set[int] = set()
    for i, edge in enumerate(edges):
        left.add(_start(edge, i, size))
    return size - len(left)


def _check_node(node: Any, i: int) -> None:
    found: dict[str, Any] = node if isinstance(node, dict) else {}
    if not isinstance(found.get("function"), str):
        unprocessable(f"node {i} must be an object with a function", "body", "nodes", i)
    if not isinstance(found.get("params", {}), dict):
        unprocessable(f"node {i}: params must be an object", "body", "nodes", i)


def _start(edge: Any, i: int, size: int) -> int:
    found: dict[str, Any] = edge if isinstance(edge, dict) else {}
    ends = (found.get("from"), found.get("to"))
    if not all(type(end) is int and 0 <= end < size for end in ends):
        unprocessable(f"edge {i} must go from one node to another", "body", "edges", i)
    return cast("int", ends[0])


def _check_window(context: RequestContext) -> None:
    since, till = context.params.get("since"), context.params.get("till")
    if since is not None and till is not None and since > till:
        unprocessable("since is greater than till", "query", "since")


_OPTIONS = (
    query("task_priority", "integer", description="Graph priority (defaults to 5)"),
    query("task_async", "boolean", description="Should task be asynchronous"),
    query("since", "number", description="Start date (UTC unix timestamp in ms)"),
    query("till", "number", description="End date (UTC unix timestamp in ms)"),
)
_GRAPH = (
    '{ "nodes": [ { "function": "estimation", "params": { "client_cid": "${client_cid}" } },'
    ' { "function": "post_estimation" } ], "edges": [ { "from": 0, "to": 1 } ] }'
)
_DATA = model(COLUMNS)

_BY_NAME = Route(
    operation="tasks.post_graphs_run_name",
    method="POST",
    path="/tasks/graphs/run/name",
    tag="Tasks",
    summary="Run graph by name",
    handler=run_graph_by_name,
    params=(query("graph_name", "string", required=True, description="Graph name"), *_OPTIONS),
    body=Body(media="text/plain", schema=TEXT, example='[{ "client_cid": 0, "sensor_mid": 0, "contractor_id": 1 }]'),
    replies=(
        Reply(200, "Graph result (only for synchronous graphs)", TEXT, "{ 'client_cid': 13, 'data': {...}}"),
        Reply(
            202,
            "Accepted for processing (only for asynchronous graphs)",
            {"anyOf": [model({"id": INT}), TEXT]},
            {"id": 1},
        ),
        UNAUTHORIZED,
        NOT_FOUND,
        UNPROCESSABLE,
    ),
    dialect="documented",
)
_PARAMETERS = Body(
    media="application/json",
    schema=listed({"type": "object"}),
    example=[{"client_cid": 0, "sensor_mid": 0, "contractor_id": 1}],
    or_text=True,
)

ROUTES = (
    Route(
        operation="tasks.post_graphs_run",
        method="POST",
        path="/tasks/graphs/run",
        tag="Tasks",
        summary="Run graph",
        handler=run_graph,
        params=_OPTIONS,
        # Required in the document, whose own sample sends none: see Settings.samples.
        body=Body(media="text/plain", schema=TEXT, example=_GRAPH, required=False, absent={"nodes": [], "edges": []}),
        replies=(
            Reply(
                201,
                "Successfully executed task",
                listed(model({"data": _DATA})),
                [{"data": COLUMNS_EXAMPLE}],
            ),
            UNAUTHORIZED,
        ),
        dialect="documented",
    ),
    _BY_NAME,
    attrs.evolve(_BY_NAME, body=_PARAMETERS, dialect="live"),
)
