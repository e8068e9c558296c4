"""What tells accounts apart, and that no secret is in it."""

from __future__ import annotations

import pytest

from besmart_async import BesmartClient
from besmart_async.cli.checkpoint_scope import fingerprint, identity_of
from besmart_async.simulator import Simulator
from tests.services import client_in_process

SALT = b"0123456789abcdef"


@pytest.fixture(autouse=True)
def without_account(without_service: None) -> None:
    """No account of whoever runs the test."""


async def identity(monkeypatch: pytest.MonkeyPatch, name: str | None = None, **parts: str) -> tuple[str, ...]:
    for part in ("LOGIN", "PASSWORD", "API_KEY", "TOKEN"):
        monkeypatch.delenv(f"BESMART_{part}", raising=False)
    for part, value in parts.items():
        monkeypatch.setenv(f"BESMART_{part}", value)
    simulator = Simulator(seed=False)
    async with client_in_process(simulator) as client:
        found = await identity_of(client, SALT, name)
    simulator.close()
    return found


async def test_a_login_is_known_by_its_user_id_and_the_workspaces_key(monkeypatch: pytest.MonkeyPatch) -> None:
    one = await identity(monkeypatch, LOGIN="login", PASSWORD="password", API_KEY="key-of-one")
    kind, user, key = one
    assert (kind, user.isdecimal(), key) == ("user", True, fingerprint("key-of-one", SALT))
    assert one == await identity(monkeypatch, LOGIN="login", PASSWORD="changed", API_KEY="key-of-one")
    assert one != await identity(monkeypatch, LOGIN="login", PASSWORD="password", API_KEY="key-of-two")
    assert one != await identity(monkeypatch, LOGIN="login", PASSWORD="password")


async def test_where_only_a_token_is_known_the_token_is_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        await identity(monkeypatch, TOKEN="one"),
        await identity(monkeypatch, TOKEN="two"),
        await identity(monkeypatch, TOKEN="one", LOGIN="login"),
    }
    assert len(found) == 3
    assert await identity(monkeypatch, TOKEN=" one ") in found


async def test_a_name_says_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await identity(monkeypatch, "tenant A", TOKEN="one") == await identity(monkeypatch, "tenant A", TOKEN="two")


def test_a_fingerprint_is_of_its_salt_and_holds_no_secret() -> None:
    secret = "a-secret-of-many-letters"
    assert fingerprint(secret, SALT) == fingerprint(secret, SALT)
    assert fingerprint(secret, SALT) != fingerprint(secret, SALT[::-1])
    assert secret not in fingerprint(secret, SALT)


async def test_a_login_that_answers_no_user_id_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BESMART_LOGIN", "ann")
    monkeypatch.setenv("BESMART_PASSWORD", "p")

    class Users:
        async def login(self) -> object:
            from besmart_async import Token

            return Token(token="t")

    client = BesmartClient(token="t")
    client.users = Users()  # type: ignore[assignment]
    assert await identity_of(client, SALT, None) == ("user", "ann", "")
    await client.aclose()
