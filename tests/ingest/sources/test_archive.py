"""Zip archives: each member is a file of its own; what costs too much is refused."""

import gzip
import io
import pickle
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from besmart_async.ingest import SourceError
from besmart_async.ingest.checkpoint.store import Checkpoint
from besmart_async.ingest.sources import archive, sources_of
from besmart_async.ingest.sources.archive import ZipMember, members_of
from tests.ingest.file_readings import readings_of

T0 = 1_719_792_000_000  # 2024-07-01T00:00Z


def table(meter: str, value: float = 1.5) -> bytes:
    return f"meter,time,value\n{meter},2024-07-01T00:00Z,{value}\n".encode()


def packed(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return path


def test_each_member_is_a_file_of_its_own_in_the_order_of_names(tmp_path: Path) -> None:
    """After opower#43: a portal gives a zip with a CSV for electricity and one for gas."""
    path = packed(tmp_path / "usage.zip", {"b/gas.csv": table("G"), "a.csv": table("E", 2), "b/": b""})
    assert [source.name for source in sources_of([str(path)])] == [f"{path}/a.csv", f"{path}/b/gas.csv"]
    assert readings_of(path).by_meter == {"E": [(T0, 2.0)], "G": [(T0, 1.5)]}


def test_what_macos_and_others_add_is_not_a_file(tmp_path: Path) -> None:
    names = ("__MACOSX/._a.csv", ".DS_Store", "x/.hidden.csv", "x/Thumbs.db", "read me.pdf", "LICENSE")
    path = packed(tmp_path / "usage.zip", {"a.csv": table("E"), **dict.fromkeys(names, b"\0\1")})
    assert [source.name for source in sources_of([str(path)])] == [f"{path}/a.csv"]


def test_members_may_be_compressed_parquet_or_archives_themselves(tmp_path: Path) -> None:
    columns = io.BytesIO()
    pq.write_table(pa.table({"meter": ["P"], "time": [T0], "value": [3.0]}), columns)
    inner = packed(tmp_path / "inner.zip", {"c.csv": table("Z")}).read_bytes()
    members = {"a.csv.gz": gzip.compress(table("G")), "b.parquet": columns.getvalue(), "inner.zip": inner}
    path = packed(tmp_path / "usage.zip", members)
    assert readings_of(path).by_meter == {"G": [(T0, 1.5)], "P": [(T0, 3.0)], "Z": [(T0, 1.5)]}
    assert sources_of([str(path)])[2].name == f"{path}/inner.zip/c.csv"


def test_members_are_recognized_by_their_first_bytes_whatever_they_are_called(tmp_path: Path) -> None:
    nem12 = b"100,NEM12,202406020100,M,R\n200,N,E1,1,E1,N1,S,KWH,30,\n900\n"
    path = packed(tmp_path / "usage.zip", {"export": nem12})
    [source] = sources_of([str(path)])
    assert type(source).__name__ == "Nem12Source"


def test_an_archive_is_recognized_without_its_suffix(tmp_path: Path) -> None:
    path = packed(tmp_path / "download.csv", {"a.csv": table("E")})
    assert readings_of(path).by_meter == {"E": [(T0, 1.5)]}


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({}, "is a zip archive without files"),
        (
            {"a.pdf": b"%PDF-1.7", "b": b"x"},
            "a.pdf is a PDF document; ask for the data as CSV or Excel; b has no suffix",
        ),
        ({"a.csv": b"<html><body>Log in"}, "is an HTML page"),
    ],
)
def test_an_archive_without_readings_says_what_it_holds(
    tmp_path: Path, members: dict[str, bytes], problem: str
) -> None:
    with pytest.raises(SourceError) as caught:
        sources_of([str(packed(tmp_path / "usage.zip", members))])
    assert problem in caught.value.problem


def test_an_archive_that_would_unpack_to_far_more_than_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 100_000)
    path = packed(tmp_path / "bomb.zip", {"a.csv": bytes(1_000_000)})
    with pytest.raises(SourceError, match="more than 200 times its own"):
        sources_of([str(path)])


def test_too_many_members_and_archives_too_deep_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = packed(tmp_path / "0.zip", {"a.csv": table("E")})
    for depth in range(1, 5):
        inner = packed(tmp_path / f"{depth}.zip", {"in.zip": inner.read_bytes()})
    with pytest.raises(SourceError, match="is an archive in an archive, 3 deep"):
        sources_of([str(inner)])
    monkeypatch.setattr(archive, "MOST_MEMBERS", 2)
    with pytest.raises(SourceError, match="holds 3 files, more than 2"):
        members_of(packed(tmp_path / "many.zip", {f"{number}.csv": b"x" for number in range(3)}))


def test_a_password_damage_and_two_members_of_one_name_are_named(tmp_path: Path) -> None:
    path = packed(tmp_path / "usage.zip", {"a.csv": table("E")})
    whole = bytearray(path.read_bytes())
    central = whole.rindex(b"PK\x01\x02")
    whole[6] |= 1
    whole[central + 8] |= 1
    path.write_bytes(bytes(whole))
    with pytest.raises(SourceError, match="is protected by a password"):
        sources_of([str(path)])
    path.write_bytes(packed(path, {"a.csv": table("E")}).read_bytes()[:-30])
    with pytest.raises(SourceError, match="damaged or incomplete zip data"):
        sources_of([str(path)])
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.csv", table("E"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            made.writestr("a.csv", table("F"))
    with pytest.raises(SourceError, match="two files called"):
        sources_of([str(path)])


def test_a_damaged_member_fails_when_it_is_read(tmp_path: Path) -> None:
    path = packed(tmp_path / "usage.zip", {"a.csv": table("E") * 50}, zipfile.ZIP_STORED)
    whole = bytearray(path.read_bytes())
    whole[200] ^= 0xFF
    path.write_bytes(bytes(whole))
    [member] = members_of(path)
    with pytest.raises(OSError, match="damaged or incomplete"), member.open() as raw:
        raw.read()


def test_the_checkpoint_knows_each_member_by_itself(tmp_path: Path) -> None:
    path = packed(tmp_path / "usage.zip", {"a.csv": table("E"), "b.csv": table("F")})
    one, other = members_of(path)
    with Checkpoint(tmp_path / "c.sqlite3") as checkpoint:
        assert checkpoint.begin(one, str(one)).number != checkpoint.begin(other, str(other)).number


def test_a_member_can_be_sent_to_a_worker(tmp_path: Path) -> None:
    [member] = members_of(packed(tmp_path / "usage.zip", {"a.csv": table("E")}))
    assert member.within == tmp_path / "usage.zip"
    copy: ZipMember = pickle.loads(pickle.dumps(member))
    with copy.open() as raw:
        assert raw.read() == table("E")
