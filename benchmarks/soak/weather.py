"""What goes wrong at a time: drawn at random, and changed every second or two."""

from __future__ import annotations

import random
from typing import Any

import attrs

BULK_WRITE, BULK_READ, LOGIN = "sensors.put_signals_data", "sensors.post_signals_data", "users.*token"
GIVEN_UP_S = 1.0
"""How long the client waits for an answer."""
LATE_S = 1.3
"""A late call is applied or answered so long after it was sent: the client has given it up by then."""

_ANY: tuple[dict[str, Any], ...] = (
    {"reset": "before"},
    {"reset": "after"},
    {"truncate_at": 0.5},
    {"status": 500},
    {"status": 500, "apply": True},
    {"status": 502, "body": "<html></html>", "content_type": "text/html"},
    {"status": 503, "retry_after": "0.3"},
    {"status": 429, "retry_after": 0.2},
    {"status": 429, "retry_after_date_s": 1.0},
    {"status": 429, "retry_after": "soon"},
    {"status": 401},
    {"status": 408},
    {"latency_s": 0.1},
    {"latency_s": LATE_S},
    {"latency_after_s": LATE_S},
    {"bytes_per_s": 400.0},
    {"date_skew_s": 7200.0},
)
_WRITES: tuple[dict[str, Any], ...] = ({"apply_items": 1}, {"apply_items": 3}, {"garbage": True}, {"html": True})
_READS: tuple[dict[str, Any], ...] = ({"drop": 1}, {"duplicate": 1}, {"shuffle": True})


@attrs.frozen(kw_only=True)
class Weather:
    """One state of the service.

    Attributes:
        name: for people.
        faults: fields of the simulator's `Fault`s.
        max_body_bytes: the front end's limit.
        close_on_413: it closes the connection without reading a larger body.
        token_lifetime_s: life of new tokens.
        revoke: all present tokens are forgotten now.
    """

    name: str
    faults: list[dict[str, Any]] = attrs.field(factory=list[dict[str, Any]])
    max_body_bytes: int | None = None
    close_on_413: bool = False
    token_lifetime_s: float = 7200.0
    revoke: bool = False


CALM = Weather(name="calm")


def draw(dice: random.Random) -> Weather:
    """Return what the weather is to be for a while."""
    kind = dice.choices(
        ("mixed", "maintenance", "tokens", "no logins", "small bodies", "calm"), (10, 1, 2, 1, 2, 2), k=1
    )[0]
    if kind == "maintenance":
        closed = {"status": 503, "body": "<html>maintenance</html>", "content_type": "text/html"}
        return Weather(name=kind, faults=[closed])
    if kind == "tokens":
        refused = {"status": 401, "probability": 0.2, "operation": "sensors.*"}
        return Weather(name=kind, faults=[refused], token_lifetime_s=dice.choice([0.3, 2.0]), revoke=True)
    if kind == "no logins":
        return Weather(name=kind, faults=[{"operation": LOGIN, "status": dice.choice([401, 500])}], revoke=True)
    if kind == "small bodies":
        return Weather(name=kind, max_body_bytes=dice.choice([2_000, 6_000]), close_on_413=dice.random() < 0.5)
    faults: list[dict[str, Any]] = []
    share = dice.choice([0.05, 0.15, 0.3]) if kind == "mixed" else 0.0
    for operation, pool in ((BULK_WRITE, _ANY + _WRITES), (BULK_READ, _ANY + _READS)) if share else ():
        faults += [{"operation": operation, "probability": share / 3, **fields} for fields in dice.sample(pool, 3)]
    return Weather(name=kind, faults=faults)
