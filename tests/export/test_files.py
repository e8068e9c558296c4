"""Output files: all or nothing, compressed by name."""

import gzip
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from besmart_async.export.files import (
    Compression,
    ExportError,
    Format,
    Valve,
    complete_file,
    compressed,
    compression_of,
    format_of,
    is_export,
    sink_for,
)
from besmart_async.export.rows import Times
from besmart_async.models.keys import SignalKey
from besmart_async.models.series import SignalData

OLD = "client_cid,sensor_mid,signal_type_moid,time,value,unit,type,origin\n"
"""An export of nothing."""


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text(OLD)
    with complete_file(path, is_export) as stream:
        stream.write(b"new")
        assert path.read_text() == OLD
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_what_ends_it_early_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text(OLD)

    def interrupted() -> None:
        with complete_file(path, is_export) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").touch()
    with complete_file(tmp_path / "link", is_export) as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_is_no_file_is_written_straight() -> None:
    with complete_file(Path(os.devnull), is_export) as stream:
        stream.write(b"gone")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("name", ["", "no/such/folder.csv"])
def test_what_cannot_be_written_is_explained(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=str(tmp_path)), complete_file(tmp_path / name, is_export):
        pytest.fail("it was opened")


@pytest.mark.parametrize(
    ("name", "kind", "packed"),
    [
        ("a.csv", "csv", None),
        ("a.CSV.GZ", "csv", "gz"),
        ("a.b.jsonl.zst", "jsonl", "zst"),
        ("a.parquet", "parquet", None),
        ("a", None, None),
        ("a.gz", None, "gz"),
        ("a.txt", None, None),
    ],
)
def test_a_name_tells_format_and_compression(name: str, kind: str | None, packed: str | None) -> None:
    assert (format_of(Path(name)), compression_of(Path(name))) == (kind, packed)


def test_gzip_and_zstd_are_what_they_say_and_the_same_every_time() -> None:
    packed: dict[str, bytes] = {}
    for _ in range(2):
        for how in ("gz", "zst"):
            stream = io.BytesIO()
            valve = Valve(stream)
            with compressed(valve, how) as packer:  # type: ignore[arg-type]
                packer.write(b"readings " * 1000)
            assert not stream.closed
            assert valve.count == len(stream.getvalue()) < 1000
            assert packed.setdefault(how, stream.getvalue()) == stream.getvalue()
    assert gzip.decompress(packed["gz"]) == b"readings " * 1000
    assert pa.CompressedInputStream(io.BytesIO(packed["zst"]), "zstd").read() == b"readings " * 1000


def test_a_shut_valve_lets_nothing_pass() -> None:
    stream = io.BytesIO()
    valve = Valve(stream)
    valve.write(b"before")
    valve.shut()
    assert valve.write(b"after") == 5
    valve.flush()
    valve.close()
    assert (stream.getvalue(), valve.count, stream.closed) == (b"before", 6, False)


@pytest.mark.parametrize(
    "content",
    [
        b"SQLite format 3\0",
        b"[columns]\n",
        b"# what the meters send\n[columns]\n",
        b"meter,client_cid,sensor_mid\n",
        b"client_cid,sensor_mid,name\n",
        b"client_cid,sensor_mid,signal_type_moid,time,value\n",
        b"rejected_file,",
        b"client_cid;sensor_mid\n",
        b"old",
        b"\n",
        b"PAR1",
        b"<html>",
        b"\x1f\x8b\x08 damaged",
        b"\x28\xb5\x2f\xfd damaged",
        gzip.compress(b"client_cid,sensor_mid,name\n"),
        b'{"client_cid": 1}\n',
    ],
)
def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(content)
    (tmp_path / "link.csv").symlink_to("out.csv")
    for name in (path, tmp_path / "link.csv"):
        with (
            pytest.raises(ExportError, match="something else, not from an earlier run"),
            complete_file(name, is_export),
        ):
            raise AssertionError("it was opened")
    assert path.read_bytes() == content
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.csv", "out.csv"]


def test_the_parquet_file_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    pq.write_table(pa.table({"time": [1], "value": [1.5]}), tmp_path / "out.parquet")
    with pytest.raises(ExportError, match="something else"), complete_file(tmp_path / "out.parquet", is_export):
        raise AssertionError("it was opened")


@pytest.mark.parametrize("times", ["iso", "ms", "both"])
@pytest.mark.parametrize(
    ("kind", "packing"),
    [("parquet", None), *((kind, packing) for kind in ("csv", "jsonl") for packing in (None, "gz", "zst"))],
)
def test_an_earlier_export_is_replaced(tmp_path: Path, kind: Format, times: Times, packing: Compression | None) -> None:
    path = tmp_path / "out"
    path.touch()
    for _ in range(2):
        with complete_file(path, is_export) as stream, compressed(cast("BinaryIO", Valve(stream)), packing) as packed:
            sink = sink_for(packed, kind, times)
            assert list(sink.write(SignalData(SignalKey(1, 2, 3), [1], [1.5]))) == [1]
            sink.finish()
    assert path.stat().st_size > 0
