"""What a service says about itself, found out with requests that change nothing.

The paths that only one dialect has are asked for without credentials: a service that has the path says that they are
missing (401) or that something else is wrong, and one that does not have it answers as it answers for any other path.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

from besmart_async.errors import ApiError, Response
from besmart_async.wire.dialect import DOCUMENTED, Dialect, DialectName
from besmart_async.wire.failures import http_date_ms
from besmart_async.wire.operation import Auth, Operation, OperationSender

_ONLY_IN: dict[str, DialectName] = {
    "/weather/external/find/mid": "live",
    "/clients/1/meters": "live",
    "/sensors/1/meters": "documented",
}
_NOWHERE = "/besmart-doctor/no-such-path"
_THERE = frozenset({200, 204, 400, 401, 403, 422})
"""Statuses that a path may answer with if it exists."""


def _wall_clock_ms() -> float:
    return time.time() * 1000


@attrs.frozen(kw_only=True)
class ServiceProbe:
    """What a service answered.

    Attributes:
        dialect: the dialect whose paths it has; None if it has those of both, or of none.
        statuses: the status for each path that was asked for.
        clock_ahead_s: how far the clock of this machine is ahead of that of the service, in seconds; None if its
            answers have no `Date`. Accurate to about a second.
        server: the `Server` header, if there is one.
    """

    dialect: DialectName | None
    statuses: dict[str, int]
    clock_ahead_s: float | None
    server: str | None


class Probes:
    """Questions about the service itself. They change nothing."""

    def __init__(
        self,
        sender: OperationSender,
        dialect: Dialect = DOCUMENTED,
        wall_clock_ms: Callable[[], float] = _wall_clock_ms,
    ) -> None:
        self._sender = sender
        self._dialect = dialect
        self._wall_clock_ms = wall_clock_ms

    async def service(self) -> ServiceProbe:
        """Find out which dialect the service speaks, without credentials (GET only).

        Raises:
            TransportError: the service cannot be reached.
        """
        statuses: dict[str, int] = {}
        ahead: list[float] = []
        server: str | None = None
        for path in (_NOWHERE, *_ONLY_IN):
            asked_ms = self._wall_clock_ms()
            answer = await self._answer(path)
            middle_ms = (asked_ms + self._wall_clock_ms()) / 2
            statuses[path] = answer.status
            server = answer.headers.get("server") or server
            sent_ms = http_date_ms(answer.headers.get("date", ""))
            if sent_ms is not None:
                ahead.append((middle_ms - sent_ms - 500) / 1000)  # the header has whole seconds, cut off
        usual = statuses[_NOWHERE]
        found: set[DialectName] = {
            dialect for path, dialect in _ONLY_IN.items() if statuses[path] in _THERE and statuses[path] != usual
        }
        return ServiceProbe(
            dialect=found.pop() if len(found) == 1 else None,
            statuses=statuses,
            clock_ahead_s=min(ahead, key=abs) if ahead else None,
            server=server,
        )

    async def takes_body(self, size: int) -> bool:
        """Return whether a request with a body of `size` bytes gets through: a bulk read of nothing, with spaces in it.

        Raises:
            ApiError: another answer than 413 or one that judges the content.
            TransportError: no answer came; some front ends close the connection at a body that is too large.
        """
        operation = self._dialect.operation(
            "signals.read_bulk",
            body=b"[%b]" % (b" " * (size - 2)),
            replay=True,
            writes=False,
            decode=lambda response: response,
        )
        try:
            await self._sender.send(operation)
        except ApiError as error:
            if error.status not in {400, 413, 422}:
                raise
            return error.status != 413
        return True

    async def _answer(self, path: str) -> Response:
        operation = Operation[Response](
            name="probes.service",
            method="GET",
            path=path,
            auth=Auth.NONE,
            replay=True,
            writes=False,
            decode=lambda response: response,
        )
        try:
            return await self._sender.send(operation)
        except ApiError as error:
            return error.response
