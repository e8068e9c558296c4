"""CSV files: rows with their numbers, whatever the file looks like; and files that cannot be read."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from besmart_async.ingest.parse.parser import ParseOptions, Parser
from besmart_async.ingest.sources import CsvSource, Page, SourceError

ROW = "1.1,1.8.0,2024-01-01T00:00Z,1.5,kWh"


def pages(path: Path, encoding: str = "utf-8-sig", chunk_rows: int = 50_000) -> list[Page]:
    return list(CsvSource(path, encoding, chunk_rows).pages())


def problem_of(path: Path, encoding: str = "utf-8-sig") -> str:
    source = CsvSource(path, encoding)
    with pytest.raises(SourceError) as caught:
        source.check()
    assert caught.value.file == str(path)
    return caught.value.problem


def test_rows_are_numbered_as_in_the_file_with_the_header_as_row_1(csv_file: Callable[..., Path]) -> None:
    [page] = pages(csv_file(ROW, "", "1.2,1.8.0,2024-01-01T00:15Z,2.5,kWh"))
    assert page.chunk.rows.tolist() == [2, 4]
    assert page.chunk.value.to_pylist() == ["1.5", "2.5"]
    assert [page.chunk.meter.text(row) for row in (0, 1)] == ["1.1", "1.2"]
    assert page.rejects == ()
    assert page.rows == 2


def test_rows_of_another_width_are_rejects_with_their_number(csv_file: Callable[..., Path]) -> None:
    [page] = pages(csv_file(ROW, "1.1,1.8.0", ROW, ROW + ",x"))
    assert [(reject.row, reject.column, reject.value, reject.reason) for reject in page.rejects] == [
        (3, None, "1.1,1.8.0", "has 2 fields where the header has 5"),
        (5, None, ROW + ",x", "has 6 fields where the header has 5"),
    ]
    assert page.chunk.rows.tolist() == [2, 4]
    assert page.rows == 4


@pytest.mark.parametrize("chunk_rows", [1, 7, 2_000, 2_001, 50_000])
def test_pages_hold_every_row_once_whatever_their_size(csv_file: Callable[..., Path], chunk_rows: int) -> None:
    path = csv_file(*(f"M{row % 3},A+,{row},{row},kWh" for row in range(4_500 if chunk_rows > 100 else 50)))
    found = pages(path, chunk_rows=chunk_rows)
    values = [value for page in found for value in page.chunk.value.to_pylist()]
    numbers = [row for page in found for row in page.chunk.rows.tolist()]
    assert values == [str(row) for row in range(len(values))]
    assert numbers == [row + 2 for row in range(len(values))]
    assert all(len(page.chunk) <= chunk_rows for page in found)


def test_a_code_keeps_its_meaning_from_page_to_page(csv_file: Callable[..., Path]) -> None:
    first, second = pages(csv_file("a,x,1,1,u", "b,x,1,1,u", "c,x,1,1,u", "a ,x,1,1,u"), chunk_rows=2)
    assert first.chunk.meter.codes.tolist() == [0, 1]
    assert second.chunk.meter.codes.tolist() == [2, 0]
    assert first.chunk.meter.names is second.chunk.meter.names


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_headers(csv_file: Callable[..., Path], delimiter: str) -> None:
    path = csv_file(ROW.replace(",", delimiter), header="meter,obis,time,value,unit".replace(",", delimiter))
    assert pages(path)[0].chunk.value.to_pylist() == ["1.5"]


def test_gzip_is_known_by_its_bytes_not_its_name(csv_file: Callable[..., Path], tmp_path: Path) -> None:
    packed = tmp_path / "packed.csv"
    packed.write_bytes(gzip.compress(csv_file(ROW).read_bytes()))
    assert pages(packed)[0].chunk.value.to_pylist() == ["1.5"]
    assert CsvSource(packed).size_bytes == packed.stat().st_size


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1250"])
def test_encodings_are_read_when_told(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "readings.csv"
    path.write_text(f"meter,obis,time,value,unit\nŁódź,{ROW[4:]}\n", encoding=encoding)
    assert pages(path, encoding)[0].chunk.meter.names == ["Łódź"]


def test_files_that_cannot_be_read_say_what_to_do(csv_file: Callable[..., Path], tmp_path: Path) -> None:
    plain = csv_file(ROW, name="plain.csv.gz")
    latin = tmp_path / "latin.csv"
    latin.write_bytes("meter,obis,time,value,größe\n".encode("cp1252"))
    empty = tmp_path / "empty.csv"
    empty.touch()
    assert problem_of(tmp_path / "none.csv") == "no such file"
    assert "is a folder" in problem_of(tmp_path)
    assert "is not gzip data" in problem_of(plain)
    assert "such as --encoding cp1250" in problem_of(latin)
    assert "is empty" in problem_of(empty)
    assert "no column for the meter" in problem_of(csv_file(header="a,b"))


def test_damage_further_on_is_named_after_the_rows_before_it(csv_file: Callable[..., Path], tmp_path: Path) -> None:
    whole = gzip.compress(csv_file(*(f"1.1,A+,{row},{os.urandom(8).hex()},u" for row in range(9_000))).read_bytes())
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    assert CsvSource(cut).check() == ()
    read = CsvSource(cut, chunk_rows=1_000).pages()
    assert next(read).rows == 1_000
    with pytest.raises(SourceError, match="damaged or incomplete gzip"):
        list(read)


def test_rows_that_are_no_csv_are_rejects_and_the_rows_around_them_are_read(csv_file: Callable[..., Path]) -> None:
    [page] = pages(csv_file(ROW, '"1.1"x,1.8.0,1,1,u', ROW, '"1.1,1.8.0,1,1,u', ROW))
    assert page.chunk.rows.tolist() == [2, 4, 6]
    assert [(reject.row, reject.value, reject.reason) for reject in page.rejects] == [
        (3, '"1.1"x,1.8.0,1,1,u', "is not CSV: ',' expected after '\"'"),
        (5, '"1.1,1.8.0,1,1,u', "is not CSV: a quote is not closed"),
    ]


@pytest.mark.parametrize("end", ["", ",", ",,"])
def test_lines_within_a_quoted_field_are_kept_whatever_delimiters_end_the_rows(
    csv_file: Callable[..., Path], end: str
) -> None:
    [page] = pages(csv_file(ROW + end, '"a\n\n,,\n"",\nb",1.8.0,2024-01-01T00:00Z,1.5,kWh' + end, ROW + end))
    assert page.rejects == ()
    assert [page.chunk.meter.text(row) for row in range(3)] == ["1.1", 'a\n\n,,\n",\nb', "1.1"]
    assert page.chunk.rows.tolist() == [2, 3, 8]


def test_unused_columns_are_told(csv_file: Callable[..., Path]) -> None:
    assert CsvSource(csv_file(header="meter,time,value,remark")).check() == ("remark",)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_standard_input_is_read_packed_or_not(csv_file: Callable[..., Path], pack: Callable[[bytes], bytes]) -> None:
    program = (
        "from besmart_async.ingest.sources import CsvSource\n"
        "source = CsvSource.of('-')\n"
        "assert source.check() == () and source.size_bytes is None and source.name == 'standard input'\n"
        "print([page.chunk.value.to_pylist() for page in source.pages()])\n"
    )
    given = pack(csv_file(ROW).read_bytes())
    done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, check=True)
    assert done.stdout == b"[['1.5']]\n"


FIELD = st.one_of(
    st.sampled_from(
        ["1.1", "2024-01-01T00:00Z", "1704067200000", "2.5", "", " ", "kWh", "NaN", "1e5", "2024-10-27T02:30"]
    ),
    st.text(alphabet='a1.,-:é\x00\x1f"; \t', max_size=8),
    st.binary(max_size=4).map(lambda raw: raw.translate(None, b"\n\r\x85\xa0").decode("latin-1")),
)


@given(
    st.lists(st.lists(FIELD, max_size=6).map(",".join), max_size=30),
    st.integers(20, 400),
    st.sampled_from([1, 3, 1000]),
    st.booleans(),
)
def test_every_line_is_a_reading_or_a_reject_or_blank_whatever_is_in_it(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], block_bytes: int, chunk_rows: int, latin: bool
) -> None:
    path = tmp_path_factory.mktemp("csv") / "f.csv"
    path.write_bytes("\n".join(["meter,time,value,unit", *lines, ""]).encode("latin-1" if latin else "utf-8"))
    parser, seen = Parser(ParseOptions(time_zone="Europe/Warsaw")), list[int]()
    for page in CsvSource(path, chunk_rows=chunk_rows, block_bytes=block_bytes).pages():
        readings, rejects = parser.parse(page.chunk)
        seen += readings.rows.tolist()
        seen += [reject.row for reject in (*page.rejects, *rejects)]
    # Zero bytes around a line are padding, and do not make text of it.
    texts = [line.strip("\0").strip() and line.strip(" ,\t\0\x1a") for line in lines]
    expected = [number for number, text in enumerate(texts, start=2) if text]
    assert len(seen) == len(set(seen))
    quoted = {number for number, line in enumerate(lines, start=2) if '"' in line}
    if quoted:  # a quote may make several lines one record
        assert set(seen) <= set(expected)
        assert set(expected) - set(seen) <= set(range(min(quoted), max(quoted) + 1))
    else:
        assert sorted(seen) == expected
