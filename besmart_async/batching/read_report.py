"""`ReadReport`: what became of the reads of one reader."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class ReadReport:
    """A reader's counts at one moment. `requested = answered + absent + failed + cancelled + pending`, always.

    Reads are counted per caller (a `stream` asks one read per part of a window), calls per bulk request.

    Attributes:
        requested: reads asked for.
        answered: reads the service answered, with readings or with an empty list of them.
        absent: reads the service gave no answer for, asked alone.
        failed: reads that ended with an error.
        cancelled: reads whose caller gave up first.
        pending: reads still waiting.
        shared: of those requested, reads that joined an identical one before it left.
        requests: bulk calls sent; the transport's own retries of a call are not counted.
        in_flight: bulk calls under way.
        asked_again: requests asked again alone, because their signal was missing from a bulk answer or in it twice.
        splits: bulk calls that were refused for one item's content and asked again in halves.
        extra: answers for signals that the call did not ask for; ignored.
    """

    requested: int = 0
    answered: int = 0
    absent: int = 0
    failed: int = 0
    cancelled: int = 0
    pending: int = 0
    shared: int = 0
    requests: int = 0
    in_flight: int = 0
    asked_again: int = 0
    splits: int = 0
    extra: int = 0
