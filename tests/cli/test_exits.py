"""Exit codes, and what the command adds to the text of an error."""

import pytest

from besmart_async.cli.exits import Exit, NoCredentialsError, UsageError, exit_of, explained
from besmart_async.errors import (
    AuthenticationError,
    BesmartConfigError,
    ConnectError,
    DecodeError,
    NotFoundError,
    Response,
    TransportError,
)

ALL_PROXIES = [f"{name}_proxy" for name in ("http", "https", "all", "no")]


@pytest.fixture(autouse=True)
def no_proxies(without_service: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALL_PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("BESMART_TOKEN", "t")
    monkeypatch.setenv("BESMART_BASE_URL", "https://meters.example/api")


def test_no_credentials_and_credentials_that_are_refused_have_one_code() -> None:
    assert exit_of(NoCredentialsError()) == Exit.AUTHENTICATION
    assert exit_of(UsageError("x")) == Exit.USAGE


@pytest.mark.parametrize(
    "text",
    [
        "cannot connect to x ([SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate)",
        "cannot connect to x (CERTIFICATE_VERIFY_FAILED)",
    ],
)
def test_a_certificate_that_is_not_trusted_names_the_settings_for_it(text: str) -> None:
    told = explained(ConnectError(text))
    assert told.startswith(text)
    assert "SSL_CERT_FILE" in told
    assert "SSL_CERT_DIR" in told


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_is_named_with_its_variable_and_without_its_password(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://mallory:s3cret@proxy.example:3128")
    told = explained(ConnectError("cannot connect to meters.example"))
    assert f"the proxy proxy.example:3128 of {name}" in told
    assert "s3cret" not in told
    assert "mallory" not in told


def test_nothing_is_said_of_a_proxy_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "meters.example")
    error = ConnectError("cannot connect to meters.example")
    assert explained(error) == str(error)
    monkeypatch.delenv("NO_PROXY")
    assert explained(TransportError("it broke")) == str(TransportError("it broke"))


def test_what_python_calls_allow_insecure_http_has_a_name_in_the_command() -> None:
    told = explained(BesmartConfigError("base_url: use https, or allow_insecure_http=True where that is intended"))
    assert "BESMART_ALLOW_INSECURE_HTTP=1" in told
    assert "--allow-insecure-http" in told


def test_a_page_in_place_of_the_service_is_a_service_that_is_not_there() -> None:
    answer = Response(404, {"content-type": "text/html"}, b"<html><title>Not Found</title></html>")
    page = NotFoundError(404, "an HTML page titled 'Not Found', not an answer of the API", "signals.types", answer)
    assert exit_of(page) == Exit.UNAVAILABLE
    assert "proxy or a portal: check BESMART_BASE_URL" in explained(page)
    assert exit_of(AuthenticationError(401, "log in", "users.login", answer)) == Exit.UNAVAILABLE
    assert exit_of(DecodeError("not JSON", response=answer)) == Exit.UNAVAILABLE


def test_what_the_service_itself_says_is_no_page() -> None:
    answer = Response(404, {}, b'"no such sensor"')
    assert exit_of(NotFoundError(404, "no such sensor", "sensors.get", answer)) == Exit.ERROR
    assert exit_of(AuthenticationError(401, "no", "users.login", Response(401, {}, b"no"))) == Exit.AUTHENTICATION
