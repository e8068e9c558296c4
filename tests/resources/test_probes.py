"""What the probes make of a service's answers, from tables of answers."""

from __future__ import annotations

from typing import Any

import pytest

from besmart_async import NotFoundError, Response
from besmart_async.resources.probes import Probes
from besmart_async.wire.failures import failure
from besmart_async.wire.operation import Auth, Operation, T

LIVE_PATHS, DOCUMENTED_PATH = ("/weather/external/find/mid", "/clients/1/meters"), "/sensors/1/meters"


class Answering:
    """Stands in for the transport: answers paths with the given statuses, all others with one of their own."""

    def __init__(self, statuses: dict[str, int], otherwise: int = 404, date: str = "") -> None:
        self.statuses = statuses
        self.otherwise = otherwise
        self.headers = {"date": date} if date else {}
        self.sent: list[Operation[Any]] = []

    async def send(self, operation: Operation[T], *, attempts: int | None = None) -> T:
        self.sent.append(operation)
        status = self.statuses.get(operation.path, self.otherwise)
        response = Response(status, self.headers, b"")
        if status >= 300:
            raise failure(operation, response)
        return operation.decode(response)


@pytest.mark.parametrize(
    ("statuses", "otherwise", "dialect"),
    [
        (dict.fromkeys(LIVE_PATHS, 401), 404, "live"),
        ({LIVE_PATHS[0]: 422}, 404, "live"),
        ({LIVE_PATHS[1]: 403, DOCUMENTED_PATH: 405}, 404, "live"),
        ({DOCUMENTED_PATH: 401}, 404, "documented"),
        ({DOCUMENTED_PATH: 401}, 405, "documented"),
        ({}, 401, None),
        ({}, 200, None),
        ({}, 404, None),
        (dict.fromkeys((*LIVE_PATHS, DOCUMENTED_PATH), 401), 404, None),
        (dict.fromkeys(LIVE_PATHS, 502), 404, None),
    ],
)
async def test_a_dialect_shows_in_the_paths_that_exist(
    statuses: dict[str, int], otherwise: int, dialect: str | None
) -> None:
    sender = Answering(statuses, otherwise)
    assert (await Probes(sender).service()).dialect == dialect
    assert {(one.method, one.auth, one.writes) for one in sender.sent} == {("GET", Auth.NONE, False)}


@pytest.mark.parametrize(
    ("now_ms", "ahead"), [(1_577_836_800_500, 0.0), (1_577_836_860_500, 60.0), (1_577_836_790_500, -10.0)]
)
async def test_the_clock_is_compared_with_the_date_of_the_answers(now_ms: float, ahead: float) -> None:
    sender = Answering({}, date="Wed, 01 Jan 2020 00:00:00 GMT")
    found = await Probes(sender, wall_clock_ms=lambda: now_ms).service()
    assert found.clock_ahead_s == pytest.approx(ahead)


async def test_answers_without_a_date_say_nothing_about_the_clock() -> None:
    assert (await Probes(Answering({})).service()).clock_ahead_s is None


@pytest.mark.parametrize(("status", "passes"), [(200, True), (422, True), (400, True), (413, False)])
async def test_a_body_gets_through_unless_it_is_too_large(status: int, passes: bool) -> None:
    sender = Answering({"/sensors/signals/data": status})
    assert await Probes(sender).takes_body(1000) is passes
    (sent,) = sender.sent
    assert (sent.body_bytes, (sent.body or b"").split(), sent.writes) == (1000, [b"[", b"]"], False)


async def test_another_answer_says_nothing_about_the_size() -> None:
    with pytest.raises(NotFoundError):
        await Probes(Answering({})).takes_body(1000)
