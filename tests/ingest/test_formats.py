"""Files of each format through an ingest: verified, recorded row by row, not sent twice, and with rejects to mend."""

import datetime as dt
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter

from besmart_async import BesmartClient
from besmart_async.ingest import Checkpoint, IngestJob, IngestReport, ParseOptions, Reject, sources_of
from besmart_async.ingest.sources.layout import FileForm

UTC = ParseOptions(time_zone="UTC")


def nem12(folder: Path) -> Path:
    values = ",".join(f"{number / 10}" for number in range(48))
    channels = [
        f"200,1.{sensor},E1E2,1,{suffix},N1,S,WH,30,\n300,20240601,{values},A,,,2024," for sensor, suffix in CHANNELS
    ]
    path = folder / "nem12.csv"
    path.write_text("\n".join(["100,NEM12,202406020100,M,R", *channels, "900", ""]), encoding="utf-8")
    return path


CHANNELS = ((1, "E1"), (1, "E2"), (2, "B1"))


def mscons(folder: Path) -> Path:
    quantities = "".join(
        f"QTY+{status}:1.5'DTM+163:20240601000{minute}?+00:303'DTM+164:20240601000{minute + 1}?+00:303'"
        for minute, status in enumerate(("220", "67", "Z99"))
    )
    body = f"UNH+1+MSCONS:D:04B:UN:2.4c'LOC+172+1.1'LIN+1'PIA+5+1-1?:1.29.0'{quantities}UNT+1+1'"
    path = folder / "MSCONS.txt"
    path.write_text(f"UNB+UNOC:3+1+2+240602:0600+R'{body}UNZ+1+R'", encoding="ascii")
    return path


def green_button(folder: Path) -> Path:
    readings = "".join(
        f"<IntervalReading><timePeriod><start>{start}</start></timePeriod><value>974</value></IntervalReading>"
        for start in (1_717_225_200, 1_717_228_800, "soon")
    )
    kind = "<ReadingType xmlns='http://naesb.org/espi'><flowDirection>1</flowDirection><uom>72</uom></ReadingType>"
    block = f"<IntervalBlock xmlns='http://naesb.org/espi'>{readings}</IntervalBlock>"
    entries = "".join(f"<entry><content>{content}</content></entry>" for content in (kind, block))
    path = folder / "usage.xml"
    path.write_text(f"<feed xmlns='http://www.w3.org/2005/Atom'>{entries}</feed>", encoding="ascii")
    return path


def workbook(folder: Path) -> Path:
    path = folder / "export.xlsx"
    with xlsxwriter.Workbook(str(path)) as made:
        day = made.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for name, meter in (("Juni", "1.1"), ("Juli", "1.2")):
            sheet = made.add_worksheet(name)
            sheet.write_row(0, 0, ("meter", "obis", "time", "value"))
            for row, value in enumerate((1.5, 2.5, "n/a"), start=1):
                sheet.write_row(row, 0, (meter, "1.29.0"))
                sheet.write_datetime(row, 2, dt.datetime(2024, 6, 1, row), day)
                sheet.write(row, 3, value)
    return path


def archive(folder: Path) -> Path:
    path = folder / "usage.zip"
    with zipfile.ZipFile(path, "w") as made:
        for name, meter in (("a.csv", "1.1"), ("b/b.csv", "1.2")):
            rows = "".join(f"{meter},1.29.0,2024-06-01T0{hour}:00Z,{hour}\n" for hour in range(3))
            made.writestr(name, f"meter,obis,time,value\n{rows}{meter},1.29.0,soon,1\n")
    return path


MADE = {nem12: (96, 48), mscons: (2, 1), green_button: (2, 1), workbook: (4, 2), archive: (6, 2)}


async def run(client: BesmartClient, path: Path, told: list[Reject] | None = None) -> IngestReport:
    form = FileForm(meter="1.1") if path.suffix == ".xml" else FileForm()
    with Checkpoint(path.with_suffix(".sqlite3")) as checkpoint:
        return await IngestJob(
            client.signals,
            client.writer,
            sources_of([str(path)], form),
            reading=UTC,
            verify=True,
            checkpoint=checkpoint,
            on_reject=None if told is None else told.append,
        ).run()


@pytest.mark.parametrize("make", MADE)
async def test_what_is_right_is_stored_once_and_what_is_not_is_told_in_each_run(
    tmp_path: Path, client: BesmartClient, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path)
    accepted, rejected = MADE[make]  # type: ignore[index]
    told: list[Reject] = []
    report = await run(client, path, told)
    assert (report.accepted, report.rejected) == (accepted, rejected)
    assert report.verification is not None
    assert report.verification.ok
    assert report.verification.expected == accepted
    again: list[Reject] = []
    report = await run(client, path, again)
    assert (report.accepted, report.requests) == (0, 0)
    assert report.verification is not None
    assert report.verification.expected == accepted
    assert sorted(map(str, again)) == sorted(map(str, told))
    assert len(again) == rejected
