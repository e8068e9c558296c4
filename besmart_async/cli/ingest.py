"""`besmart ingest`: files to the service."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import attrs
import orjson
from cyclopts import Parameter

from besmart_async.cli.chart import busiest_day, day_chart, display_zone, printable
from besmart_async.cli.exits import Exit, UsageError, exit_of
from besmart_async.cli.inputs import Inputs, inputs_of
from besmart_async.cli.output import colourful, error_line, write
from besmart_async.cli.progress import ProgressBar
from besmart_async.cli.session import client_for, embedded, interruptible
from besmart_async.cli.summary import problems, summary
from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartError
from besmart_async.ingest import (
    DstRule,
    IngestJob,
    IngestReport,
    KnownMeters,
    MadeMeters,
    Meters,
    Reject,
    SourceError,
)
from besmart_async.models.keys import SensorKey
from besmart_async.models.queries import SignalQuery

if TYPE_CHECKING:
    from besmart_async.simulator import Simulator

_CLIENT_CID = 1
_METER_TYPE = "meter"


def ingest(
    files: Annotated[list[str], Parameter(allow_leading_hyphen=True, negative="")],
    /,
    *,
    simulate: Annotated[bool, Parameter(negative="")] = False,
    verify: Annotated[bool, Parameter(negative="")] = False,
    mapping: Path | None = None,
    file_format: Annotated[str | None, Parameter(name="--format")] = None,
    meters: Path | None = None,
    create_sensors: Annotated[bool, Parameter(negative="")] = False,
    signal_type: str | None = None,
    time_zone: str | None = None,
    dst: DstRule | None = None,
    decimal_comma: Annotated[bool, Parameter(negative="")] = False,
    encoding: str | None = None,
    rejects: Path | None = None,
    chart: bool = True,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Send readings from files, report, and show a day of them.

    A long file has one reading per row and the columns meter, time and value; a wide one has one row per meter and day,
    the columns meter and date, and a column for each period. Both may have obis (or signal), unit, origin and zone.
    What is otherwise, a mapping file tells.

    Exit codes: 0 done, 1 failed or not verified, 2 wrong usage, 3 some rows rejected, 4 not authenticated, 5 service
    unavailable, 130 interrupted.

    Parameters
    ----------
    files
        CSV files (plain, .gz, .zst), Parquet files, P1 telegrams; folders of them, patterns; - for standard input.
    simulate
        Send to the embedded service instead, which starts empty and knows the meters of the files.
    verify
        Read everything back and compare.
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
        Write all rejected rows to this CSV file.
    chart
        Draw a day of one meter at the end.
    json
        Print the report as JSON and nothing else.
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
    order = _Order(inputs, verify, create_sensors)
    try:
        with _reject_file(rejects) as on_reject:
            report, drawing = asyncio.run(_ingest(order, simulate, on_reject, chart and not json))
    except SourceError as error:
        raise UsageError(str(error)) from None
    if json:
        write(orjson.dumps(report.as_dict(), option=orjson.OPT_INDENT_2).decode())
    for line in () if json else summary(report):
        write(line)
    for line in problems(report):
        error_line(line)
    if drawing:
        write("\n" + printable(drawing))
    return _exit(report)


@attrs.frozen
class _Order:
    inputs: Inputs
    verify: bool
    create_sensors: bool


async def _ingest(
    order: _Order, simulate: bool, on_reject: Callable[[Reject], object] | None, chart: bool
) -> tuple[IngestReport, str | None]:
    async with _service(order, simulate) as (client, meters):
        with ProgressBar() as bar:
            job = IngestJob(
                client.signals,
                client.writer,
                order.inputs.sources,
                meters=meters,
                reading=order.inputs.reading,
                signal_type=order.inputs.signal_type,
                verify=order.verify,
                on_progress=bar.show,
                on_reject=on_reject,
            )
            with interruptible(job.stop):
                report = await job.run()
        drawing = await _draw(client, job) if chart and report.state == "completed" and report.accepted else None
        return report, drawing


@asynccontextmanager
async def _service(order: _Order, simulate: bool) -> AsyncGenerator[tuple[BesmartClient, Meters], None]:
    if not simulate:
        async with client_for() as client:
            yield client, order.inputs.meters(client.sensors, create=order.create_sensors)
        return
    known = order.inputs.known()
    simulator = embedded()(seed=False)
    with closing(simulator):
        async with client_for(simulator) as client:
            yield client, await _made_on_demand(simulator, client, known)


async def _made_on_demand(simulator: Simulator, client: BesmartClient, known: KnownMeters) -> MadeMeters:
    """Let meters become sensors of the embedded service as they are met."""
    types = await client.sensors.types()
    type_id = next((kind.id for kind in types if kind.name == _METER_TYPE and kind.id is not None), 1)
    made: set[SensorKey] = set()

    async def create(name: str) -> SensorKey:
        return await client.sensors.create(name=name, sensor_type_id=type_id, client_cid=_CLIENT_CID, sensor_eid=name)

    def provide(name: str, key: SensorKey) -> None:
        if key not in made:
            simulator.add_sensor(key.client_cid, key.sensor_mid, name=name, sensor_type_id=type_id)
            made.add(key)

    return MadeMeters(known, create, provide)


async def _draw(client: BesmartClient, job: IngestJob) -> str | None:
    """Read one day of the signal with the most readings back and draw it."""
    delivered = max(job.delivered, key=len)
    key = delivered.key
    zone = display_zone(job.zone(key))
    day = busiest_day(delivered.time, delivered.value, zone)
    try:
        [data] = await client.signals.read_bulk([SignalQuery(key, *day.window, get_last=True)])
        types = await client.signals.types()
    except BesmartError as error:
        error_line(f"no chart: {error}")
        return None
    kind = next((kind for kind in types if kind.signal_type_moid == key.signal_type_moid), None)
    symbol = (kind and (kind.obis_mapping or kind.symbol)) or str(key)
    unit = f" [{data.unit}]" if data.unit else ""
    title = f"{delivered.meter} {symbol}{unit} on {day.start:%A %Y-%m-%d} ({zone})"
    if not len(data):
        return None
    try:
        return day_chart(data, day, title, colour=colourful())
    except ModuleNotFoundError:
        error_line("no chart: it needs plotext: pip install 'besmart-async[cli]'")
    return None


@contextmanager
def _reject_file(path: Path | None) -> Generator[Callable[[Reject], object] | None, None, None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from None
    with file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "row", "column", "value", "reason"))
        yield lambda reject: writer.writerow(attrs.astuple(reject))


def _exit(report: IngestReport) -> int:
    if report.error is not None:
        return Exit.ERROR if isinstance(report.error, SourceError) else exit_of(report.error)
    if report.state == "interrupted":
        return Exit.INTERRUPTED
    if report.verification is not None and not report.verification.ok:
        return Exit.ERROR
    return Exit.REJECTED if report.rejected else Exit.OK
