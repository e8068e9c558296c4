"""A Spark data source (extra `spark`, pyspark 4): `spark.dataSource.register(BesmartDataSource)`, then `besmart`.

`df.write.format("besmart").mode("append").save()` sends a frame, `df.writeStream.format("besmart")` a stream, and
`spark.read.format("besmart")` reads. Options are texts and are shown in plans: credentials come from the environment of
the workers (BESMART_LOGIN, BESMART_PASSWORD or BESMART_PASSWORD_FILE …), and options that look like them are refused.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import orjson

from besmart_async.config import BatchPolicy
from besmart_async.errors import BesmartError, InvalidInputError
from besmart_async.ingest import (
    FileMapping,
    FilePart,
    PartitionReport,
    PartitionSettings,
    ingest_partition,
    read_mapping,
)
from besmart_async.ingest.partition import client_of_worker
from besmart_async.ingest.sources.columns import pa, pc
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData
from besmart_async.models.times import to_whole_ms

try:
    import pyarrow.parquet as pq
    from pyspark import TaskContext
    from pyspark.sql.datasource import (
        DataSource,
        DataSourceArrowWriter,
        DataSourceReader,
        DataSourceStreamArrowWriter,
        InputPartition,
        WriterCommitMessage,
    )
except ModuleNotFoundError as error:
    hint = "pyspark or pyarrow is missing: pip install 'besmart-async[spark]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

SCHEMA = (
    "client_cid long, sensor_mid long, signal_type_moid long, time timestamp, value double, type string, origin long,"
    " unit string"
)
"""Columns of what is read."""

_LOG = logging.getLogger("besmart_async.engines")
_SECRET = ("password", "token", "api_key", "apikey", "login", "secret", "credential", "user", "auth")
_KEY = r"^(?P<meter>[0-9]+\.[0-9]+)\.(?P<signal>[0-9]+)$"
_DAY_MS = 86_400_000
_WRITE_OPTIONS = (
    *("mapping", "meters", "signal_type", "time_zone", "rejects", "checkpoint", "report"),
    *("parallelism", "max_in_flight", "rate_limit", "account"),
)
_READ_OPTIONS = ("signals", "signals_file", "since", "till", "days_per_partition", "signals_per_partition")


class BesmartDataSource(DataSource):
    """The data source `besmart`; see docs/how-to/spark.md for its options."""

    @classmethod
    def name(cls) -> str:
        """The name for `format`."""
        return "besmart"

    def schema(self) -> str:
        """The columns of what is read; values that are not doubles are an error."""
        return SCHEMA

    def reader(self, schema: StructType) -> BesmartReader:
        """Return the reader.

        Raises:
            InvalidInputError: an option is missing, unknown or wrong.
        """
        return BesmartReader(read_order(self.options))

    def writer(self, schema: StructType, overwrite: bool) -> BesmartFrameWriter:
        """Return the writer of a frame.

        Raises:
            InvalidInputError: an option is unknown or wrong, or the mode is overwrite.
        """
        return BesmartFrameWriter(*_write_order(self.options, overwrite))

    def streamWriter(self, schema: StructType, overwrite: bool) -> BesmartStreamWriter:  # noqa: N802 - Spark's name
        """Return the writer of a stream; raises as `writer`."""
        return BesmartStreamWriter(*_write_order(self.options, overwrite))


@attrs.frozen
class ReportMessage(WriterCommitMessage):
    """The report of one partition, on its way to the driver."""

    report: PartitionReport


class BesmartFrameWriter(DataSourceArrowWriter):
    """Sends the partitions of a frame."""

    def __init__(self, settings: PartitionSettings, report: Path | None) -> None:
        self._settings = settings
        self._report = report

    def write(self, iterator: Iterator[Any]) -> WriterCommitMessage:
        """Send one partition; runs in a worker."""
        return _sent(iterator, self._settings)

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        """Note the reports; runs in the driver when all partitions are done."""
        _committed(_reports(messages), self._report, "the job")

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        """Log what may have arrived; runs in the driver when a partition has failed for good."""
        _aborted(messages, "the job")


class BesmartStreamWriter(DataSourceStreamArrowWriter):
    """Sends the partitions of the batches of a stream."""

    def __init__(self, settings: PartitionSettings, report: Path | None) -> None:
        self._settings = settings
        self._report = report

    def write(self, iterator: Iterator[Any]) -> WriterCommitMessage:
        """Send one partition of a batch; runs in a worker."""
        return _sent(iterator, self._settings)

    def commit(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803 - Spark's name
        """Note the reports of a batch; with the option `report`, in a file of its own beside that name."""
        place = self._report
        if place is not None:
            place = place.with_name(f"{place.stem}-{batchId}{place.suffix}")
        _committed(_reports(messages), place, f"batch {batchId}")

    def abort(self, messages: list[WriterCommitMessage | None], batchId: int) -> None:  # noqa: N803 - Spark's name
        """Log what may have arrived."""
        _aborted(messages, f"batch {batchId}")


def _sent(batches: Iterator[Any], settings: PartitionSettings) -> ReportMessage:
    """Send the batches of one partition.

    They go through a Parquet file on the worker's disk: memory stays bounded, and the same unit sends them as the parts
    of files. The record of what is done goes by the content, so a partition that is computed again is recognized.
    """
    context = TaskContext.get()
    name = f"partition-{context.partitionId() if context is not None else 0}"
    with TemporaryDirectory(prefix="besmart-") as folder:
        path = Path(folder) / f"{name}.parquet"
        writer: Any = None
        try:
            for batch in batches:
                table = _nullable(_with_names(pa.Table.from_batches([batch])))
                if writer is None:
                    writer = pq.ParquetWriter(path, table.schema, compression="snappy")
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            return ReportMessage(PartitionReport(part=name))
        report = ingest_partition(FilePart(path=str(path)), settings)
        return ReportMessage(attrs.evolve(report, part=name))


def _with_names(table: Any) -> Any:
    """Give a table with a column `key`, such as 12.122.32, the columns that files have: the meter and the signal."""
    if "key" not in table.column_names or "meter" in table.column_names:
        return table
    key = pc.cast(table.column("key"), pa.string())
    parts = pc.extract_regex(key, _KEY)
    meter = pc.coalesce(pc.struct_field(parts, "meter"), key)  # a key of another form is a reject that names it
    return (
        table.drop_columns(["key"])
        .append_column("meter", meter)
        .append_column("signal", pc.struct_field(parts, "signal"))
    )


def _nullable(table: Any) -> Any:
    """Forget what a plan knows of nulls, and metadata: the same readings must be the same bytes, whatever the plan."""
    return table.cast(pa.schema([(field.name, field.type) for field in table.schema]))


def _reports(messages: Sequence[WriterCommitMessage | None]) -> list[PartitionReport]:
    return [message.report for message in messages if isinstance(message, ReportMessage)]


def _committed(reports: Sequence[PartitionReport], place: Path | None, what: str) -> None:
    total = _total(reports)
    _LOG.info("%s: %s", what, total)
    if place is not None:
        plain = {"total": total, "partitions": [attrs.asdict(one) for one in reports]}
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2))


def _total(reports: Sequence[PartitionReport]) -> dict[str, int]:
    names = ("rows", "accepted", "rejected", "requests", "retries", "repeated")
    return {name: sum(getattr(one, name) for one in reports) for name in names}


def _aborted(messages: Sequence[WriterCommitMessage | None], what: str) -> None:
    reports = _reports(messages)
    _LOG.error(
        "%s failed: %d of %d partitions arrived (%s); of the others any reading may have arrived. Run it again: what"
        " arrived is sent again at most, which changes nothing",
        *(what, len(reports), len(messages), _total(reports)),
    )


# -- options -----------------------------------------------------------------------------------------------------------


def _checked(options: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    found = {name.casefold(): value for name, value in options.items()}
    for name, value in found.items():
        if name in known or name == "checkpointlocation":  # that one is Spark's
            continue
        if any(word in name for word in _SECRET):
            raise InvalidInputError(
                f"option {name}", "…", "credentials are no options, which plans show: set BESMART_* for the workers"
            )
        if name != "path":
            raise InvalidInputError(f"option {name}", value, f"is unknown; there are {', '.join(known)}")
    if "path" in found:
        raise InvalidInputError("option path", found["path"], "call save() without a path: it goes to the service")
    return found


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    text = options.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < np.inf:
        raise InvalidInputError(f"option {name}", text, "give a number above 0")
    return number


def _count(options: Mapping[str, str], name: str, default: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise InvalidInputError(f"option {name}", text, "give a whole number, 1 or more")
    return int(text)


def _write_order(options: Mapping[str, str], overwrite: bool) -> tuple[PartitionSettings, Path | None]:
    if overwrite:
        raise InvalidInputError("mode", "overwrite", 'nothing is deleted here; say mode("append")')
    given = _checked(options, _WRITE_OPTIONS)
    try:
        mapping = read_mapping(Path(given["mapping"])) if "mapping" in given else FileMapping()
    except BesmartError as error:
        raise InvalidInputError("option mapping", given["mapping"], str(error)) from None
    meters = given.get("meters")
    if meters is not None and not Path(meters).is_file():
        raise InvalidInputError("option meters", meters, "no such file; give a table of meters that all workers see")
    mapping = attrs.evolve(
        mapping,
        form=attrs.evolve(mapping.form, format="parquet"),
        reading=attrs.evolve(mapping.reading, time_zone=given.get("time_zone", mapping.reading.time_zone)),
        signal_type=given.get("signal_type", mapping.signal_type),
        meters=attrs.evolve(mapping.meters, table=Path(meters) if meters else mapping.meters.table),
    )
    calls = _count(given, "max_in_flight", 0) or None
    settings = PartitionSettings(
        mapping=mapping,
        policy=BatchPolicy(max_in_flight=calls),
        share=1 / _count(given, "parallelism", 1),
        rate_limit=_number(given, "rate_limit", 0.0) or None,
        checkpoint=given.get("checkpoint"),
        rejects=given.get("rejects"),
        account=given.get("account"),
    )
    return settings, Path(given["report"]) if "report" in given else None


# -- reading -----------------------------------------------------------------------------------------------------------


class ReadPart(InputPartition):
    """Some signals in a window, `since <= time < till`; the last window of a read includes `till`."""

    def __init__(self, keys: Sequence[str], since: int, till: int, *, last: bool) -> None:
        super().__init__(None)
        self.keys, self.since, self.till, self.last = tuple(keys), since, till, last


@attrs.frozen
class ReadOrder:
    """What to read: signals, a window in unix milliseconds, and how large parts are."""

    keys: tuple[str, ...]
    since: int
    till: int
    days: float
    signals: int


def read_order(options: Mapping[str, str]) -> ReadOrder:
    """Check the options of a read.

    Raises:
        InvalidInputError: the text names the option.
    """
    given = _checked(options, _READ_OPTIONS)
    if ("signals" in given) == ("signals_file" in given):
        raise InvalidInputError("option signals", given.get("signals"), "give either signals, or signals_file")
    if "signals" in given:
        name, texts = "signals", given["signals"].replace(",", " ").split()
    else:
        name = "signals_file"
        try:
            texts = Path(given[name]).read_text("utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"option {name}", given[name], f"cannot be read: {error}") from None
    keys = dict.fromkeys(str(_key(name, text)) for text in texts)
    if not keys:
        raise InvalidInputError(f"option {name}", given[name], "names no signal; write 12.122.32, 12.123.32")
    since, till = (_moment(given, end) for end in ("since", "till"))
    if since > till:
        raise InvalidInputError("option till", given["till"], f"lies before since, {given['since']}")
    days = _number(given, "days_per_partition", 31.0)
    return ReadOrder(tuple(keys), since, till, days, _count(given, "signals_per_partition", 200))


def _key(option: str, text: str) -> SignalKey:
    try:
        return SignalKey.parse(text)
    except InvalidInputError as error:
        raise InvalidInputError(f"option {option}", text, str(error)) from None


def _moment(options: Mapping[str, str], name: str) -> int:
    text = options.get(name, "").strip()
    advice = "give a time with its offset, such as 2024-01-01T00:00:00Z, or unix milliseconds"
    try:
        return int(text) if text.lstrip("-").isdigit() else to_whole_ms(datetime.fromisoformat(text), name)
    except (ValueError, InvalidInputError):
        raise InvalidInputError(f"option {name}", text, advice) from None


class BesmartReader(DataSourceReader):
    """Reads signals, in parts by signals and time."""

    def __init__(self, order: ReadOrder) -> None:
        self._order = order

    def partitions(self) -> Sequence[InputPartition]:
        """Divide the read; runs in the driver."""
        order = self._order
        step = max(1, int(order.days * _DAY_MS))
        ends = [*range(order.since, order.till, step), order.till]
        ends = ends if len(ends) > 1 else [order.since, order.till]
        starts = range(0, len(order.keys), order.signals)
        return [
            ReadPart(order.keys[start : start + order.signals], since, till, last=till == order.till)
            for start in starts
            for since, till in pairwise(ends)
        ]

    def read(self, partition: InputPartition) -> Iterator[Any]:
        """Read one part; runs in a worker."""
        if not isinstance(partition, ReadPart):
            raise InvalidInputError("partition", type(partition).__name__, "give a part that partitions() made")
        with asyncio.Runner() as runner:
            found = _read(partition)
            try:
                while (batch := runner.run(anext(found, None))) is not None:
                    yield batch
            finally:
                runner.run(found.aclose())


async def _read(part: ReadPart) -> AsyncGenerator[Any, None]:
    # 1 ms more on each inner side, and cut here: right whether the service includes the ends or not.
    queries = [SignalQuery(SignalKey.parse(key), part.since - 1, part.till + 1) for key in part.keys]
    async with client_of_worker() as client, client.reader() as reader, aclosing(reader.stream(queries)) as found:
        async for data in found:
            if len(data):
                yield _batch(data, part)


def _batch(data: SignalData, part: ReadPart) -> Any:
    time = np.asarray(data.time, np.float64)
    inside = (time >= part.since) & ((time <= part.till) if part.last else (time < part.till))
    rows = int(inside.sum())
    try:
        value = np.asarray(data.value, np.float64)[inside]
    except (TypeError, ValueError):
        raise InvalidInputError(
            "value", str(data.key), "has values that are not numbers; read it without Spark"
        ) from None
    kinds = np.broadcast_to(np.asarray(data.type, object), len(time))[inside].tolist()
    origins = np.broadcast_to(np.asarray(data.origin, np.int64), len(time))[inside]
    key = data.key
    columns = [
        *(pa.array(np.full(rows, number, np.int64)) for number in (key.client_cid, key.sensor_mid)),
        pa.array(np.full(rows, key.signal_type_moid, np.int64)),
        pa.array((time[inside] * 1000).astype(np.int64)).cast(pa.timestamp("us", tz="UTC")),
        *(pa.array(value), pa.array(kinds, pa.string()), pa.array(origins)),
        pa.array([data.unit] * rows, pa.string()),
    ]
    names = [column.split()[0] for column in SCHEMA.split(", ")]
    return pa.RecordBatch.from_arrays(columns, names)
