"""Blocks: whole lines of UTF-8 whatever the pieces, line ends and quotes; zstd and many pieces of CSV."""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.parse.parser import ParseOptions, Parser
from besmart_async.ingest.report import Reject
from besmart_async.ingest.sources import CsvSource, SourceError
from besmart_async.ingest.sources.blocks import TextBlock, blocks


def cut(text: bytes, piece: int, size: int = 64, encoding: str = "utf-8-sig") -> list[TextBlock]:
    stream = io.BytesIO(text)
    return list(blocks(iter(lambda: stream.read(piece), b""), encoding, "file", size))


@given(
    st.lists(st.text(alphabet='ab"ł,', max_size=20), max_size=40),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(1, 50),
    st.integers(1, 200),
    st.booleans(),
)
def test_the_lines_are_those_of_the_text_with_their_numbers(
    lines: list[str], end: str, piece: int, size: int, ended: bool
) -> None:
    text = end.join(lines) + (end if ended and lines else "")
    found = cut(text.encode(), piece, size)
    joined = b"".join(block.text for block in found).decode()
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert joined == (expected if expected.endswith("\n") or not expected else f"{expected}\n")
    row = 1
    for block in found:
        assert block.first_row == row
        assert block.text.endswith(b"\n")
        row += block.lines


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1250", "iso8859-2", "utf-8-sig"])
def test_any_encoding_comes_out_as_utf_8_even_cut_within_a_character(encoding: str) -> None:
    text = "Łódź;1\nżółć;2\n" * 30
    for piece in (1, 3, 1000):
        assert b"".join(block.text for block in cut(text.encode(encoding), piece, encoding=encoding)).decode() == text


def test_lines_that_are_no_utf_8_are_empty_and_kept_beside() -> None:
    [block] = cut(b"a\n\xb3\xb9\nb\n", 100)
    assert (block.text, block.broken) == (b"a\n\nb\n", {2: b"\xb3\xb9"})


def test_a_text_of_another_encoding_is_told() -> None:
    with pytest.raises(SourceError, match="is not ASCII text"):
        cut("ł\n".encode(), 100, encoding="ascii")


def test_something_without_lines_is_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("besmart_async.ingest.sources.blocks.LONGEST_LINE", 1000)
    with pytest.raises(SourceError, match="row 1 does not end; this is no table"):
        cut(b"x" * 5000, 100)


FIELDS = st.one_of(
    st.sampled_from(["1.1", "M,2", 'say ""x""', "two\nlines", ""]),
    st.text(alphabet='ab," \n', max_size=5).map(lambda text: text.replace('"', '""')),
)


@given(st.lists(st.tuples(FIELDS, st.integers(0, 999), st.booleans()), max_size=30), st.integers(20, 300))
def test_quoted_fields_are_read_as_the_csv_module_reads_them(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, int, bool]], size: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    lines = [f'"{meter}",{1704067200000 + value},{value}' + (" " if odd else "") for meter, value, odd in drawn]
    path.write_text("\n".join(["meter,time,value", *lines, ""]), encoding="utf-8", newline="")
    found: list[tuple[str, float]] = []
    rejects: list[Reject] = []
    for page in CsvSource(path, block_bytes=size).pages():
        readings, refused = Parser(ParseOptions()).parse(page.chunk)
        found += [(readings.meter.text(row), readings.value[row]) for row in range(len(readings))]
        rejects += [*page.rejects, *refused]
    expected = [(meter.replace('""', '"').strip(), float(value)) for meter, value, _ in drawn]
    assert found == [(meter, value) for meter, value in expected if meter]
    assert {(reject.column, reject.reason) for reject in rejects} <= {("meter", "is empty")}


def test_zstd_is_unpacked_and_damage_is_told(tmp_path: Path) -> None:
    text = "meter,time,value\n" + "".join(f"1.1,{1704067200000 + n},{n}\n" for n in range(20_000))
    path = tmp_path / "f.csv.zst"
    packed = pa.Codec("zstd").compress(text.encode(), asbytes=True)
    path.write_bytes(packed)
    assert sum(page.rows for page in CsvSource(path).pages()) == 20_000
    path.write_bytes(packed[:-10])
    with pytest.raises(SourceError, match="damaged or incomplete zstd data"):
        list(CsvSource(path).pages())
    path.write_text(text)
    with pytest.raises(SourceError, match="is not zstd data, in spite of its name"):
        CsvSource(path).check()
