"""Pictures as files: the right kind, complete, and needing nothing else."""

import json
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from besmart_async import InvalidInputError
from besmart_async.plots import Picture, PlotLibraryError, image_format, render

Make = Callable[..., Picture]


def specification(page: bytes) -> Any:
    found = re.search(r"const spec = (\{.*\});?\n", page.decode())
    assert found
    return json.loads(found[1])


def test_a_png_is_one_and_sharp(picture: Make) -> None:
    image = render(picture(), "png")
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", image[16:24])
    assert 1_600 < width < 3_000
    assert 1_000 < height < 3_000


def test_an_svg_has_axes_units_legend_title_and_notes(picture: Make) -> None:
    year = render(picture(2, till=(2024, 3, 20), kinds=("line", "completeness")), "svg").decode()
    for text in (
        "1.0.34 profile",
        "2023-03-20 00:00 to 2024-03-20 00:00, Europe/Warsaw",
        "kW.h in 15 min",
        "Jul 2023",
        "share read",
        "complete",
        "first, lowest, highest and last reading",
    ):
        assert text in year
    few_days = render(picture(7, till=(2023, 3, 23), kinds=("heatmap",)), "svg").decode()
    for text in (">kW<", "hour of day", "Tue 21 Mar", "only the first 6 of 7 signals have heat maps"):
        assert text in few_days


def test_a_page_holds_everything_it_needs(picture: Make) -> None:
    page = render(picture(), "html").decode()
    outside = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert "<title>1.0.34 profile</title>" in page
    assert not re.search(r"(src|href)\s*=", outside)
    assert "http" not in outside
    assert page.count("<script type") == 2
    assert len(page) > 500_000  # the library is in it


def test_texts_cannot_break_out_of_the_page(picture: Make) -> None:
    title = "a<!--</script><script>alert(1)</script>"
    page = render(picture(heading=title), "html")
    assert b"<script>alert" not in page
    assert page.count(b"</script>") == 2
    assert specification(page)["title"]["text"] == title


def test_a_picture_has_the_charts_asked_for(picture: Make) -> None:
    for kinds, count in ((("line",), 1), (("heatmap",), 2), (("completeness",), 1), (("line", "completeness"), 2)):
        chart = specification(render(picture(2, kinds=kinds), "html"))
        assert len(chart["vconcat"]) == count


def test_signals_without_readings_can_be_in_a_picture(picture: Make) -> None:
    full, empty = picture(2).curves
    none = attrs.evolve(empty, time=empty.time[:0], value=empty.value[:0], step_ms=None)
    image = render(picture(curves=[full, none]), "svg").decode()
    assert "too few readings to tell" in image


def test_readings_further_apart_than_a_day_have_no_heat_map_and_that_is_said(picture: Make) -> None:
    [curve] = picture().curves
    weekly = attrs.evolve(curve, time=curve.time[::672], value=curve.value[::672], step_ms=7 * 86_400_000.0)
    assert "have no heat map" in render(picture(curves=[weekly]), "svg").decode()
    with pytest.raises(InvalidInputError, match="have no heat map"):
        render(picture(curves=[weekly], kinds=["heatmap"]), "svg")


@pytest.mark.parametrize(("name", "kind"), [("a.png", "png"), ("a.SVG", "svg"), ("a.html", "html"), ("a.htm", "html")])
def test_the_name_tells_the_format(name: str, kind: str) -> None:
    assert image_format(Path(name)) == kind


def test_another_name_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"\.png"):
        image_format(Path("a.pdf"))


@pytest.mark.parametrize("library", ["altair", "vl_convert"])
def test_a_missing_library_is_named_with_the_command(
    picture: Make, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "besmart_async.plots.vega", raising=False)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PlotLibraryError, match=r"pip install 'besmart-async\[plot\]'"):
        render(picture(), "png")
