"""What a job notes as it goes: how far it is, what was rejected, and why it must end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import attrs

from besmart_async.ingest.archive import Archive
from besmart_async.ingest.limits import RejectLimit
from besmart_async.ingest.progress import OnProgress, Progress
from besmart_async.ingest.report import LISTED_REJECTS, IngestReport, Reject, State, Verification
from besmart_async.ingest.sending import Sender


class Account:
    """The state of a job.

    Args:
        on_progress: told of every change of `progress`.
        on_reject: told of every reject; None for nobody.
        max_rejects: how many there may be.

    Attributes:
        progress: how far it is.
        rejected_before: rows that earlier runs have rejected.
        failure: what ended the job.
        stop: set when nothing more is to be read.
        abandon: set when nothing is to be waited for either.
    """

    def __init__(
        self, on_progress: OnProgress, on_reject: Callable[[Reject], object] | None, max_rejects: RejectLimit | None
    ) -> None:
        self.progress = Progress()
        self.rejected_before = 0
        self.failure: Exception | None = None
        self.stop = asyncio.Event()
        self.abandon = asyncio.Event()
        self._on_progress = on_progress
        self._on_reject = on_reject
        self._max_rejects = max_rejects
        self._rejects: list[Reject] = []

    def show(self, **changes: Any) -> None:
        """Change the progress, and tell it."""
        self.progress = attrs.evolve(self.progress, **changes)
        self._on_progress(self.progress)

    def count(self, sender: Sender) -> None:
        """Take over the numbers of sending."""
        sent = sender.report
        self.show(
            accepted=sent.delivered,
            in_flight=sent.in_flight,
            requests=sent.requests,
            retries=sent.retries,
            paused=sender.paused,
        )

    def reject(self, reject: Reject) -> None:
        """Note a rejected row."""
        if len(self._rejects) < LISTED_REJECTS:
            self._rejects.append(reject)
        self.show(rejected=self.progress.rejected + 1)
        self.tell(reject)

    def tell(self, reject: Reject) -> None:
        """Tell of a rejected row, without counting it."""
        if self._on_reject is not None:
            self._on_reject(reject)

    def judge(self, *, end: bool = False) -> None:
        """Judge the rejects so far.

        Raises:
            TooManyRejectsError: there are too many.
        """
        if self._max_rejects is not None:
            self._max_rejects.check(self.progress.rejected + self.rejected_before, self.progress.rows_read, end=end)

    def fail(self, error: Exception) -> None:
        """End the sending, unless that has begun already."""
        if self.failure is None and not self.stop.is_set():
            self.failure = error
            self.stop.set()

    def report(
        self,
        state: State,
        files: tuple[str, ...],
        unused_columns: tuple[str, ...],
        seconds: float,
        sender: Sender,
        archive: Archive | None,
        verification: Verification | None,
        *,
        dry: bool,
    ) -> IngestReport:
        """Say what was done."""
        sent, seen = sender.report, self.progress
        counted = None if verification is None or verification.sample else archive
        return IngestReport(
            state="failed" if self.failure is not None else state,
            dry=dry,
            files=files,
            rows_read=seen.rows_read,
            skipped=seen.skipped,
            accepted=sent.delivered,
            distinct=None if counted is None else counted.distinct,
            repeats_equal=None if counted is None else counted.repeats_equal,
            repeats_conflicting=None if counted is None else counted.repeats_conflicting,
            rejected=seen.rejected,
            rejected_before=self.rejected_before,
            in_doubt=sender.in_doubt,
            not_sent=seen.rows_read - seen.skipped - sent.delivered - seen.rejected - sender.in_doubt,
            meters=sender.tally.meters,
            signals=sender.tally.signals,
            requests=sent.requests,
            retries=sent.retries,
            body_bytes=sent.bytes,
            seconds=seconds,
            rejects=tuple(self._rejects),
            unused_columns=unused_columns,
            verification=verification,
            error=self.failure,
        )
