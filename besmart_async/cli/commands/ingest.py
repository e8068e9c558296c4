"""`besmart ingest`: files to the service. A thin shell over `besmart_async.ingest`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import attrs
from cyclopts import Parameter
from cyclopts.validators import Number

from besmart_async.cli.client import bulk_client, interruptible, service_for
from besmart_async.cli.exits import Exit, UsageError, exit_of
from besmart_async.cli.ingest_inputs import (
    Inputs,
    check_combination,
    check_creation,
    checked_limit,
    default_path,
    forget,
    inputs_of,
    scope_of,
)
from besmart_async.cli.terminal.day_chart import day_view
from besmart_async.cli.terminal.ingest_view import JsonLines, Observer, Terminal
from besmart_async.cli.terminal.output import printable, write
from besmart_async.cli.terminal.progress import ProgressBar
from besmart_async.cli.terminal.reject_file import reject_file
from besmart_async.client import BesmartClient
from besmart_async.ingest import (
    Checkpoint,
    DstRule,
    IngestJob,
    IngestReport,
    Meters,
    Reject,
    RejectLimit,
    SourceError,
    WorkerPool,
)

Flag = Annotated[bool, Parameter(negative="")]
Draw = Callable[[], object]


def ingest(
    files: Annotated[list[str], Parameter(allow_leading_hyphen=True, negative="")],
    /,
    *,
    simulate: Flag = False,
    verify: Flag = False,
    verify_sample: Annotated[bool, Parameter(negative="", show=False)] = False,
    dry_run: Flag = False,
    mapping: Path | None = None,
    file_format: Annotated[str | None, Parameter(name="--format")] = None,
    meters: Path | None = None,
    create_sensors: Annotated[bool, Parameter(negative="")] = False,
    signal_type: str | None = None,
    time_zone: str | None = None,
    dst: DstRule | None = None,
    decimal_comma: Flag = False,
    encoding: str | None = None,
    rejects: Path | None = None,
    max_rejects: str | None = None,
    checkpoint: Path | None = None,
    no_checkpoint: Flag = False,
    restart: Flag = False,
    workers: Annotated[int, Parameter(validator=Number(gte=1, lte=64))] = 1,
    rate_limit: Annotated[float | None, Parameter(validator=Number(gt=0))] = None,
    chart: bool = True,
    json: Flag = False,
) -> int:
    """Send readings from files, report, and show a day of them.

    A long file has one reading per row and the columns meter, time and value; a wide one has one row per meter and day,
    the columns meter and date, and a column for each period. Both may have obis (or signal), unit, origin and zone.
    What is otherwise, a mapping file tells.

    What is delivered is recorded. After an interruption, an outage or a kill the same command sends the rest, and a
    second run sends nothing new. A file counts as the same by what it holds, not by its name.

    Ctrl-C once: what was read is delivered and recorded. Twice: end now; what is under way is sent again next time.

    Exit codes: 0 done; 1 failed, too many rejects or not verified; 2 wrong usage; 3 some rows rejected; 4 not
    authenticated; 5 service unavailable, to be resumed; 130 interrupted, to be resumed.

    Parameters
    ----------
    files
        CSV files (plain, .gz, .zst), Parquet files, P1 telegrams; folders of them, patterns; - for standard input,
        which cannot be resumed.
    simulate
        Send to the embedded service instead, which starts empty and knows the meters of the files.
    verify
        Read everything in the files back and compare. --verify=sample compares one in 100 days of each signal.
    dry_run
        Do everything but send.
    mapping
        TOML file that tells what the files look like and mean; options go before it.
    file_format
        Format of the files, where neither their names nor their first bytes tell: csv, parquet, dsmr, or one that an
        installed package adds.
    meters
        CSV file with the columns meter, client_cid, sensor_mid and, if wanted, signal_type. Without it the files name
        meters like 12.122.
    create_sensors
        Create a sensor for every meter that is not found, and note it in the file of meters.
    signal_type
        OBIS code, symbol or id for rows that do not tell it.
    time_zone
        Zone of times without an offset, such as Europe/Warsaw.
    dst
        Which moment a local time means that comes twice or never, when clocks are changed. Without it such rows are
        rejected. infer: the first occurrence is the earlier moment, the second the later one. standard: the clock is
        on winter time all the year.
    decimal_comma
        Values are written 1,5.
    encoding
        Encoding of the files.
    rejects
        Write all rejected rows to this CSV file; mended, it ingests with the same command.
    max_rejects
        Give up when more rows than this are rejected: a number, or a share of the rows read, such as 0.5%.
    checkpoint
        Record what is delivered in this file; by default one of this user.
    no_checkpoint
        Record nothing, and send everything.
    restart
        Forget what was recorded of these files, and send everything.
    workers
        Processes that send; each reads all files and sends its own meters.
    rate_limit
        Send so many readings a second at most, all workers together.
    chart
        Draw a day of one meter at the end.
    json
        Print events as JSON lines and nothing else; the last is the report.
    """
    inputs = inputs_of(
        files,
        mapping=mapping,
        file_format=file_format,
        meters=meters,
        signal_type=signal_type,
        time_zone=time_zone,
        dst=dst,
        decimal_comma=decimal_comma,
        encoding=encoding,
    )
    order = _Order(
        inputs=inputs,
        create_sensors=create_sensors,
        verify="sample" if verify_sample else verify,
        dry_run=dry_run,
        simulate=simulate,
        rate_limit=rate_limit,
        max_rejects=checked_limit(max_rejects),
        workers=workers,
        chart=chart and not json,
    )
    check_combination(inputs, simulate, workers, checkpoint, no_checkpoint)
    check_creation(inputs, create_sensors, dry_run, workers)
    kept = None if simulate or no_checkpoint else checkpoint or default_path()
    try:
        with (
            nullcontext() if kept is None else Checkpoint(kept, order.scope) as record,
            reject_file(rejects, inputs) as refused,
            _observer(json) as observer,
        ):
            if restart and record is not None:
                forget(record, inputs.paths)
            report, drawing = asyncio.run(_ingest(order, record, observer, None if refused is None else refused.add))
    except SourceError as error:
        raise UsageError(str(error)) from None
    observer.report(report)
    if drawing:
        write("\n" + printable(drawing))
    return _exit(report)


@attrs.frozen(kw_only=True)
class _Order:
    inputs: Inputs
    create_sensors: bool
    verify: bool | Literal["sample"]
    dry_run: bool
    simulate: bool
    rate_limit: float | None
    max_rejects: RejectLimit | None
    workers: int
    chart: bool

    @property
    def scope(self) -> str:
        """What the rows mean and where they go. The table to which new sensors are added is no other one for that."""
        table = None if self.create_sensors else self.inputs.rules.table
        return scope_of(self.inputs.meaning, self.create_sensors, table=table)


async def _ingest(
    order: _Order, record: Checkpoint | None, observer: Observer, write_reject: Callable[[Reject], object] | None
) -> tuple[IngestReport, str | None]:
    def rejected(reject: Reject) -> None:
        if write_reject is not None:
            write_reject(reject)
        observer.reject(reject)

    async with service_for(order.inputs, simulate=order.simulate, create=order.create_sensors) as (client, meters):
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
    """Make what does it, in this process or in several; both are told the same."""
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
