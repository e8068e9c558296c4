"""The counters behind a `DeliveryReport`."""

from __future__ import annotations

import attrs


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
        """Readings whose outcome this writer will still learn: those that stay in the journal are not counted."""
        return self.pending - self.kept
