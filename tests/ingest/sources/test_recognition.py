"""What a file is, by its first bytes."""

import os
import threading
from pathlib import Path

import pytest

from besmart_async.ingest import SourceError
from besmart_async.ingest.sources import CsvSource
from besmart_async.ingest.sources.recognition import TEXT, recognized


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"PAR1\x15\x04", "parquet"),
        (b"PK\x03\x04\x14\0", "zip"),
        (b"PK\x05\x06" + b"\0" * 18, "zip"),
        (b"100,NEM12,202406020100,MDP1,RETAILER1\n", "nem12"),
        (b"\xef\xbb\xbf100,NEM12,202406020100\r\n", "nem12"),
        (b"200,NMI0000001,E1B1,E1,E1,N1,METER1,KWH,30,\n", "nem12"),
        (b"UNA:+.? 'UNB+UNOC:3+1+2'UNH+1+MSCONS:D:04B:UN:2.4c'BGM+7'", "mscons"),
        (b"UNB+UNOA:1+1+2'\r\nUNH+1+MSCONS:D:96A:ZZ:AT'BGM", "mscons"),
        (
            b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><a xmlns="http://naesb.org/espi"/>',
            "green-button",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "Workbook".encode("utf-16-le"), "excel"),
    ],
)
def test_formats_that_can_be_read(start: bytes, name: str) -> None:
    assert recognized(start).format == name
    assert recognized(start).problem == ""


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"<!DOCTYPE html>\n<html><head><title>Login", "an HTML page, such as the login"),
        (b"\n\n<!-- x --><HTML>", "an HTML page"),
        (b'{"readings": []}', "JSON"),
        (b'[\n  {"time": 1}]', "JSON"),
        (b"SQLite format 3\0\x10", "a SQLite database"),
        (b"7z\xbc\xaf\x27\x1c\0", "a 7z archive; unpack it first"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive; unpack it first"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"\xfd7zXZ\0\0", "compressed with xz"),
        (b"Obj\x01\x04", "an Avro file"),
        (b"ORC\x08", "an ORC file"),
        (b"ARROW1\0\0", "an Arrow or Feather file"),
        (b"x" * 257 + b"ustar\x0000", "a tar archive"),
        (b"UNB+UNOC:3+1+2'UNH+1+UTILMD:D:11A:UN:5.2'BGM", "an EDIFACT message of type UTILMD"),
        (b'<?xml version="1.0"?>\n<Invoice xmlns="x">', "XML (root element Invoice)"),
        (b"<x:MeterData xmlns:x='urn:dlms:cosem'>", "XML (root element MeterData, DLMS/COSEM)"),
        ('<?xml version="1.0"?><Data/>'.encode("utf-16"), "XML (root element Data)"),
        (b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">', "an Atom feed without Green Button"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "WordDocument".encode("utf-16-le"), "a Word document"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            "an Excel workbook with a password",
        ),
        (b"\x89PNG\r\n", "a picture"),
    ],
)
def test_others_are_named_as_what_they_are(start: bytes, problem: str) -> None:
    found = recognized(start)
    assert found.format is None
    assert problem in found.problem


@pytest.mark.parametrize(
    ("start", "problem"),
    [(b"%PDF-1.7", "is a PDF document"), (b"100,NEM12,2024\n", "is nem12, not CSV; say --format nem12")],
)
def test_what_comes_through_a_pipe_is_named_too(tmp_path: Path, start: bytes, problem: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(start,))
    writer.start()
    with pytest.raises(SourceError, match=problem):
        next(CsvSource(pipe).pages())
    writer.join()


@pytest.mark.parametrize(
    "start",
    [
        b"meter,obis,time,value\n",
        b"100;NEM\n",
        b"",
        b"/KFM5KAIFA-METER\r\n",
        b"\xe9t\xe9;1\n",
        b"[Kopf]\nmeter;time\n",
        b"{meter};time\n",
        b"200,300,400\n",
        b"UNABHAENGIG;meter\n",
        b"<meter>,time\n"[1:],
    ],
)
def test_anything_else_is_taken_for_a_table_in_text(start: bytes) -> None:
    assert recognized(start) == TEXT
