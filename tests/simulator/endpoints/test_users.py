from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

LOGIN = '{"login": "login", "password": "password"}'
KEY = {"X-Auth": "API_KEY", "Content-Type": "text/plain"}


async def log_in(api: httpx.AsyncClient, body: str = LOGIN, **headers: str) -> httpx.Response:
    return await api.post("/users/token", content=body, headers={**KEY, **headers})


async def test_a_login_gives_a_token_that_opens_the_service(sim: Any, api: httpx.AsyncClient, clock: Any) -> None:
    answer = await log_in(api)
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"expiration", "user_id", "token"}
    assert body["expiration"] == int(clock() + 7_200_000)
    assert sim.logins == 1
    types = await api.get("/sensors/types", headers={"Authorization": f"Bearer {body['token']}"})
    assert types.status_code == 200


@pytest.mark.parametrize(
    ("body", "key", "status"),
    [
        ('{"login": "login", "password": "wrong"}', "API_KEY", 401),
        ('{"login": "nobody", "password": "password"}', "API_KEY", 404),
        (LOGIN, "wrong", 401),
        (LOGIN, "", 401),
        ("not json", "API_KEY", 401),
        (f"'{LOGIN}'", "API_KEY", 401),
        ("", "API_KEY", 401),
        ('{"login": "login"}', "API_KEY", 401),
        ('{"login": 1, "password": 2}', "API_KEY", 401),
    ],
)
async def test_a_failed_login_gets_a_documented_status(
    sim: Any, api: httpx.AsyncClient, body: str, key: str, status: int
) -> None:
    answer = await log_in(api, body, **{"X-Auth": key})
    assert answer.status_code == status
    assert isinstance(answer.json(), str)
    assert sim.logins == 0


async def test_a_login_must_be_plain_text_in_the_documented_dialect(api: httpx.AsyncClient) -> None:
    assert (await log_in(api, **{"Content-Type": "application/json"})).status_code == 415


async def test_a_refresh_rotates_the_token_and_kills_the_old_one(sim: Any, api: httpx.AsyncClient) -> None:
    first = await api.get("/users/token")
    assert first.status_code == 200
    assert sim.refreshes == 1
    assert (await api.get("/sensors/types")).status_code == 401
    new = {"Authorization": f"Bearer {first.json()['token']}"}
    assert (await api.get("/sensors/types", headers=new)).status_code == 200


async def test_without_rotation_a_refresh_prolongs_the_token(sim: Any, api: httpx.AsyncClient, clock: Any) -> None:
    sim.settings.rotate_on_refresh = False
    clock.forward(7000)
    answer = await api.get("/users/token")
    assert f"Bearer {answer.json()['token']}" == api.headers["Authorization"]
    clock.forward(7000)
    assert (await api.get("/sensors/types")).status_code == 200


async def test_a_token_dies_at_the_end_of_its_life(api: httpx.AsyncClient, clock: Any) -> None:
    clock.forward(7199)
    assert (await api.get("/sensors/types")).status_code == 200
    clock.forward(1)
    assert (await api.get("/sensors/types")).status_code == 401


@pytest.mark.parametrize("how", ["revoke_tokens", "expire_tokens"])
async def test_tokens_can_be_ended_from_a_test(sim: Any, api: httpx.AsyncClient, how: str) -> None:
    getattr(sim, how)()
    answer = await api.get("/users/token")
    assert (answer.status_code, answer.json()) == (401, "Not valid authentication credentials")


async def test_the_lifetime_of_later_tokens_can_be_set(sim: Any, api: httpx.AsyncClient, clock: Any) -> None:
    sim.token_lifetime_s = 10.0
    assert (await log_in(api)).json()["expiration"] == int(clock() + 10_000)


@pytest.mark.parametrize("header", [None, "Basic abc", "Bearer", "Bearer  "])
async def test_no_token_is_told_as_the_document_shows(api: httpx.AsyncClient, header: str | None) -> None:
    if header is None:
        del api.headers["Authorization"]
    else:
        api.headers["Authorization"] = header
    answer = await api.get("/sensors/types")
    assert (answer.status_code, answer.json()) == (401, "No authorization token provided")


async def test_the_live_dialect_takes_json_without_key_and_gives_float_seconds(
    live: httpx.AsyncClient, clock: Any
) -> None:
    answer = await live.post("/users/token", json=json.loads(LOGIN))
    assert answer.status_code == 200
    assert answer.json()["expiration"] == pytest.approx(clock() / 1000 + 7200)
    assert isinstance(answer.json()["expiration"], float)
    assert (await log_in(live)).status_code == 200
    wrong = await log_in(live, **{"X-Auth": "wrong"})
    assert wrong.status_code == 401
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json()["status"] == 401
