"""What can be set on a simulator, each with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from besmart_async.simulator.http.requests import RecordedRequest

Dialect = Literal["documented", "live"]


def wall_clock_ms() -> float:
    """The time in UTC unix milliseconds."""
    return time.time() * 1000.0


@attrs.define(kw_only=True)
class Settings:
    """The simulator's settings; those that make sense may be changed while it runs.

    Attributes:
        dialect: "documented" serves the operations of the 0.1.5 document, "live" those of the service of today.
        api_key: What `X-Auth` must hold at a login.
        login: The one user's login.
        password: The one user's password.
        token_lifetime_s: Life of a token in seconds, counted from a login or refresh.
        rotate_on_refresh: A refresh hands out a new token and kills the old one at once.
        now_ms: The clock, UTC unix milliseconds.
        max_body_bytes: Bodies above this get the front end's 413, None for no limit.
        close_on_413: Answer 413 from Content-Length alone and close, as nginx does, without reading the body.
        max_items: Bulk requests of more items get a 422, None for no limit.
        max_readings: Bulk writes of more readings get a 422, None for no limit.
        till_inclusive: A reading exactly at `till` belongs to the answer.
        oddities: Answer in the document's odd forms (`meter_eid` as integer, `signal_type_moid` of a signal type
            as string, `signal_states` of a new state as `[[]]`).
        samples: Let the document's Python samples run as they stand: a path placeholder sent literally stands for the
            example where the operation documents no 404, and an absent graph is an empty graph.
        accepted_body: What 202 carries for an asynchronous graph.
        keep_bodies: Keep request bodies in `requests`.
        requests_kept: How many recorded requests are kept; the counters go on.
        on_request: Called with each request when its answer has left or its connection was aborted.
        seed: Seed of the random choices (token bytes, faults' probability and shuffling).
    """

    dialect: Dialect = "documented"
    api_key: str = "API_KEY"
    login: str = "login"
    password: str = attrs.field(default="password", repr=False)
    token_lifetime_s: float = 7200.0
    rotate_on_refresh: bool = True
    now_ms: Callable[[], float] = wall_clock_ms
    max_body_bytes: int | None = None
    close_on_413: bool = False
    max_items: int | None = None
    max_readings: int | None = None
    till_inclusive: bool = True
    oddities: bool = False
    samples: bool = True
    accepted_body: Literal["id", "text", "empty"] = "id"
    keep_bodies: bool = False
    requests_kept: int = 100_000
    on_request: Callable[[RecordedRequest], object] | None = None
    seed: int = 0

    @property
    def live(self) -> bool:
        """Whether the live dialect is spoken."""
        return self.dialect == "live"
