"""What an ingest needs of a client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from besmart_async.batching import Writer, WriterHook
from besmart_async.batching.write.dead_letters import OnReject
from besmart_async.config import BatchPolicy
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.signal_types import SignalType


class SignalService(Protocol):
    """What an ingest needs of the service: `BesmartClient.signals`."""

    async def types(self) -> list[SignalType]:
        """All signal types."""
        ...

    async def read_bulk(self, queries: Sequence[SignalQuery]) -> list[SignalData]:
        """Read several signals: one answer per query, in their order."""
        ...


class OpenWriter(Protocol):
    """Makes the writer of an ingest: `BesmartClient.writer`."""

    def __call__(self, policy: BatchPolicy, *, on_reject: OnReject, hooks: Sequence[WriterHook]) -> Writer:
        """Return a new writer."""
        ...
