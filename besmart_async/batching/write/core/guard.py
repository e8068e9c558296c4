"""Notices that the service refuses everything, so that one mistake does not reject millions of readings.

If every reading of a writer is refused, it has the wrong account or unit, or writes to sensors that do not exist: it
must stop and say so. If a writer serves many producers and one of them sends bad data, it must continue. The share of
refused signals tells these cases apart. It is counted over time and by distinct signals: a signal that is refused a
thousand times counts once.
"""

from __future__ import annotations

from collections.abc import Sequence

from besmart_async.config import BatchPolicy
from besmart_async.models.keys import SignalKey

FEW_SIGNALS = 20
"""Fewer refused signals prove nothing: a writer with two signals may well have a wrong one."""
MANY_SIGNALS = 300
"""So many refused signals are proof at once. Fewer are, if they were refused for the whole window, or if nothing was
ever stored and nothing else waits."""
_MOST_COUNTED = 10_000


class RefusalGuard:
    """Counts the signals that were stored and refused lately.

    It trips when the share of refused signals reaches `BatchPolicy.max_refused_share`. What was stored or refused
    longer ago than `BatchPolicy.refusal_window_s` is forgotten.

    Attributes:
        suspicious: signals were refused lately and none was stored: other signals should be tried.
    """

    def __init__(self, policy: BatchPolicy) -> None:
        self._share = policy.max_refused_share
        self._window_s = policy.refusal_window_s
        self._refused: dict[SignalKey, float] = {}
        self._stored: dict[SignalKey, float] = {}
        self._bad_since: float | None = None
        self._ever_stored = False
        self._now = 0.0
        self.suspicious = False

    @property
    def refused_signals(self) -> int:
        """Signals refused lately."""
        return len(self._refused)

    def stored(self, keys: Sequence[SignalKey], now: float) -> None:
        """Record signals of which something was stored."""
        self._now = now
        self._ever_stored = True
        self.suspicious = False
        if not self._refused:
            self._stored = {keys[0]: now}  # nothing was refused: it is enough to know that something was stored
            return
        if self._share >= 1.0:
            self._bad_since = None
        for key in keys[:_MOST_COUNTED]:
            self._refused.pop(key, None)
            self._stored.pop(key, None)
            self._stored[key] = now
        self._forget()

    def batch_refused(self) -> None:
        """Record a batch that was refused as a whole; which of its signals are bad is not known yet."""
        self.suspicious = not self._stored

    def refused(self, key: SignalKey, now: float | None = None) -> None:
        """Record a signal of which nothing could be stored."""
        self._now = self._now if now is None else now
        if self._bad_since is None:
            self._bad_since = self._now
        self._refused.pop(key, None)
        self._refused[key] = self._now
        self._forget()
        self.suspicious = not self._stored

    def tripped(self, *, others_wait: bool = True) -> str | None:
        """Return the reason to stop, None if there is none.

        Args:
            others_wait: readings wait that were not tried yet: they may be somebody else's.
        """
        refused, stored = len(self._refused), len(self._stored)
        long = self._bad_since is not None and self._now - self._bad_since >= self._window_s
        few_will_do = long or not (self._ever_stored or others_wait)
        if refused < (FEW_SIGNALS if few_will_do else MANY_SIGNALS) or refused < self._share * (refused + stored):
            return None
        return f"the service refused {refused} of the last {refused + stored} signals"

    def reset(self) -> None:
        """Start again from zero."""
        self._refused.clear()
        self._stored.clear()
        self._bad_since = None
        self.suspicious = False

    def _forget(self) -> None:
        for counted in (self._refused, self._stored):
            while counted and (
                len(counted) > _MOST_COUNTED or next(iter(counted.values())) < self._now - self._window_s
            ):
                del counted[next(iter(counted))]
