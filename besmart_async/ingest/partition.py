"""The unit that engines (Dask, Ray, Spark, a process pool) run: one part of a file to the service, and its report.

What is done is kept outside the engine, in a folder that all workers share: a second delivery of a part that is
recorded there sends nothing. Credentials come from the environment of the worker, never from the task.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import attrs
import orjson

from besmart_async.client import BesmartClient
from besmart_async.config import DEFAULT_BASE_URL, BatchPolicy
from besmart_async.errors import BesmartConfigError, BesmartError
from besmart_async.ingest.job import IngestJob
from besmart_async.ingest.mapping.file import FileMapping
from besmart_async.ingest.mapping.meters import KnownMeters, Meter, read_meter_table
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import CsvSource, ParquetSource, Source, SourceError, sources_of
from besmart_async.ingest.sources.csv import ByteRange
from besmart_async.transport import AnyTransport, aiohttp_transport

MAX_CALLS = 16
"""Bulk writes at a time of all parts together; each part gets its share."""
_SECRETS = ("API_KEY", "LOGIN", "PASSWORD", "TOKEN")
_PIECE_BYTES = 1 << 20
_EDGE_BYTES = 64 << 10


class PartitionError(BesmartError):
    """A part was not delivered completely; running it again sends it once more, which changes nothing."""


@attrs.frozen(kw_only=True)
class FilePart:
    """A part of a file. It holds no reading and no secret, and can be pickled.

    Attributes:
        path: the file, by a name that every worker can open.
        kind: "file": all of it; "row_groups": some row groups of a Parquet file; "bytes": some lines of a CSV file.
        start: the first byte.
        stop: the byte after the last one.
        groups: (first, after the last) row group.
        first_row: the number of its first row in the file.
    """

    path: str
    kind: Literal["file", "row_groups", "bytes"] = "file"
    start: int = 0
    stop: int = 0
    groups: tuple[int, int] = (0, 0)
    first_row: int = 1

    def __str__(self) -> str:
        if self.kind == "row_groups":
            return f"{self.path} row groups {self.groups[0]}-{self.groups[1] - 1}"
        return self.path if self.kind == "file" else f"{self.path} bytes {self.start}-{self.stop}"


@attrs.frozen(kw_only=True)
class PartitionSettings:
    """How to send parts; the same for all of them. It holds no secret, and can be pickled.

    Attributes:
        mapping: what the files look like and mean. Its table of meters is read by each worker.
        policy: limits of the writer; `max_in_flight` is for all parts together, 16 unless set.
        share: the part of the calls at a time and of `rate_limit` that one part may use: 1 / (parts that run at a
            time). Each part gets at least one call at a time.
        rate_limit: the most readings per second of all parts together.
        checkpoint: a folder that all workers share, for what is done; None to keep nothing.
        rejects: a folder for rejected rows, one CSV file per part; None to keep the first of them in the report only.
        account: a name for the account, needed with a checkpoint if only BESMART_TOKEN is set and changes.
    """

    mapping: FileMapping = attrs.field(factory=FileMapping)
    policy: BatchPolicy = attrs.field(factory=BatchPolicy)
    share: float = 1.0
    rate_limit: float | None = None
    checkpoint: str | None = None
    rejects: str | None = None
    account: str | None = None

    def __attrs_post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise BesmartConfigError(f"share={self.share!r}: give more than 0 and at most 1, such as 1 / workers")
        if self.rate_limit is not None and not self.rate_limit > 0:
            raise BesmartConfigError(f"rate_limit={self.rate_limit!r}: give readings per second, more than 0")
        rules = self.mapping.meters
        if rules.create is not None or rules.looked_through:
            raise BesmartConfigError(
                "mapping.meters: partitions need a list of all meters: give a table, without create and sensor_eid"
            )

    def own_policy(self) -> BatchPolicy:
        """Return the limits of one part."""
        calls = max(1, int((self.policy.max_in_flight or MAX_CALLS) * self.share))
        return attrs.evolve(self.policy, max_in_flight=None if self.share == 1 else calls)


@attrs.frozen(kw_only=True)
class PartitionReport:
    """What became of a part: `rows = accepted + rejected`. It can be pickled.

    Attributes:
        part: the part's name in messages.
        rows: readings in it, rejected ones included.
        accepted: readings the service acknowledged, repeats included.
        rejected: readings that were refused here or by the service.
        requests: bulk writes sent.
        retries: requests among them that repeated an earlier one.
        seconds: duration of reading and sending.
        rejects: the first rejected rows.
        rejects_file: where all of them are; None if there are none, or no folder for them.
        repeated: an earlier delivery had done it all: nothing was sent now, and the counts are those of that delivery.
    """

    part: str
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    rejects: tuple[str, ...] = ()
    rejects_file: str | None = None
    repeated: bool = False


def ingest_partition(partition: FilePart, settings: PartitionSettings) -> PartitionReport:
    """Send one part and return its report; for a worker of any engine, also where an event loop runs already.

    It returns when each of the readings was acknowledged or rejected. Several parts at a time are sent in no order: of
    a reading that stands in two parts, any may win. `WorkerPool` keeps the order of the files.

    The client is that of `BesmartClient.from_env`; BESMART_PASSWORD_FILE (and so for LOGIN, API_KEY and TOKEN) names a
    file that holds the secret.

    Raises:
        PartitionError: some readings were neither acknowledged nor rejected. Run it again.
        SourceError: the file cannot be read.
        BesmartConfigError: the environment has no usable credentials, or the settings cannot work.
    """
    with ThreadPoolExecutor(1, "besmart-partition") as thread:
        return thread.submit(lambda: asyncio.run(_ingest(partition, settings))).result()


def environment_of_worker(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which the secrets stand that BESMART_*_FILE name.

    Raises:
        BesmartConfigError: a file cannot be read, or a secret is set twice.
    """
    found = dict(environ)
    for name in (f"BESMART_{part}" for part in _SECRETS):
        file = found.pop(f"{name}_FILE", "")
        if file and found.get(name):
            raise BesmartConfigError(f"{name} and {name}_FILE are both set; unset one of them")
        if file:
            try:
                found[name] = Path(file).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise BesmartConfigError(f"{name}_FILE={file}: cannot be read: {error}") from None
    return found


def client_of_worker(environ: Mapping[str, str] | None = None) -> BesmartClient:
    """Return a client of the worker's environment, secret files included; over aiohttp if that is installed.

    Raises:
        BesmartConfigError: the environment has no usable credentials.
    """
    return BesmartClient.from_env(
        environment_of_worker(os.environ if environ is None else environ), transport=_transport()
    )


async def _ingest(part: FilePart, settings: PartitionSettings) -> PartitionReport:
    environ = environment_of_worker(os.environ)
    identity = _identity(part, settings, environ) if settings.checkpoint or settings.rejects else ""
    done = Path(settings.checkpoint) / f"{identity}.json" if settings.checkpoint else None
    if done is not None and done.exists():
        return _recorded(done, part)
    rejects = Path(settings.rejects) / f"{identity}.csv" if settings.rejects else None
    refused: list[Reject] = []
    async with client_of_worker(environ) as client:
        job = IngestJob(
            client.signals,
            client.writer,
            [_source(part, settings.mapping)],
            meters=KnownMeters(_meters(settings.mapping)),
            reading=settings.mapping.reading,
            signal_type=settings.mapping.signal_type,
            policy=settings.own_policy(),
            rate_limit=None if settings.rate_limit is None else settings.rate_limit * settings.share,
            on_reject=refused.append if rejects is not None else None,
        )
        report = await job.run()
    if report.error is not None:
        sent = f"{report.accepted:,} of {report.rows_read:,} readings were acknowledged"
        raise PartitionError(f"{part}: {report.error} ({sent}; run it again)") from report.error
    if rejects is not None and refused:
        _write_whole(rejects, _rejects_text(refused))
    made = PartitionReport(
        part=str(part),
        rows=report.rows_read,
        accepted=report.accepted,
        rejected=report.rejected,
        requests=report.requests,
        retries=report.retries,
        seconds=report.seconds,
        rejects=tuple(map(str, report.rejects)),
        rejects_file=str(rejects) if rejects is not None and refused else None,
    )
    if done is not None:
        _write_whole(done, orjson.dumps(attrs.asdict(made), option=orjson.OPT_INDENT_2))
    return made


def _transport() -> AnyTransport | None:
    try:
        return aiohttp_transport()
    except BesmartConfigError:  # the extra is not installed
        return None


def _source(part: FilePart, mapping: FileMapping) -> Source:
    found = sources_of([part.path], mapping.form)
    if part.kind == "file":
        if len(found) != 1:
            raise SourceError(part.path, "stands for several files; name each of them")
        return found[0]
    source = found[0]
    if part.kind == "row_groups" and isinstance(source, ParquetSource):
        return attrs.evolve(source, groups=part.groups, first_row=part.first_row)
    if part.kind == "bytes" and isinstance(source, CsvSource):
        return attrs.evolve(source, part=ByteRange(part.start, part.stop, part.first_row))
    raise SourceError(part.path, "is of another format than when it was divided; divide it again")


def _meters(mapping: FileMapping) -> dict[str, Meter]:
    table = mapping.meters.table
    listed: dict[str, Meter] = {}
    if table is not None:
        try:
            changed = table.stat().st_mtime_ns
        except OSError as error:
            raise SourceError(str(table), f"cannot be read: {error.strerror or error}") from None
        listed = _table(table, changed)
    return {**listed, **mapping.meters.names}


@lru_cache(maxsize=4)  # a worker runs many parts, and a table may have millions of meters
def _table(path: Path, changed: int) -> dict[str, Meter]:
    return read_meter_table(path)


def _identity(part: FilePart, settings: PartitionSettings, environ: Mapping[str, str]) -> str:
    """What makes a delivery the same: the bytes, what they mean, and where they go. The digest shows no secret."""
    mapping = settings.mapping
    rules = mapping.meters
    reading = attrs.evolve(mapping.reading, ignored=frozenset())
    whose = settings.account or [environ.get(f"BESMART_{name}") or "" for name in ("LOGIN", "API_KEY")]
    if not any(whose):
        whose = environ.get("BESMART_TOKEN", "")
    service = (environ.get("BESMART_BASE_URL", "").strip() or DEFAULT_BASE_URL).rstrip("/")
    meaning = (
        *(service, whose, part.kind, part.start, part.first_row, part.groups, mapping.form, reading),
        *(sorted(mapping.reading.ignored), mapping.signal_type, sorted(rules.names.items(), key=str)),
        *(sorted((name, meter.factor) for name, meter in rules.names.items()),),
    )
    found = blake2b(repr(meaning).encode(), digest_size=20)
    try:
        if rules.table is not None:
            found.update(rules.table.read_bytes())
        _add_bytes(found, part)
    except OSError as error:
        raise SourceError(error.filename or part.path, f"cannot be read: {error.strerror or error}") from None
    return found.hexdigest()


def _add_bytes(found: Any, part: FilePart) -> None:
    """Add the bytes of the part, and what the file says about them: the header, or the schema at its end."""
    with Path(part.path).open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        stop = size if part.kind == "file" else part.stop
        edges = {"file": (0, 0), "bytes": (0, _EDGE_BYTES), "row_groups": (max(0, size - _EDGE_BYTES), size)}
        for begin, end in (edges[part.kind], (part.start, stop)):
            file.seek(begin)
            left = end - begin
            while left > 0 and (piece := file.read(min(_PIECE_BYTES, left))):
                found.update(piece)
                left -= len(piece)


def _recorded(done: Path, part: FilePart) -> PartitionReport:
    try:
        plain = orjson.loads(done.read_bytes())
        plain |= {"rejects": tuple(plain["rejects"]), "repeated": True, "part": str(part)}
        return PartitionReport(**plain)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise PartitionError(f"{done}: is not a record of this program ({error}); delete it, and run again") from None


def _rejects_text(refused: list[Reject]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rejected_file", "rejected_row", "rejected_column", "rejected_value", "rejected_reason", "row"])
    for one in refused:
        row = " | ".join(f"{title}={value}" for _, title, value in one.record)
        writer.writerow([one.file, one.row, one.column or "", one.value, one.reason, row])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file so that others see all of it or nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{uuid4().hex}")
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise PartitionError(f"{path}: cannot be written: {error.strerror or error}; run the part again") from None
