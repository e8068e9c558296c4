"""The names users see are fixed: adding one is a decision, losing one breaks people."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import besmart_async
from besmart_async import BesmartClient, errors

NAMES = {
    "AnswerTooLargeError",
    "ApiError",
    "AuthenticationError",
    "BatchAcknowledged",
    "BatchPolicy",
    "BatchRetried",
    "BatchSent",
    "BatchSplit",
    "BesmartClient",
    "BesmartConfigError",
    "BesmartError",
    "BlockingRunner",
    "ConflictError",
    "ConnectError",
    "Credentials",
    "DecodeError",
    "DeliveryReport",
    "Event",
    "GraphOutput",
    "GraphResult",
    "Health",
    "Hook",
    "InvalidInputError",
    "JournalError",
    "MeterType",
    "NotFoundError",
    "Outcome",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "ReadBatchAnswered",
    "ReadBatchFailed",
    "ReadBatchSent",
    "ReadBatchSplit",
    "ReadEvent",
    "ReadHook",
    "ReadPolicy",
    "ReadReport",
    "Reader",
    "Rejection",
    "RequestFailed",
    "RequestStarted",
    "RequestTimeoutError",
    "Response",
    "ResponseReceived",
    "RetryPolicy",
    "RetryScheduled",
    "SendingPaused",
    "SendingResumed",
    "Sensor",
    "SensorKey",
    "SensorState",
    "SensorType",
    "ServerError",
    "SignalData",
    "SignalKey",
    "SignalQuery",
    "SignalState",
    "SignalType",
    "Timeouts",
    "Token",
    "TokenRenewed",
    "TransportError",
    "TransportHealth",
    "UndeliveredError",
    "UnprocessableError",
    "UnsupportedOperationError",
    "Writer",
    "WriterEvent",
    "WriterHook",
    "WriterTimeoutError",
    "aiohttp_transport",
    "blocking",
}

METHODS = {
    "users": {"login", "refresh"},
    "sensors": {"types", "create", "get", "update", "delete"},
    "meter_types": {"list", "create", "update", "delete"},
    "signals": {"types", "read", "write", "read_bulk", "write_bulk"},
    "sensor_states": {"list", "list_for_signal", "create", "update", "delete"},
    "signal_states": {"create", "update", "patch", "delete"},
    "tasks": {"run_graph", "run_graph_by_name"},
    "weather": {"find_mid", "read", "read_at"},
}


def test_the_exported_names_are_these() -> None:
    assert set(besmart_async.__all__) == NAMES
    assert all(hasattr(besmart_async, name) for name in NAMES)


def test_lazy_names_have_a_home_and_type_checkers_see_the_same() -> None:
    source = ast.parse(Path(besmart_async.__file__).read_text("utf-8"))
    seen = {
        alias.name: (node.module or "").removeprefix("besmart_async.")
        for node in ast.walk(source)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("besmart_async.")
        for alias in node.names
        if alias.name != "__version__"
    }
    homes: dict[str, str] = vars(besmart_async)["_HOMES"]
    assert homes == seen
    assert set(besmart_async.__all__) == set(homes)


def test_importing_the_package_alone_loads_nothing_heavy() -> None:
    code = "import sys, besmart_async; print(*({'httpx', 'numpy', 'attrs', 'tenacity', 'asyncio'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded.split() == []


def test_every_error_is_importable_from_both_places() -> None:
    defined = {
        name for name, item in vars(errors).items() if inspect.isclass(item) and issubclass(item, errors.BesmartError)
    }
    assert defined <= NAMES
    assert all(getattr(besmart_async, name) is getattr(errors, name) for name in defined)


def test_every_namespace_has_its_operations() -> None:
    client = BesmartClient(token="t", base_url="http://localhost/api")
    for namespace, methods in METHODS.items():
        resource = getattr(client, namespace)
        public = {name for name, _ in inspect.getmembers(resource, inspect.iscoroutinefunction) if name[0] != "_"}
        assert public == methods
    assert sum(map(len, METHODS.values())) == 26 + 4, "those of the document, and what only the live service has"


def test_the_error_tree_is_this() -> None:
    lineage = {
        "InvalidInputError": ("BesmartError", "ValueError"),
        "RequestTimeoutError": ("TransportError", "TimeoutError"),
        "AuthenticationError": ("ApiError",),
        "ServerError": ("ApiError",),
        "DecodeError": ("BesmartError",),
    }
    for name, bases in lineage.items():
        assert tuple(base.__name__ for base in getattr(errors, name).__bases__) == bases
