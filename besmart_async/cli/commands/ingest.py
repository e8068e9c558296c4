"""`besmart ingest`: sending files to the service. A thin shell over `besmart_async.ingest`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from besmart_async.cli.checkpoint_scope import identity_of
from besmart_async.cli.client import bulk_client, interruptible, service_for
from besmart_async.cli.exits import Exit, UsageError, exit_of
from besmart_async.cli.ingest_inputs import (
    FileOptions,
    Inputs,
    check_combination,
    check_creation,
    checked_limit,
    default_path,
    forget,
    inputs_of,
    scope_of,
)
from besmart_async.cli.options import Flag, picture_format
from besmart_async.cli.terminal.day_chart import DayView, day_view
from besmart_async.cli.terminal.ingest_view import JsonLines, Observer, Terminal
from besmart_async.cli.terminal.output import error_line, write_drawing
from besmart_async.cli.terminal.progress import ProgressBar
from besmart_async.cli.terminal.reject_file import reject_file
from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartError, visible
from besmart_async.export.files import complete_file
from besmart_async.ingest import (
    PAGE_TIMEOUT_S,
    Checkpoint,
    CheckpointError,
    IngestJob,
    IngestReport,
    Meters,
    Reject,
    RejectLimit,
    SourceError,
    WorkerPool,
)
from besmart_async.plots import is_picture


def ingest(
    files: Annotated[list[str], Parameter(allow_leading_hyphen=True, negative="")],
    /,
    *,
    options: FileOptions = FileOptions(),  # noqa: B008 - a frozen value
    simulate: Flag = False,
    verify: Flag = False,
    verify_sample: Annotated[bool, Parameter(negative="", show=False)] = False,
    dry_run: Flag = False,
    create_sensors: Flag = False,
    max_rejects: str | None = None,
    checkpoint: Path | None = None,
    no_checkpoint: Flag = False,
    restart: Flag = False,
    account: str | None = None,
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 1,
    rate_limit: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    page_timeout: Annotated[float, Parameter(validator=Number(gte=0))] = PAGE_TIMEOUT_S,
    chart: bool = True,
    chart_file: Path | None = None,
    json: Flag = False,
) -> int:
    """Send readings from files, report, and show a day of them.

    A long file has one reading per row and the columns meter, time and value. A wide file has one row per meter and
    day, the columns meter and date, and a column for each period. Both may have obis (or signal), unit, origin and
    zone. A mapping file describes files in any other form.

    What is delivered is recorded. After an interruption, an outage or a kill the same command sends the rest, and a
    second run sends nothing new. A file is recognized by its content, not by its name.

    Ctrl-C once: what was read is delivered and recorded. Twice: the command ends now; what is under way is sent again
    next time.

    Exit codes: 0 done; 1 failed, too many rejects or not verified; 2 wrong usage; 3 some rows rejected; 4 not
    authenticated; 5 service unavailable, run it again later; 130 interrupted, run it again later.

    Parameters
    ----------
    files
        CSV files (plain, .gz, .zst), Parquet, Excel, P1 telegrams, NEM12, MSCONS, Green Button; zip archives and
        folders of them, patterns; - for standard input, which cannot be resumed.
    simulate
        Send to the embedded service instead, which starts empty and knows the meters of the files.
    verify
        Read back everything that the files have, and compare. --verify=sample compares one in 100 days of each signal.
    dry_run
        Do everything but send.
    create_sensors
        Create a sensor for every meter that is not found, and add it to the file of meters.
    max_rejects
        Give up when more rows than this are rejected: a number, or a share of the rows read, such as 0.5%.
    checkpoint
        Record in this file what is delivered; by default in a file of this user.
    no_checkpoint
        Record nothing, and send everything.
    restart
        Forget what was recorded about these files, and send everything.
    account
        Whose checkpoint it is: a name of your choice. Needed only where BESMART_TOKEN changes between runs; otherwise
        the login's user id and the API key tell accounts apart, or the token if there is only that.
    workers
        Number of processes that send; each reads all files and sends the readings of its own meters.
    rate_limit
        Send at most this many readings a second, all workers together.
    page_timeout
        End with 5 when a proxy or portal has answered in place of the service for so many seconds. Its pages reject no
        row; the next run sends them.
    chart
        Draw a day of one meter at the end.
    chart_file
        Draw that day to this file, whose name ends with .png, .svg or .html. Needs the extra plot.
    json
        Print events as JSON lines and nothing else; the last one is the report.
    """
    with _observer(json) as observer:
        try:
            form = None if chart_file is None else picture_format(chart_file, "--chart-file")
            order = _Order(
                inputs=inputs_of(files, options),
                rejects=options.rejects,
                escape_formulas=options.escape_formulas,
                mapping=options.mapping,
                create_sensors=create_sensors,
                verify="sample" if verify_sample else verify,
                dry_run=dry_run,
                simulate=simulate,
                rate_limit=rate_limit,
                max_rejects=checked_limit(max_rejects),
                page_timeout_s=page_timeout,
                workers=workers,
                restart=restart,
                account=None if account is None else account.strip(),
                chart=(chart and not json) or chart_file is not None,
            )
            check_combination(order.inputs, simulate, workers, checkpoint, no_checkpoint, account)
            check_creation(order.inputs, create_sensors, dry_run, workers)
            kept = None if simulate or no_checkpoint else checkpoint or default_path()
            report, drawing = _ingested(order, kept, observer)
        except (BesmartError, UsageError, SourceError) as error:
            if json:
                observer.report(IngestReport(state="failed", error=error))  # whatever happens, it comes last
            if isinstance(error, SourceError):
                raise UsageError(str(error)) from None
            raise
    observer.report(report)
    for text in order.inputs.left_out:
        error_line(visible(text, one_line=True))
    if drawing and chart and not json:
        write_drawing("\n" + drawing.text())
    if drawing and chart_file is not None and form is not None:
        with complete_file(chart_file, is_picture) as stream:
            stream.write(drawing.image(form))
    return _exit(report)


@attrs.frozen(kw_only=True)
class _Order:
    inputs: Inputs
    rejects: Path | None
    escape_formulas: bool
    mapping: Path | None
    create_sensors: bool
    verify: bool | Literal["sample"]
    dry_run: bool
    simulate: bool
    rate_limit: float | None
    max_rejects: RejectLimit | None
    page_timeout_s: float
    workers: int
    restart: bool
    account: str | None
    chart: bool

    def files(self, kept: Path | None) -> list[tuple[str, Path | None]]:
        """Files besides those that are read, and what each is."""
        beside = () if kept is None else (kept.with_name(kept.name + end) for end in ("", "-wal", "-shm", ".lock"))
        return [("the mapping file", self.mapping), *(("of the checkpoint", path) for path in beside)]

    def scope(self, identity: Sequence[str] | None) -> str:
        """What the rows mean and where they go. A table that new sensors are added to stays the same table."""
        table = None if self.create_sensors else self.inputs.rules.table
        return scope_of(self.inputs.meaning, self.create_sensors, table=table, identity=identity)


def _ingested(order: _Order, kept: Path | None, observer: Observer) -> tuple[IngestReport, DayView | None]:
    with (
        nullcontext() if kept is None else _checkpoint(order, kept) as record,
        reject_file(order.rejects, order.inputs, order.files(kept), escape_formulas=order.escape_formulas) as rejects,
    ):
        report, drawing = asyncio.run(_ingest(order, record, observer, None if rejects is None else rejects.add))
        if rejects is not None and rejects.error is not None and report.error is None:
            report = attrs.evolve(report, error=rejects.error)
        return report, drawing


def _checkpoint(order: _Order, path: Path) -> Checkpoint:
    try:
        return Checkpoint(path, former_scope=order.scope(None))
    except CheckpointError as error:  # nothing was sent
        raise UsageError(str(error)) from None


async def _ingest(
    order: _Order, record: Checkpoint | None, observer: Observer, write_reject: Callable[[Reject], object] | None
) -> tuple[IngestReport, DayView | None]:
    def rejected(reject: Reject) -> None:
        if write_reject is not None:
            write_reject(reject)
        observer.reject(reject)

    async with service_for(order.inputs, simulate=order.simulate, create=order.create_sensors) as (client, meters):
        if record is not None:
            record.scope = order.scope(await identity_of(client, record.salt, order.account))
            if order.restart:
                forget(record, order.inputs.paths)
        job = _job(order, client, meters, record, observer, rejected)
        report = await _run(job, observer)
        largest = job.largest
        drawing = None
        if order.chart and report.state == "completed" and largest is not None:
            drawing = await day_view(client, largest, job.zone(largest.key))
        return report, drawing


def _job(
    order: _Order,
    client: BesmartClient,
    meters: Meters,
    record: Checkpoint | None,
    observer: Observer,
    on_reject: Callable[[Reject], object],
) -> IngestJob | WorkerPool:
    """Return the job: in this process, or a pool of workers; both take the same settings."""
    make: Callable[..., IngestJob | WorkerPool] = partial(
        IngestJob, client.signals, client.writer, order.inputs.sources, meters=meters
    )
    if order.workers > 1:
        make = partial(WorkerPool, bulk_client, order.inputs.sources, order.workers, meters=order.inputs.known())
    return make(
        reading=order.inputs.reading,
        signal_type=order.inputs.signal_type,
        verify=order.verify,
        checkpoint=record,
        dry_run=order.dry_run,
        rate_limit=order.rate_limit,
        max_rejects=order.max_rejects,
        page_timeout_s=order.page_timeout_s,
        on_start=observer.start,
        on_progress=observer.progress,
        on_reject=on_reject,
    )


async def _run(job: IngestJob | WorkerPool, observer: Observer) -> IngestReport:
    def stop() -> None:
        observer.stopping("stopping: delivering what was read; Ctrl-C again ends now")
        job.stop()

    def stop_now() -> None:
        observer.stopping("stopping now")
        job.stop(now=True)

    with interruptible(stop, stop_now):
        return await job.run()


@contextmanager
def _observer(json: bool) -> Generator[Observer, None, None]:
    if json:
        yield JsonLines()
        return
    with ProgressBar() as bar:
        yield Terminal(bar)


def _exit(report: IngestReport) -> int:
    if report.error is not None:
        return Exit.ERROR if isinstance(report.error, SourceError) else exit_of(report.error)
    if report.state == "interrupted":
        return Exit.INTERRUPTED
    if report.verification is not None and not report.verification.ok:
        return Exit.ERROR
    return Exit.REJECTED if report.rejected or report.rejected_before else Exit.OK
