"""`besmart doctor` against services of both dialects, against none, and against what is something else."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Literal

import pytest

from besmart_async.cli.exits import Exit
from besmart_async.simulator import Simulator
from tests.services import served_in_a_thread

Run = Callable[..., Any]


@pytest.fixture(params=["documented", "live"])
def service(
    request: pytest.FixtureRequest, without_service: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Simulator]:
    dialect: Literal["documented", "live"] = request.param
    with served_in_a_thread(lambda: Simulator(dialect=dialect), monkeypatch) as simulator:
        yield simulator


def findings(besmart: Run, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = besmart("doctor", "--json", *arguments)
    return done.code, {one["name"]: one for one in json.loads(done.out)}


def states(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: one["state"] for name, one in found.items()}


def test_all_is_well_in_the_dialect_of_the_service(besmart: Run, service: Simulator) -> None:
    stored = service.stored_count()
    code, found = findings(besmart, "--dialect", service.settings.dialect)
    assert code == Exit.OK, found
    names = ("account", "connection", "dialect", "clock", "credentials", "limits", "versions")
    assert states(found) == dict.fromkeys(names, "ok")
    assert service.settings.dialect in found["dialect"]["text"]
    assert "Python" in found["versions"]["text"]
    assert "httpx" in found["versions"]["text"]
    assert service.stored_count() == stored


def test_it_never_writes(besmart: Run, service: Simulator) -> None:
    findings(besmart, "--dialect", service.settings.dialect)
    sent = {(asked.method, asked.operation) for asked in service.requests if asked.method != "GET"}
    assert sent == {("POST", "users.get_token"), ("POST", "sensors.post_signals_data")}
    assert service.graph_runs == []


def test_another_dialect_is_named_with_what_to_set(besmart: Run, service: Simulator) -> None:
    spoken = service.settings.dialect
    other = "live" if spoken == "documented" else "documented"
    code, found = findings(besmart, "--dialect", other)
    assert code == Exit.ERROR
    assert found["dialect"]["state"] == "failed"
    assert f"BESMART_DIALECT={spoken}" in found["dialect"]["advice"]
    assert found["credentials"]["state"] == "ok", "they are tried in the dialect that the service speaks"


def test_wrong_credentials_are_told_apart(besmart: Run, service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESMART_PASSWORD", "wr0ng-p4ss")
    done = besmart("doctor", "--dialect", service.settings.dialect)
    assert done.code == Exit.AUTHENTICATION
    assert "XX  credentials" in done.out
    assert "wr0ng-p4ss" not in done.out + done.err


def test_without_an_account_the_service_is_examined_all_the_same(
    besmart: Run, service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGIN", "PASSWORD", "API_KEY"):
        monkeypatch.delenv(f"BESMART_{name}")
    code, found = findings(besmart, "--dialect", service.settings.dialect)
    assert code == Exit.AUTHENTICATION
    assert (found["account"]["state"], found["dialect"]["state"]) == ("failed", "ok")
    assert found["credentials"]["state"] == "skipped"
    assert "besmart auth login" in found["account"]["advice"]


def test_a_token_is_tried(besmart: Run, service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGIN", "PASSWORD", "API_KEY"):
        monkeypatch.delenv(f"BESMART_{name}")
    monkeypatch.setenv("BESMART_TOKEN", service.issue_token())
    assert findings(besmart, "--dialect", service.settings.dialect)[0] == Exit.OK
    monkeypatch.setenv("BESMART_TOKEN", "0123456789abcdef")
    assert findings(besmart, "--dialect", service.settings.dialect)[0] == Exit.AUTHENTICATION


def test_a_clock_that_is_wrong_is_a_warning(besmart: Run, service: Simulator) -> None:
    right = service.settings.now_ms
    service.settings.now_ms = lambda: right() + 3_600_000
    code, found = findings(besmart, "--dialect", service.settings.dialect)
    assert (code, found["clock"]["state"]) == (Exit.OK, "warning")
    assert "behind" in found["clock"]["text"]
    assert "NTP" in found["clock"]["advice"]


def test_a_small_limit_of_the_service_is_shown(besmart: Run, service: Simulator) -> None:
    service.settings.max_body_bytes = 100_000
    code, found = findings(besmart, "--dialect", service.settings.dialect)
    assert (code, found["limits"]["state"]) == (Exit.OK, "warning")
    assert "too large" in found["limits"]["text"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.usefixtures("without_service")
@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("http://127.0.0.1:{port}/api", Exit.UNAVAILABLE, "nothing listens"),
        ("https://besmart.invalid/api", Exit.UNAVAILABLE, "cannot be resolved"),
        ("http://example.com/api", Exit.USAGE, "BESMART_ALLOW_INSECURE_HTTP=1"),
        ("ftp://example.com/api", Exit.USAGE, "base_url"),
    ],
)
def test_an_address_without_a_service_gives_advice(
    besmart: Run, monkeypatch: pytest.MonkeyPatch, address: str, code: Exit, words: str
) -> None:
    monkeypatch.setenv("BESMART_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("BESMART_BASE_URL", address.format(port=free_port()))
    done = besmart("doctor")
    assert done.code == code
    assert words in done.out
    assert "versions" in done.out


def test_a_proxy_that_does_not_run_is_named(
    besmart: Run, without_service: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("BESMART_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("BESMART_BASE_URL", "https://besmart.invalid/api")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    done = besmart("doctor")
    assert done.code == Exit.UNAVAILABLE
    assert "NO_PROXY" in done.out
    assert str(port) in done.out


class Handler(BaseHTTPRequestHandler):
    """Answers every GET alike."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.mark.parametrize(
    ("status", "code", "state"), [(200, Exit.ERROR, "failed"), (401, Exit.AUTHENTICATION, "warning")]
)
def test_what_answers_every_path_alike_shows_no_dialect(
    besmart: Run, without_service: None, monkeypatch: pytest.MonkeyPatch, status: int, code: Exit, state: str
) -> None:
    monkeypatch.setattr(Handler, "status", status)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("BESMART_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("BESMART_BASE_URL", f"http://127.0.0.1:{server.server_port}/api")
    try:
        found = findings(besmart)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert found[0] == code
    assert found[1]["dialect"]["state"] == state


def test_a_port_without_tls_is_told(besmart: Run, service: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.environ["BESMART_BASE_URL"]
    monkeypatch.setenv("BESMART_BASE_URL", plain.replace("http:", "https:"))
    done = besmart("doctor")
    assert done.code == Exit.UNAVAILABLE
    assert "does not speak TLS" in done.out
