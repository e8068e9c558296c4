"""Every operation, compared with the document: method, path, parameters, encodings, bodies, replay."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs
import pytest

from besmart_async import InvalidInputError, SignalData, SignalQuery
from besmart_async.wire.operation import Auth, Operation
from tests import document
from tests.resources.calls import (
    CALLS,
    KEY,
    LIVE_ONLY,
    OPTIONAL_IN_LIVE,
    QUERY,
    READINGS,
    Call,
    RecordingSender,
    Sdk,
    elements,
)
from tests.resources.live_calls import LIVE_CALLS

DOCUMENTED = document.operations()
every_operation = pytest.mark.parametrize("call", CALLS, ids=str)
WRITTEN = {"integer": r"-?[0-9]+", "number": r"-?[0-9]+(\.[0-9]+)?", "boolean": "true|false", "string": ".+"}


def documented(call: Call) -> document.DocumentedOperation:
    return DOCUMENTED[call.id]


def named(call: Call) -> dict[str, Any]:
    """The call's arguments under the document's names: a key stands for the three ids it is made of."""
    arguments = dict(call.arguments)
    key = arguments.pop("key", KEY if call.sdk == "signals.write" else None)
    if call.sdk == "signals.write":
        arguments["unit"] = arguments["data"].unit
    return arguments | ({} if key is None else attrs.asdict(key))


def required(call: Call) -> dict[str, Any]:
    """Only the arguments that the document requires."""
    names = documented(call).names("path", required=True) | documented(call).names("query", required=True)
    return {name: value for name, value in call.arguments.items() if name in names | call.body | {"key", "confirm"}}


async def sent(call: Call, arguments: Mapping[str, Any] | None = None) -> Operation[Any]:
    sender = RecordingSender(json.dumps(documented(call).example).encode())
    await call.of(Sdk(sender), arguments)
    (operation,) = sender.sent
    return operation


def test_there_is_one_method_for_each_of_the_26_operations() -> None:
    assert len(DOCUMENTED) == 26
    assert [call.id for call in CALLS if call.id not in DOCUMENTED] == []
    assert sorted(call.id for call in CALLS) == sorted(DOCUMENTED)
    public = {
        f"{namespace}.{name}"
        for namespace, resource in vars(Sdk(RecordingSender())).items()
        for name, _ in inspect.getmembers(resource, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert public == {call.sdk for call in (*CALLS, *LIVE_CALLS)}


@every_operation
def test_the_table_says_what_the_document_says(call: Call) -> None:
    assert (call.method, call.path) == (documented(call).method, documented(call).path)


@every_operation
async def test_an_operation_goes_to_the_documented_method_and_path(call: Call) -> None:
    operation = await sent(call)
    assert operation.name == call.sdk
    assert (operation.method, operation.path) == (call.method, call.path)
    assert set(operation.path_params) == documented(call).names("path")
    assert operation.path_params == {name: named(call)[name] for name in operation.path_params}
    assert "{" not in operation.target


@every_operation
async def test_an_operation_tells_whether_it_may_be_sent_twice(call: Call) -> None:
    operation = await sent(call)
    assert operation.replay is call.replay
    assert operation.writes == (call.method != "GET" and call.sdk not in {"users.login", "signals.read_bulk"})
    assert operation.done_if_repeated == ({404} if call.method == "DELETE" else set())


def test_what_is_not_sent_twice_creates_or_runs_something_that_can_exist_twice() -> None:
    assert {call.sdk for call in CALLS if not call.replay} == {
        "sensors.create", "meter_types.create", "signal_states.create", "tasks.run_graph", "tasks.run_graph_by_name",
    }  # fmt: skip


@every_operation
def test_the_arguments_are_the_documented_parameters(call: Call) -> None:
    namespace, method = call.sdk.split(".")
    parameters = inspect.signature(getattr(getattr(Sdk(RecordingSender()), namespace), method)).parameters
    documented_only = set(parameters) - LIVE_ONLY.get(call.sdk, frozenset())
    assert documented_only == set(call.arguments), "the table gives all arguments"
    assert not {p.kind for p in parameters.values()} & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    in_document = documented(call).names("path") | documented(call).names("query")
    ours = set(named(call)) - call.body - ({"confirm"} if call.sdk == "meter_types.delete" else set())
    assert ours == in_document
    assert bool(call.body) == bool(documented(call).names("body")) or call.sdk == "users.login"
    needed = {name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty}
    always = set(required(call)) - OPTIONAL_IN_LIVE.get(call.sdk, frozenset())
    assert needed == always, "what both dialects require has no default, and nothing else"


@pytest.mark.parametrize(
    ("sdk", "argument"), [(sdk, name) for sdk, names in OPTIONAL_IN_LIVE.items() for name in names]
)
async def test_what_only_the_document_requires_is_refused_when_it_is_missing(sdk: str, argument: str) -> None:
    call, sender = by_method(sdk), RecordingSender()
    arguments = {name: value for name, value in call.arguments.items() if name != argument}
    with pytest.raises(InvalidInputError) as caught:
        await call.of(Sdk(sender), arguments)
    assert caught.value.field == argument
    assert sender.sent == []


@every_operation
async def test_every_documented_query_parameter_is_sent_and_nothing_else(call: Call) -> None:
    operation = await sent(call)
    names = [name for name, _ in operation.query]
    assert len(names) == len(set(names))
    assert set(names) == documented(call).names("query")


@every_operation
async def test_query_parameters_are_written_as_their_documented_type(call: Call) -> None:
    operation = await sent(call)
    for name, text in operation.query:
        given, kind = named(call)[name], documented(call).type_of(name)
        assert re.fullmatch(WRITTEN[kind], text), (name, text)
        if kind == "boolean":
            assert text == str(given).lower()
        elif kind == "string":
            assert (text if isinstance(given, str) else json.loads(text)) == given
        else:
            assert Decimal(text) == Decimal(repr(given))


@every_operation
async def test_only_the_required_parameters_are_sent_when_only_they_are_given(call: Call) -> None:
    if call.needs_a_change:
        sender = RecordingSender()
        with pytest.raises(InvalidInputError, match="nothing to change"):
            await call.of(Sdk(sender), required(call))
        assert sender.sent == []
        return
    arguments = required(call)
    if call.sdk == "signals.write":
        arguments["data"] = SignalData(KEY, [1], [1.0])
    operation = await sent(call, arguments)
    assert {name for name, _ in operation.query} == documented(call).names("query", required=True)


@every_operation
async def test_each_optional_parameter_goes_alone(call: Call) -> None:
    for name in set(call.arguments) - set(required(call)):
        operation = await sent(call, required(call) | {name: call.arguments[name]})
        needed = documented(call).names("query", required=True)
        assert {sent_name for sent_name, _ in operation.query} == needed | {name}


@every_operation
async def test_the_content_type_is_the_documented_one(call: Call) -> None:
    operation = await sent(call)
    assert operation.content_type == documented(call).content_type
    assert (operation.body is not None) == ("body" in documented(call).names("body"))
    assert operation.auth is (Auth.API_KEY if call.sdk == "users.login" else Auth.BEARER)


@every_operation
async def test_the_documented_answer_gives_the_promised_type(call: Call) -> None:
    sender = RecordingSender(json.dumps(documented(call).example).encode())
    result = await call.of(Sdk(sender))
    assert {type(element) for element in elements(result)} == {call.result}


BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "data": ("signals.write", {"data": READINGS}),
    "queries": ("signals.read_bulk", {"queries": [QUERY]}),
    "items": ("signals.write_bulk", {"items": [READINGS]}),
    "login": ("users.login", {}),
    "graph": ("tasks.run_graph", {"graph": json.loads(DOCUMENTED["tasks.post_graphs_run"].body or "")}),
    "params": ("tasks.run_graph_by_name", {"params": json.loads(DOCUMENTED["tasks.post_graphs_run_name"].body or "")}),
}


def by_method(sdk: str) -> Call:
    return next(call for call in CALLS if call.sdk == sdk)


@pytest.mark.parametrize(("sdk", "arguments"), BODIES.values(), ids=BODIES)
async def test_a_body_is_the_documented_example_byte_for_byte(sdk: str, arguments: dict[str, Any]) -> None:
    call = by_method(sdk)
    operation = await sent(call, required(call) | arguments)
    example = json.loads(documented(call).body or "")
    # JSON without its spaces; keys in the document's order.
    assert operation.body == json.dumps(example, separators=(",", ":")).encode()


@pytest.mark.parametrize("sdk", ["tasks.run_graph", "tasks.run_graph_by_name"])
async def test_json_text_goes_out_as_it_was_given(sdk: str) -> None:
    call = by_method(sdk)
    text = documented(call).body or ""
    operation = await sent(call, required(call) | dict.fromkeys(call.body, text))
    assert operation.body == text.encode()


async def test_info_as_json_text_goes_out_as_it_was_given() -> None:
    text = '{"a": 123456789012345678901234567890,  "b": 1.10}'
    call = by_method("sensors.create")
    operation = await sent(call, required(call) | {"info": text})
    assert dict(operation.query)["info"] == text


async def test_filters_are_json_text_in_a_query_and_an_object_in_a_body() -> None:
    for filters in ({"phase": [1, 2]}, '{"phase": [1, 2]}'):
        operation = await sent(by_method("signals.read"), required(by_method("signals.read")) | {"filters": filters})
        assert dict(operation.query)["filters"] == '{"phase":[1,2]}'
        query = SignalQuery(KEY, 0, 1, filters=filters)
        operation = await sent(by_method("signals.read_bulk"), {"queries": [query]})
        assert json.loads(operation.body or b"")[0]["filters"] == {"phase": [1, 2]}


async def test_a_bulk_query_sends_no_option_that_is_left_open() -> None:
    operation = await sent(by_method("signals.read_bulk"), {"queries": [SignalQuery(KEY, 0, 1)]})
    assert operation.body == b'[{"client_cid":12,"sensor_mid":122,"signal_type_moid":32,"since":0,"till":1}]'
