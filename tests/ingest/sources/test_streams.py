"""Pipes, devices and sockets named as files: read once and whole, or refused."""

from __future__ import annotations

import gzip
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from besmart_async import BesmartClient
from besmart_async.ingest import Checkpoint, IngestJob, WorkerPool
from besmart_async.ingest.sources import CsvSource, ParquetSource, SourceError, file_of, is_stream, sources_of
from besmart_async.ingest.sources.layout import FileForm
from tests.ingest.service import Service

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes have no names like files there")
ROWS = 60_000
START = 1704067200000


def content(*, header: bool = True) -> bytes:
    rows = "".join(f"1.{row % 5 + 1},A+,{START + row * 60_000},{row}.5\n" for row in range(ROWS))
    return (("meter,obis,time,value\n" if header else "") + rows).encode()


@contextmanager
def filled(pipe: Path, data: bytes) -> Iterator[Path]:
    """A named pipe that one writer fills, once."""
    os.mkfifo(pipe)

    def write() -> None:
        with pipe.open("wb") as file:
            file.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield pipe
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("header", [True, False])
async def test_a_pipe_is_read_once_and_whole(tmp_path: Path, pack: Callable[[bytes], bytes], header: bool) -> None:
    form = (
        FileForm()
        if header
        else FileForm(header_row=0, columns={"meter": (1,), "signal": (2,), "time": (3,), "value": (4,)})
    )
    service = Service(lambda _: None)
    with filled(tmp_path / "pipe", pack(content(header=header))) as pipe, Checkpoint(tmp_path / "done") as checkpoint:
        [source] = sources_of([str(pipe)], form)
        report = await IngestJob(service, service.writer, [source], checkpoint=checkpoint).run()
    assert (report.state, report.rows_read, report.accepted) == ("completed", ROWS, ROWS)
    assert report.files == (str(pipe),)


async def test_the_pipe_of_a_process_substitution_is_read_once_even_if_it_is_named_twice(tmp_path: Path) -> None:
    service = Service(lambda _: None)
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(content())

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    name = f"/dev/fd/{reading}"
    report = await IngestJob(service, service.writer, sources_of([name, name])).run()
    os.close(reading)
    thread.join(30)
    assert (report.rows_read, report.accepted) == (ROWS, ROWS)


def test_the_file_behind_a_descriptor_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"meter,time,value\n")
    with path.open("rb") as file:
        [source] = sources_of([f"/dev/fd/{file.fileno()}"])
    assert file_of(source) == path.resolve()


async def test_stopping_does_not_wait_for_a_pipe_that_nobody_writes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    service = Service(lambda _: None)
    job = IngestJob(service, service.writer, sources_of([str(tmp_path / "pipe")]))
    job.stop()
    assert (await job.run()).state == "interrupted"
    os.close(os.open(tmp_path / "pipe", os.O_RDWR))  # the thread that waits for a writer ends


def test_formats_that_are_read_more_than_once_refuse_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="is a pipe, and files of this format are read more than once"):
        sources_of([str(tmp_path / "pipe")], FileForm(format="parquet"))
    with pytest.raises(SourceError, match="read from its end; name a file"):
        ParquetSource(tmp_path / "pipe").check()


def test_what_a_folder_holds_besides_files_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("meter,time,value\n")
    (tmp_path / "c.csv").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "d.csv"))
        assert [file_of(source) for source in sources_of([str(tmp_path)])] == [tmp_path / "b.csv"]
        assert [file_of(source) for source in sources_of([f"{tmp_path}/*.csv"])] == [tmp_path / "b.csv"]
        [source] = sources_of([str(tmp_path / "d.csv")])
        with pytest.raises(SourceError, match=r"cannot be opened: .*; for standard input give -"):
            list(source.pages())


async def test_workers_share_no_pipe(client: BesmartClient, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (None, tmp_path / "pipe"):
        with pytest.raises(SourceError, match="workers cannot share standard input or a pipe"):
            await WorkerPool(lambda: client, [CsvSource(path)], 2).run()


def test_standard_input_is_a_stream_and_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert is_stream(None)
    assert is_stream(Path("/dev/null"))
    assert not any(map(is_stream, (tmp_path, tmp_path / "none", Path("nul\0"))))
