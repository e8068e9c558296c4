"""What a file is, by its first bytes: the name of a format that can be read, or what to say of one that cannot."""

from __future__ import annotations

import re
from typing import Final

import attrs

from besmart_async.ingest.sources.standards.edifact import segments

LOOKED_AT: Final = 64 << 10
"""First bytes of a file, decompressed, by which it is recognized."""

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document; ask for the data as CSV or Excel"),
    (b"SQLite format 3\0", "a SQLite database; export the table of readings as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it first (zip archives are read as they are)"),
    (b"Rar!\x1a\x07", "a RAR archive; unpack it first (zip archives are read as they are)"),
    (b"BZh", "compressed with bzip2; decompress it first (gzip and zstd are read as they are)"),
    (b"\xfd7zXZ\0", "compressed with xz; decompress it first (gzip and zstd are read as they are)"),
    (b"Obj\x01", "an Avro file; convert it to Parquet or CSV"),
    (b"ORC", "an ORC file; convert it to Parquet or CSV"),
    (b"ARROW1", "an Arrow or Feather file; convert it to Parquet or CSV"),
    (b"FEA1", "a Feather file; convert it to Parquet or CSV"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file; convert it to Parquet or CSV"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"{\\rtf", "a document in Rich Text Format; export the data as CSV or Excel"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLE_PARTS = (
    ("Workbook", ""),
    ("Book", ""),
    ("WordDocument", "a Word document; ask for the data as CSV or Excel"),
    ("PowerPoint Document", "a PowerPoint document; ask for the data as CSV or Excel"),
    ("EncryptedPackage", "an Excel workbook with a password; save it without one"),
)
_NEM12 = re.compile(rb"100,\s*\"?NEM1[23]\b|2[05]0,[A-Z0-9]{10,11},[A-Z0-9]*,", re.IGNORECASE)
_HTML = re.compile(rb"(?:<!--.*?-->|\s)*<(?:!doctype\s+html|html|head|body|table)\b", re.IGNORECASE | re.DOTALL)
_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]")
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


@attrs.frozen
class Recognized:
    """What a file is.

    Attributes:
        format: the name of its format; None if it cannot be read, or is a table in text.
        problem: what the file is and what to do, if it cannot be read; else empty.
    """

    format: str | None = None
    problem: str = ""


TEXT: Final = Recognized()
"""A table in text, as far as the first bytes show."""


def recognized(start: bytes) -> Recognized:
    """Return what a file is.

    Args:
        start: its first bytes, decompressed; up to `LOOKED_AT` of them.
    """
    if start.startswith(b"PAR1"):
        return Recognized("parquet")
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Recognized("zip")
    if start.startswith(_OLE):
        return _of_ole(start)
    for magic, text in _MAGIC:
        if start.startswith(magic):
            return Recognized(problem=f"is {text}")
    if start[257:262] == b"ustar":
        return Recognized(problem="is a tar archive; unpack it first (zip archives are read as they are)")
    return _of_text(_plain(start))


def _of_text(text: bytes) -> Recognized:  # noqa: PLR0911 - a kind of text each
    """Recognize a text, without byte-order mark and leading blanks."""
    if _NEM12.match(text):
        return Recognized("nem12")
    if (text.startswith(b"UNA") and b"UNB" in text[:40]) or re.match(rb"UNB.UNO", text):
        return _of_edifact(text)
    if re.match(rb"ISA.{102}", text, re.DOTALL) and b"GS" in text[103:115]:
        return Recognized(problem="is an ANSI X12 interchange, which is not supported; ask for CSV or Green Button")
    if _HTML.match(text):
        return Recognized(
            problem="is an HTML page, such as the login or error page of a portal; sign in and download the file again"
        )
    if text.startswith(b"<"):
        return _of_xml(text)
    if re.match(rb"[{\[]\s*[\"{\[\]}]", text):
        return Recognized(problem="is JSON; convert it to CSV or Parquet")
    return TEXT


def _plain(start: bytes) -> bytes:
    """Return a text without byte-order mark and leading blanks; UTF-16 as UTF-8."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return start[len(mark) :].decode(encoding, errors="replace").lstrip().encode()
    return start.lstrip()


def _of_edifact(text: bytes) -> Recognized:
    for _, segment in segments([text[: text.rfind(b"'") + 1] or text], ""):
        if segment.tag == "UNH":
            kind = segment.get(1)
            if kind == "MSCONS":
                return Recognized("mscons")
            return Recognized(problem=f"holds an EDIFACT message of type {kind}; only MSCONS has readings")
        if segment.number > 10:
            break
    return Recognized("mscons")


def _of_xml(text: bytes) -> Recognized:
    if b"http://naesb.org/espi" in text:
        return Recognized("green-button")
    if b"office:spreadsheet" in text[:4096] or b"urn:schemas-microsoft-com:office:spreadsheet" in text[:4096]:
        return Recognized(problem="is an Excel 2003 XML file; save it as .xlsx")
    found = _ROOT.search(text)
    root = found[2].decode() if found else "?"
    if root == "feed":
        return Recognized(problem="is an Atom feed without Green Button readings; only Green Button XML is supported")
    known = ""
    if b"dlms" in text[:4096].lower() or b"cosem" in text[:4096].lower():
        known = ", DLMS/COSEM"
    elif b"iec.ch/TC57" in text[:4096]:
        known = ", of the CIM family"
    return Recognized(problem=f"is XML (root element {root}{known}); of XML only Green Button (ESPI) is supported")


def _of_ole(start: bytes) -> Recognized:
    """An OLE document: its parts have names in UTF-16, which need not be in the first bytes."""
    for part, problem in _OLE_PARTS:
        if part.encode("utf-16-le") in start:
            return Recognized("excel") if not problem else Recognized(problem=f"is {problem}")
    return Recognized("excel")
