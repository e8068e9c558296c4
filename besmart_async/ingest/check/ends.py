"""Which `time.ends` fits a file whose labels are the ends of periods: both are tried."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from besmart_async.ingest.check.report import CheckReport
from besmart_async.ingest.parse.parser import ParseOptions
from besmart_async.ingest.parse.zones import set_backs, zone_of


async def ends_tried(
    report: CheckReport, reading: ParseOptions, check: Callable[[ParseOptions], Awaitable[CheckReport]]
) -> dict[str, int]:
    """Return how many rows are rejected with each `time.ends`, with `dst = "infer"`.

    Nothing is tried, and the answer is empty, if it makes no difference: times are starts, the clock is not set back
    between the first reading and the last one, or another rule decides.

    Args:
        report: what was found with `reading`.
        reading: how the files are read.
        check: reads the files in another way.
    """
    decided = reading.dst not in (None, "infer") or reading.hours == "elapsed"
    if reading.interval == "start" or decided or reading.time_zone is None or report.error is not None:
        return {}
    if report.since_ms is None or report.till_ms is None:
        return {}
    if not set_backs(zone_of(reading.time_zone), report.since_ms, report.till_ms):
        return {}
    found: dict[str, int] = {}
    for ends in ("clock", "elapsed"):
        tried = attrs.evolve(reading, dst="infer", ends=ends)
        found[ends] = (report if tried == reading else await check(tried)).rejected
    return found
