"""Make the sample in this folder from the `opendsm` wheel (see NOTICE).

    pip download opendsm==1.2.7 --no-deps && python -m zipfile -e opendsm-1.2.7-*.whl opendsm
    python examples/data/make_sample.py opendsm

Every source row becomes one row of the long layout, in the source's order, time and value being the source's own
characters. The output is the same bytes each time.
"""

import csv
import gzip
import io
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SAMPLES = Path("opendsm", "eemeter", "samples")
OBIS = "1-0:1.29.0"  # active energy taken from the grid, load profile: the energy of each period, not a register

# meter name here: the source file, and the clock its times are read from
ILLINOIS = {
    "IL-1001": ("il-electricity-cdd-hdd-hourly.csv.gz", "America/Chicago"),
    "IL-1002": ("il-electricity-cdd-only-hourly.csv.gz", "America/Chicago"),
}
BRITAIN = {
    "UK-2001": ("uk-electricity-hdd-only-hourly-sample-1.csv.gz", "UTC"),
    "UK-2002": ("uk-electricity-hdd-only-hourly-sample-2.csv.gz", "UTC"),
}
CLOCK_CHANGES = ("2016-03-12", "2016-03-13", "2016-03-14", "2016-11-05", "2016-11-06", "2016-11-07")
HEADER = ("meter", "obis", "time", "zone", "value", "unit")


def source_rows(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield (start, value) as they are written in the source."""
    with gzip.open(folder / SAMPLES / name, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["start"], row["value"]


def long_rows(folder: Path, meters: dict[str, tuple[str, str]]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of all meters, one meter after the other."""
    for meter, (name, zone) in meters.items():
        for start, value in source_rows(folder, name):
            yield meter, OBIS, start, zone, value, "kWh"


def clock_change_rows(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield three days around each clock change of 2016 as a wall clock shows them: the offset is cut off."""
    for start, value in source_rows(folder, ILLINOIS["IL-1001"][0]):
        if start.startswith(CLOCK_CHANGES):
            yield "IL-1001", OBIS, start[:19], value, "kWh"


def as_csv(header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> bytes:
    """Return the rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def main(folder: Path) -> None:
    """Write the three files of the sample."""
    for name, meters in (("il-electricity.csv.gz", ILLINOIS), ("uk-electricity.csv.gz", BRITAIN)):
        # Neither a time nor a name in the gzip header, so that the file only changes with its content.
        content = gzip.compress(as_csv(HEADER, long_rows(folder, meters)), compresslevel=9, mtime=0)
        (HERE / name).write_bytes(content)
    header = tuple(name for name in HEADER if name != "zone")
    (HERE / "clock-changes.csv").write_bytes(as_csv(header, clock_change_rows(folder)))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
