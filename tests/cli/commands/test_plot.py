"""`besmart plot` as a user calls it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from besmart_async.cli.exits import Exit

pytestmark = pytest.mark.usefixtures("service")
Run = Callable[..., Any]
DAY = ("--since", "2020-01-01T00:00Z", "--till", "2020-01-02T00:00Z")


def test_the_terminal_shows_all_charts_at_80_columns_without_colours(besmart: Run) -> None:
    done = besmart("plot", "1.1.1", "12.122.32", *DAY)
    assert done.code == Exit.OK
    for words in (
        "1.1.1 E, 12.122.32 A+",
        "2020-01-01 00:00 to 2020-01-02 00:00, UTC",
        "1.1.1 E [kW.h in 15 min]",
        "12.122.32 A+ [kW.h, register]",
        "1.1.1 E: mean of each hour",
        "completeness: share of the expected readings",
        "complete",
    ):
        assert words in done.out
    assert max(map(len, done.out.splitlines())) < 80
    assert "\x1b" not in done.out
    assert done.err == ""


def test_only_the_kind_asked_for_is_shown_in_the_zone_asked_for(besmart: Run) -> None:
    period = ("--since", "2020-01-01T01:00", "--till", "2020-01-02T01:00", "--time-zone", "Europe/Warsaw")
    done = besmart("plot", "1.1.1", *period, "--kind", "completeness")
    assert "2020-01-01 01:00 to 2020-01-02 01:00, Europe/Warsaw" in done.out
    assert "mean of each hour" not in done.out
    assert "complete" in done.out


def test_a_step_that_is_told_counts_the_missing(besmart: Run) -> None:
    done = besmart("plot", "1.1.1", *DAY, "--kind", "completeness", "--step", "5")
    assert "192 missing, 66.7%" in done.out


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<svg"), ("a.html", b"<!DOCTYPE html>")])
def test_a_file_is_what_its_name_says(besmart: Run, tmp_path: Path, name: str, start: bytes) -> None:
    done = besmart("plot", "1.1.1", *DAY, "-o", tmp_path / name, "--title", "My meter")
    assert (done.code, done.out) == (Exit.OK, "")
    assert f"{name}: 1 signal, " in done.err
    assert (tmp_path / name).read_bytes().startswith(start)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_signal_without_an_answer_is_named_with_code_3(besmart: Run) -> None:
    done = besmart("plot", "1.1.1", "99.1.1", *DAY, "--kind", "line")
    assert done.code == Exit.REJECTED
    assert "99.1.1: no answer" in done.err
    assert "1.1.1 E" in done.out


def test_a_sensor_that_is_unknown_is_named_and_the_rest_is_drawn(besmart: Run) -> None:
    done = besmart("plot", "1.1.1", "12.999999", *DAY, "--kind", "line")
    assert (done.code, "12.999999: no answer; is there such a sensor?" in done.err) == (Exit.REJECTED, True)
    assert "1.1.1 E" in done.out
    alone = besmart("plot", "12.999999", *DAY)
    assert (alone.code, "12.999999: no answer" in alone.err) == (Exit.ERROR, True)
    assert "no readings to draw" in alone.err


def test_a_signal_that_is_refused_is_named_and_the_rest_is_drawn(besmart: Run) -> None:
    done = besmart("plot", "1.1.1", "1.1.5", *DAY, "--unit", "kW.h", "--kind", "line")
    assert done.code == Exit.REJECTED
    assert "1.1.5: " in done.err
    assert "cannot be given in 'kW.h'" in done.err
    assert "1.1.1 E" in done.out


def test_nothing_to_draw_is_an_error_and_no_file(besmart: Run, tmp_path: Path) -> None:
    done = besmart("plot", "1.1.2", *DAY, "-o", tmp_path / "a.png")
    assert (done.code, list(tmp_path.iterdir())) == (Exit.ERROR, [])
    assert "no readings to draw" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["1.1.1", *DAY, "-o", "a.pdf"], ".png, .svg or .html"),
        (["1.1.1", *DAY, "-o", "no/such/a.png"], "there is no folder"),
        (["1.1.1", *DAY, "--kind", "pie"], "pie"),
        (["1.1.1", *DAY, "--time-zone", "Mars"], "'Mars'"),
        (["1.1.1", *DAY, "--step", "0"], "step"),
        ([*DAY], "name at least one signal"),
    ],
)
def test_wrong_usage_is_explained_with_code_2(besmart: Run, arguments: list[str], words: str) -> None:
    done = besmart("plot", *arguments)
    assert done.code == Exit.USAGE
    assert words in done.err


def test_missing_libraries_are_named_with_the_command_before_anything_is_read(
    besmart: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BESMART_BASE_URL", "http://127.0.0.1:1/api")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    done = besmart("plot", "1.1.1", *DAY, "-o", tmp_path / "a.png")
    assert done.code == Exit.USAGE
    assert "altair and vl_convert" in done.err
    assert "pip install 'besmart-async[plot]'" in done.err


def test_the_terminal_needs_no_library_for_files(besmart: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("altair", "vl_convert", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    assert besmart("plot", "1.1.1", *DAY).code == Exit.OK


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.html"])
def test_a_picture_takes_the_place_of_the_one_before_and_of_nothing_else(
    besmart: Run, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    for _ in range(2):
        assert besmart("plot", "1.1.1", *DAY, "--kind", "line", "-o", path).code == Exit.OK
    for content in (b"\x89PNG of somebody else", b"<svg/>", b"<!DOCTYPE html>", b"12.122.32\n"):
        path.write_bytes(content)
        done = besmart("plot", "1.1.1", *DAY, "-o", path)
        assert done.code == Exit.USAGE
        assert "that file is something else, not from an earlier run" in done.err
        assert path.read_bytes() == content


def test_the_list_of_signals_is_no_output(besmart: Run, tmp_path: Path) -> None:
    path = tmp_path / "signals.svg"
    path.write_text("1.1.1\n")
    done = besmart("plot", "--signals-from", path, *DAY, "-o", path)
    assert (done.code, path.read_text()) == (Exit.USAGE, "1.1.1\n")
    assert "that file is the list of --signals-from; name another" in done.err
