"""What a client knows about its service and its work, without asking: for health checks."""

from __future__ import annotations

from typing import Literal

import attrs

from besmart_async.models.delivery import DeliveryReport


@attrs.frozen(kw_only=True)
class TransportHealth:
    """The state of a client's calls.

    Attributes:
        closed: the client is closed.
        failing: the last call failed in a way that concerns all (see `last_error`).
        calls_in_flight: requests under way now.
        calls_waiting: calls that wait for a free connection.
        paused_s: seconds of the pause that the service asked for; 0 if there is none.
        token_expires_in_s: seconds for which the token is valid; None if there is none, or its life is unknown.
        last_answer_age_s: seconds since the service last answered a call; None if it has not.
        last_error: the last failure that concerns all calls: no answer, 401, 429 or 5xx; without secrets.
        last_error_age_s: seconds since then.
    """

    closed: bool
    failing: bool
    calls_in_flight: int
    calls_waiting: int
    paused_s: float
    token_expires_in_s: float | None
    last_answer_age_s: float | None
    last_error: str | None
    last_error_age_s: float | None


@attrs.frozen(kw_only=True)
class Health:
    """The state of a client and of its writers, for a health check; see `BesmartClient.health`.

    Attributes:
        transport: the state of its calls.
        writers: the report of each writer that was used and is not closed.
    """

    transport: TransportHealth
    writers: tuple[DeliveryReport, ...]

    @property
    def state(self) -> Literal["ready", "failing", "paused", "closed"]:
        """What is known.

        `"ready"`: nothing is wrong. `"failing"`: the last call failed for a reason that concerns all, or a writer has
        stopped. `"paused"`: the service asked for a pause, or a writer waits for it.
        """
        calls = self.transport
        if calls.closed:
            return "closed"
        if calls.paused_s > 0 or any(writer.state == "paused" for writer in self.writers):
            return "paused"
        stopped = any(writer.state == "stopped" for writer in self.writers)
        return "failing" if calls.failing or stopped else "ready"

    @property
    def ok(self) -> bool:
        """Whether the state is `"ready"`."""
        return self.state == "ready"

    @property
    def pending(self) -> int:
        """Readings that writers have accepted and that have no final outcome yet."""
        return sum(writer.pending for writer in self.writers)
