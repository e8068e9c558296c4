"""The form of files in a mapping file: what is allowed, and errors that name key, value and what is allowed."""

from pathlib import Path

import pytest

from besmart_async.ingest.mapping.file import MappingError, read_mapping
from besmart_async.ingest.sources.layout import FileForm, PreambleCell


def form(tmp_path: Path, text: str) -> FileForm:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    return read_mapping(path).form


def test_what_is_not_said_is_detected(tmp_path: Path) -> None:
    assert form(tmp_path, "") == FileForm()


def test_all_of_it(tmp_path: Path) -> None:
    found = form(
        tmp_path,
        """
        [file]
        header_row = [2, 3]
        name = "{meter}_{signal}.csv"
        skip = ["^Summe", "^$"]
        footer = 3
        [preamble]
        unit = "Einheit"
        [[series]]
        column = "A"
        meter = "M1"
        signal = "1.8.0"
        unit = "kWh"
        origin = "measured"
        [[series]]
        pattern = "{meter} [{unit}]"
        origin_column = "+1"
        date = 3
        time = "-1"
        except = ["Summe"]
        optional = true
        """,
    )
    assert (found.header_row, found.skip, found.footer) == ((2, 3), ("^Summe", "^$"), 3)
    assert found.name_pattern is not None
    assert found.name_pattern.parts == {"meter", "signal"}
    assert found.preamble == {"unit": PreambleCell(label="Einheit")}
    first, second = found.series
    assert first.said == {"meter": "M1", "signal": "1.8.0", "unit": "kWh", "origin": "measured"}
    assert (second.beside, second.excluded, second.optional) == (
        {"origin": "+1", "time": "-1", "date": 3},
        ("Summe",),
        True,
    )
    assert found.several_meters_in_a_row


def test_a_scope_of_checkpoints_does_not_change_by_settings_that_are_not_used() -> None:
    assert repr(FileForm(delimiter=";")) == (
        "FileForm(format=None, encoding='utf-8-sig', delimiter=';', header_row=1, kind=None, columns={},"
        " first_slot=None, last_slot=None, slots=None, step_ms=None)"
    )
    assert "meter='M1'" in repr(FileForm(meter="M1"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[file]\nname = "x.csv"', 'file.name = "x.csv" finds nothing; mark the meter, such as {meter}_{date}.csv'),
        ('[file]\nname = "{mid}"', "has the unknown place {mid}; there are {meter}, {signal}"),
        ('[file]\nname = "{meter}{meter}"', "has {meter} twice"),
        ('[file]\nskip = ["("]', 'file.skip = ["("] is no regular expression'),
        ('[file]\nskip = [""]', "matches every line with ''; begin with ^"),
        ('[file]\nskip = [".*"]', "matches every line with '.*'"),
        ("[file]\nfooter = 0", "file.footer = 0 is not allowed; give a whole number from 1"),
        ('[file]\nfooter = "["', "is no regular expression"),
        ("[file]\nheader_row = [2, 1]", "give the rows from top to bottom, such as [1, 2]"),
        ("[file]\nheader_row = []", "give a whole number from 0, or several"),
        ('[file]\nheader_row = 0\n[preamble]\nmeter = "POD"', "says that nothing is above the rows"),
        ("[preamble]\nmeter = { row = 3 }", "needs row and column, counted from 1"),
        ('[preamble]\nmeter = "POD {unit}"', "must have the place {meter} and no other"),
        ('[preamble]\nvalue = "POD"', 'preamble.value = "POD" is no key of [preamble]; there are meter, signal, unit'),
        ('[file]\nmeter = "1"\n[preamble]\nmeter = "POD"', "is said by file.meter and by preamble.meter"),
        ('[file]\nmeter = "1"\n[columns]\nmeter = "POD"', "but file.meter says the meter of the whole file"),
        ("[series]\ncolumn = 1", "series is not a list of tables; write [[series]]"),
        ("[[series]]", "series[1].column is needed, its title or number; or a pattern"),
        ('[[series]]\ncolumn = ["a", "b"]', "names several columns; write a [[series]] for each, or a pattern"),
        ('[[series]]\ncolumn = 1\nsignl = "x"', 'series[1].signl = "x" is no key of [series[1]]'),
        ('[[series]]\npattern = "{unit}"\nunit = "kWh"', "is said twice: here, and by the pattern"),
        ("[[series]]\ncolumn = 1\nvalue = 2", "is no key"),
        ('[columns]\nvalue = "x"\n[[series]]\ncolumn = 1', "but so does [[series]]; leave out one"),
        ('[file]\nlayout = "wide"\n[[series]]\ncolumn = 1', "is that of days in rows"),
        ('[time]\ninterval = "end"\n[file]\nlayout = "wide"\n[wide]\nslots = "moments"', "say time.resolution"),
        ("[meters.factors]\nA = 0", "meters.factors.A = 0 is no factor; give a number above 0, such as 4000"),
    ],
)
def test_what_cannot_work_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(MappingError) as caught:
        form(tmp_path, text)
    assert words in str(caught.value)
