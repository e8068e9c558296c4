"""The numbers of a writer: a ledger that the engine keeps, and frozen snapshots of it for everybody else."""

from __future__ import annotations

from typing import Literal

import attrs

WriterState = Literal["open", "paused", "stopped"]


@attrs.frozen(kw_only=True)
class DeliveryReport:
    """Where a writer stands. Always: `accepted == delivered + rejected + in_doubt + pending` (readings).

    Attributes:
        accepted: readings taken over from callers.
        delivered: readings the service acknowledged; one replaced while queued counts when its replacement does.
        rejected: readings that will not be delivered: refused by the service, or never sent.
        in_doubt: readings that may or may not be stored, with no more tries.
        pending: readings without a final outcome yet.
        kept: those of the pending that a writer which has stopped or closed leaves in its journal, for the next one.
        requests: bulk calls sent, retries and parts included.
        retries: calls that repeated an earlier one as it was.
        splits: batches that had to be taken apart.
        bytes: request bodies sent.
        in_flight: bulk calls under way now.
        max_in_flight: how many may be under way at present.
        memory_bytes: estimate of what is buffered and in flight.
        state: `"paused"` while the service is down, asks for patience or refuses the credentials; `"stopped"` for good.
    """

    accepted: int = 0
    delivered: int = 0
    rejected: int = 0
    in_doubt: int = 0
    pending: int = 0
    kept: int = 0
    requests: int = 0
    retries: int = 0
    splits: int = 0
    bytes: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    memory_bytes: int = 0
    state: WriterState = "open"


@attrs.define
class Ledger:
    """The counters behind `DeliveryReport`."""

    accepted: int = 0
    delivered: int = 0
    rejected: int = 0
    in_doubt: int = 0
    kept: int = 0
    requests: int = 0
    retries: int = 0
    splits: int = 0
    bytes: int = 0

    @property
    def pending(self) -> int:
        """Readings without a final outcome."""
        return self.accepted - self.delivered - self.rejected - self.in_doubt

    @property
    def open(self) -> int:
        """Readings that this writer will still find out about: those that stay in the journal are left out."""
        return self.pending - self.kept
