"""Files, names, disks and settings that are made to break the command: each is refused in a line, or bounded."""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from besmart_async.ingest.sources.columns import pa

pq: Any = pyarrow.parquet

BESMART = [sys.executable, "-c", "from besmart_async.cli.app import main; main()"]
HEADER = "meter,obis,time,value\n"
ROW = "12.122,1-0:1.29.0,2024-01-01T00:00:00Z,1.5\n"
COLUMNS: dict[str, list[Any]] = {
    "meter": ["12.122"],
    "obis": ["1-0:1.29.0"],
    "time": [1_704_067_200_000],
    "value": [1.5],
}
MEMORY = 3 << 30


def run(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, limits: Sequence[tuple[int, int]] = ()
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a folder, with an account that reaches nothing and bounded memory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BESMART_")}
    home = {name: str(folder / "home") for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME")}

    def limit() -> None:
        for what, most in ((resource.RLIMIT_AS, MEMORY), *limits):
            resource.setrlimit(what, (most, most))

    return subprocess.run(
        [*BESMART, *arguments],
        cwd=folder,
        env=clean | home | dict(environ or {}),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        preexec_fn=limit,
        check=False,
    )


def said(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    """The text on standard error, which is not a traceback."""
    text = done.stderr.decode()
    assert "Traceback" not in text
    assert done.returncode == code, text
    return text


@pytest.mark.parametrize(
    ("name", "content", "code", "problem"),
    [
        ("zeros", b"\0" * (40 << 20), 0, ""),
        ("letters", b"x" * (40 << 20), 2, "does not end"),
        ("quotes", b'"\n' * 1_000_000, 1, "correct the cause"),
        ("fields", b"a," * (4 << 20) + b"\n", 3, "has more than 100,000 fields"),
        ("names", b"x" * (4 << 20) + ROW.encode(), 3, "at most 1,000 are read"),
        ("blank", b"\n" * (80 << 20), 1, "MiB of blank lines"),
    ],
)
def test_packed_files_cost_no_more_than_what_is_accepted(
    tmp_path: Path, name: str, content: bytes, code: int, problem: str
) -> None:
    file = tmp_path / f"{name}.csv.gz"
    file.write_bytes(gzip.compress(HEADER.encode() + ROW.encode() + content, 1))
    assert problem in said(run(tmp_path, "check", file.name), code)


ODD: dict[str, Any] = {
    "list": [[1.0]],
    "struct": [{"a": 1}],
    "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "duration": pa.array([1], pa.duration("s")),
    "bytes": [b"\xff\xfe"],
    "fixed": pa.array([b"1234"], pa.binary(4)),
    "bool": [True],
    "nested": [[["a"]]],
}


@pytest.mark.parametrize("role", ["meter", "obis", "time", "value"])
@pytest.mark.parametrize("kind", list(ODD))
def test_a_column_of_a_type_that_cannot_be_its_role_is_named(tmp_path: Path, role: str, kind: str) -> None:
    from besmart_async.ingest.sources import SourceError
    from besmart_async.ingest.sources.parquet import ParquetSource

    file = tmp_path / "odd.parquet"
    pq.write_table(pa.table({**COLUMNS, role: ODD[kind]}), file)
    with pytest.raises(SourceError, match=r"another type|cannot be read as Parquet"):
        list(ParquetSource(file).pages())


def test_a_small_parquet_file_does_not_unpack_to_gigabytes(tmp_path: Path) -> None:
    count = 60_000
    same = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["2024" + " " * 1_000_000]))
    columns = {name: values * count for name, values in COLUMNS.items()}
    pq.write_table(pa.table({**columns, "time": same}), tmp_path / "bomb.parquet", compression="zstd")
    assert "1,000,004 bytes" in said(run(tmp_path, "check", "bomb.parquet"), 1)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a = " + "[" * 20_000 + "]" * 20_000, "nested too deeply"),
        (".".join("a" * 20_000) + " = 1", "more than 100 parts"),
        ("a = " + "1" * 5_000, "is not TOML"),
        ('[time]\nformat = "%d%d%Y"\n', "a directive stands twice"),
    ],
)
def test_mapping_files_that_no_parser_likes_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "a.csv").write_text(HEADER + ROW)
    (tmp_path / "m.toml").write_text(content)
    assert problem in said(run(tmp_path, "check", "a.csv", "--mapping", "m.toml"), 2)


def test_a_file_whose_name_is_not_utf8_is_read_like_any_other(tmp_path: Path) -> None:
    name = os.fsdecode(b"za\xbf.csv")
    (tmp_path / name).write_text(HEADER + ROW + ROW.replace("1.5", "x"))
    pq.write_table(pa.table(COLUMNS), tmp_path / "a.parquet")
    (tmp_path / "a.parquet").rename(tmp_path / os.fsdecode(b"za\xbf.parquet"))
    done = run(tmp_path, "ingest", "--simulate", "--no-chart", "--json", name, os.fsdecode(b"za\xbf.parquet"))
    said(done, 3)
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["files"] == [name, os.fsdecode(b"za\xbf.parquet")]
    assert "za\\udcbf.csv row 3" in said(run(tmp_path, "check", name), 3)


@pytest.mark.parametrize(
    ("state", "problem"), [("/proc/none", "cannot be used as a checkpoint"), ("/dev/null/x", "cannot be used")]
)
def test_a_state_folder_that_cannot_be_made_is_named(tmp_path: Path, state: str, problem: str) -> None:
    (tmp_path / "a.csv").write_text(HEADER + ROW)
    account = {"BESMART_BASE_URL": "http://127.0.0.1:1/api", "BESMART_TOKEN": "t", "XDG_STATE_HOME": state}
    assert problem in said(run(tmp_path, "ingest", "a.csv", "--no-chart", environ=account), 2)


@pytest.mark.parametrize(
    "content", ['{"base_url": 5, "login": "l"}', "[1]", "no JSON", '{"surprise": "x"}', "[" * 9_999]
)
def test_credentials_that_are_damaged_are_refused_without_showing_them(tmp_path: Path, content: str) -> None:
    file = tmp_path / "home" / "besmart" / "credentials.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    file.chmod(0o600)
    assert "is damaged; run besmart auth login again" in said(run(tmp_path, "sensors", "types"), 2)


def test_a_database_that_is_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("some text that is long enough to be read as a header of a file")
    assert "cannot be used as a database" in said(run(tmp_path, "simulate", "--port", "0", "--database", "text"), 2)
    assert "is a folder" in said(run(tmp_path, "simulate", "--port", "0", "--database", "."), 2)
    assert (tmp_path / "text").read_text().startswith("some text")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + ROW)
    done = subprocess.run(
        f"{' '.join(map(repr, BESMART))} check a.csv > /dev/full",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert "No space left on device" in said(done, 1)


def test_a_disk_that_is_full_under_temporary_files_is_told_and_never_verified(tmp_path: Path) -> None:
    count = 1_100_000
    columns = {name: values * count for name, values in COLUMNS.items()}
    columns["time"] = list(range(1_704_067_200_000, 1_704_067_200_000 + count * 1_000, 1_000))
    pq.write_table(pa.table(columns), tmp_path / "big.parquet")
    done = run(tmp_path, "check", "big.parquet", limits=[(resource.RLIMIT_FSIZE, 50_000)])
    assert "set TMPDIR to a folder" in said(done, 1)
    done = run(tmp_path, "check", "big.parquet", limits=[(resource.RLIMIT_NOFILE, 100)])
    assert "ulimit -n" in said(done, 1)
    done = run(
        tmp_path,
        *("ingest", "big.parquet", "--simulate", "--verify", "--no-chart"),
        limits=[(resource.RLIMIT_FSIZE, 50_000)],
    )
    assert "set TMPDIR to a folder" in said(done, 1)
    assert b"verified" not in done.stdout


HOSTILE = "\x1b[31m\x1b]0;title\x07\x9b2J\u202eevil"


def test_control_characters_of_files_and_arguments_never_reach_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"meter,obis,time,value,{HOSTILE}\n{HOSTILE},1-0:1.29.0,{HOSTILE},x,y\n")
    (tmp_path / HOSTILE).mkdir()
    (tmp_path / HOSTILE / "a.csv").write_text(HEADER + ROW + "x\n")
    for arguments in (
        ["check", "a.csv"],
        ["check", f"{HOSTILE}/a.csv"],
        ["check", f"{HOSTILE}/b.csv"],
        ["check", f"{HOSTILE}/b.csv", "--json"],
        ["check", f"{HOSTILE}/a.csv", "--json"],
        ["ingest", "--simulate", f"{HOSTILE}/a.csv"],
        ["ingest", "--simulate", f"{HOSTILE}/a.csv", "--json"],
        ["ingest", "--dst", HOSTILE, "a.csv"],
        [HOSTILE],
        ["simulate", "--port", HOSTILE],
        ["sensors", "get", HOSTILE],
    ):
        done = run(tmp_path, *arguments)
        for text in (done.stdout.decode(), done.stderr.decode()):
            assert not {*"\x1b\x07\x9b\u202e"} & {*text}, (arguments, text)
        assert "Traceback" not in done.stderr.decode()


def test_json_keeps_control_characters_exactly(tmp_path: Path) -> None:
    (tmp_path / f"{HOSTILE}.csv").write_text(HEADER + ROW)
    done = run(tmp_path, "check", f"{HOSTILE}.csv", "--json")
    assert json.loads(done.stdout)["files"] == [f"{HOSTILE}.csv"]
