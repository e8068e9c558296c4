"""Which files a command line names, and which format they have; formats of other packages."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from besmart_async.ingest import IngestJob, KnownMeters
from besmart_async.ingest.sources import (
    CsvSource,
    ParquetSource,
    SourceError,
    TelegramSource,
    format_names,
    sources_of,
)
from besmart_async.ingest.sources.layout import FileForm

ROW = "meter,time,value\n1.1,2024-01-01T00:00Z,1.5\n"

PLUGIN = '''
"""Readings in lines such as `1.1 1704067200000 2.5`, as another package would read them."""

import attrs
import numpy as np

from besmart_async.ingest import Chunk, Coder, Page


@attrs.frozen
class LineSource:
    path: object

    @property
    def name(self):
        return str(self.path)

    @property
    def size_bytes(self):
        return self.path.stat().st_size

    def check(self):
        return ()

    def pages(self):
        meters, times, values = zip(*(line.split() for line in self.path.read_text().splitlines()))
        rows = np.arange(1, len(meters) + 1)
        time = np.array(times, np.int64)
        yield Page(Chunk(self.name, rows, Coder().encode(meters), time, list(values)), (), self.size_bytes)


class LineFormat:
    suffixes = (".lines",)

    def source(self, path, form):
        return LineSource(path)
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution with formats in its entry points, as pip lays it out: one that works and two that do not."""
    folder = tmp_path / "site-packages"
    metadata = folder / "acme_meters-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "acme_meters.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-meters\nVersion: 1.0\n")
    (metadata / "RECORD").write_text("")
    (metadata / "entry_points.txt").write_text(
        "[besmart_async.sources]\nlines = acme_meters:LineFormat\nabsent = acme_nothing:Format\nodd = json:dumps\n"
    )
    monkeypatch.syspath_prepend(folder)
    return folder


def write(path: Path, text: str = ROW) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(found: list[str]) -> list[str]:
    return [Path(source.name).name for source in sources_of(found)]


def test_the_format_is_the_names_or_the_first_bytes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"meter": ["1.1"], "time": [1704067200000], "value": [1.0]}), tmp_path / "data")
    for name, kind in {"a.csv": CsvSource, "b.TXT": CsvSource, "c.csv.gz": CsvSource, "d.tsv.zst": CsvSource}.items():
        assert isinstance(sources_of([str(write(tmp_path / name))])[0], kind)
    assert isinstance(sources_of([str(tmp_path / "data")])[0], ParquetSource)
    assert isinstance(sources_of([str(write(tmp_path / "log.p1.gz"))])[0], TelegramSource)
    assert isinstance(sources_of([str(tmp_path / "none.parquet")])[0], ParquetSource)
    assert isinstance(sources_of(["-"])[0], CsvSource)
    assert isinstance(sources_of([str(tmp_path / "a.csv")], FileForm(format="dsmr"))[0], TelegramSource)


def test_a_folder_stands_for_all_its_files_in_order_without_hidden_and_unknown_ones(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", "deep/er/c.parquet", ".hidden.csv", ".git/x.csv", "README.md"):
        write(tmp_path / name)
    assert names([str(tmp_path)]) == ["a.csv.gz", "b.csv", "c.parquet"]


def test_a_pattern_stands_for_the_files_it_matches_and_each_file_is_read_once(tmp_path: Path) -> None:
    for name in ("2024-01.csv", "2024-02.csv", "deep/2024-03.csv"):
        write(tmp_path / name)
    assert names([str(tmp_path / "*.csv")]) == ["2024-01.csv", "2024-02.csv"]
    assert len(names([str(tmp_path / "**" / "*.csv"), str(tmp_path), str(tmp_path / "2024-01.csv")])) == 3
    odd = write(tmp_path / "odd[1].csv")
    assert names([str(odd)]) == ["odd[1].csv"]


def test_names_that_lead_to_no_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name, words in {
        str(tmp_path / "*.csv"): "no file matches",
        str(tmp_path / "empty"): "is a folder without files of a known format",
    }.items():
        with pytest.raises(SourceError, match=words):
            sources_of([name])
    with pytest.raises(SourceError, match="klingon: is no format; known are csv, parquet, dsmr"):
        sources_of(["x"], FileForm(format="klingon"))
    with pytest.raises(SourceError, match="cannot be Parquet"):
        sources_of(["-"], FileForm(format="parquet"))


async def test_a_format_of_an_installed_package_is_found_and_ingested(
    installed: Path, tmp_path: Path, client: object, simulator: object
) -> None:
    from besmart_async import BesmartClient
    from besmart_async.simulator import Simulator

    assert isinstance(client, BesmartClient)
    assert isinstance(simulator, Simulator)
    path = write(tmp_path / "day.lines", "1.1 1704067200000 2.5\n1.2 1704067200000 x\n")
    assert "lines" in format_names()
    for sources in (sources_of([str(path)]), sources_of([str(path)], FileForm(format="lines"))):
        report = await IngestJob(
            client.signals, client.writer, sources, meters=KnownMeters(), signal_type="1.8.0"
        ).run()
        assert (report.accepted, report.rejected) == (1, 1)
        assert str(report.rejects[0]) == f"{path} row 2: value='x' is not a number"
    assert [reading.value for reading in simulator.stored(1, 1, 32)] == [2.5, 2.5]


def test_the_command_reads_it_too(installed: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "day.lines", "1.1 1704067200000 2.5\n")
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); from besmart_async.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", program, "check", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "good                 1 for 1 signal of 1 meter" in done.stdout


@pytest.mark.usefixtures("installed")
def test_a_package_whose_format_fails_is_named(tmp_path: Path) -> None:
    path = str(write(tmp_path / "x.csv"))
    with pytest.raises(SourceError, match="absent: the package of this format fails: ModuleNotFoundError"):
        sources_of([path], FileForm(format="absent"))
    with pytest.raises(SourceError, match=r"odd: .* is no format|odd: the package of this format fails"):
        sources_of([path], FileForm(format="odd"))
