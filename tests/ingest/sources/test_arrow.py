"""Without pyarrow reading files is not possible, and says which extra brings it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from besmart_async.ingest.sources.columns import as_numpy

READ = """
import sys
from besmart_async.ingest.parse.parser import Parser, ParseOptions
from besmart_async.ingest.sources import sources_of
read = 0
for source in sources_of(sys.argv[1:]):
    parser = Parser(ParseOptions())
    for page in source.pages():
        readings, rejects = parser.parse(page.chunk)
        assert not rejects, rejects
        read += len(readings)
print(read, "pandas" in sys.modules)
"""


def test_its_absence_names_the_extra() -> None:
    program = "import sys; sys.modules['pyarrow'] = None; import besmart_async; import besmart_async.ingest"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("reading files needs pyarrow: pip install 'besmart-async[files]'")


def test_p1_telegrams_say_which_extra_they_need() -> None:
    program = (
        "import sys; sys.modules['dsmr_parser'] = None\n"
        "from besmart_async.ingest.sources import TelegramSource\n"
        "TelegramSource(None).check()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "P1 telegrams need dsmr_parser: pip install 'besmart-async[dsmr]'" in done.stderr


def test_reading_files_does_not_import_pandas_which_would_take_longer_than_the_reading(tmp_path: Path) -> None:
    long, wide, columns = tmp_path / "long.csv", tmp_path / "wide.csv", tmp_path / "columns.parquet"
    long.write_text("meter,obis,time,value,unit\n1.1,1.8.0,2024-01-01T00:00:00Z,1.5,kWh\n")
    hours = ",".join(map(str, range(1, 25)))
    wide.write_text(f"meter,date,zone,{hours}\n1.1,2024-01-01,UTC,,{hours.removeprefix('1,')}\n")
    table = pa.table(
        {"meter": ["1.1"], "time": pa.array([1_704_067_200_000], pa.timestamp("ms", "UTC")), "value": [1.5]}
    )
    parquet.write_table(table, columns)
    command = [sys.executable, "-c", READ, str(long), str(wide), str(columns)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["25", "False"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1, 2, 3], pa.int64()).slice(1), np.array([2, 3])),
        (pa.array([1.5, -0.0]), np.array([1.5, -0.0])),
        (pa.array([True, False, True]).slice(1), np.array([False, True])),
        (pa.array([], pa.int32()), np.empty(0, np.int32)),
    ],
)
def test_an_arrow_array_is_the_same_numpy_array(column: pa.Array, expected: np.ndarray) -> None:
    found = as_numpy(column)
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()
