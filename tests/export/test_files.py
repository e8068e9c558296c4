"""Output files: all or nothing, compressed by name."""

import gzip
import io
import os
import stat
from pathlib import Path

import pyarrow as pa
import pytest

from besmart_async.export.files import ExportError, Valve, complete_file, compressed, compression_of, format_of


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    with complete_file(path) as stream:
        stream.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_what_ends_it_early_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def interrupted() -> None:
        with complete_file(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").touch()
    with complete_file(tmp_path / "link") as stream:
        stream.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_what_is_no_file_is_written_straight() -> None:
    with complete_file(Path(os.devnull)) as stream:
        stream.write(b"gone")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("name", ["", "no/such/folder.csv"])
def test_what_cannot_be_written_is_explained(tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=str(tmp_path)), complete_file(tmp_path / name):
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
    "content", [b"SQLite format 3\0", b"[columns]\n", b"meter,client_cid,sensor_mid\n", b"rejected_file,"]
)
def test_a_file_that_is_something_else_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(content)
    (tmp_path / "link.csv").symlink_to("out.csv")
    for name in (path, tmp_path / "link.csv"):
        with pytest.raises(ExportError, match="something else, not an earlier export"), complete_file(name):
            raise AssertionError("it was opened")
    assert path.read_bytes() == content
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.csv", "out.csv"]


@pytest.mark.parametrize(
    "content",
    [b"", b"client_cid,sensor_mid,signal_type_moid,time\n", b'{"client_cid":1}\n', b"PAR1", b"<html>"],
)
def test_an_earlier_export_is_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "out"
    path.write_bytes(content)
    with complete_file(path) as stream:
        stream.write(b"new")
    assert path.read_bytes() == b"new"
