"""Pictures as files: PNG, SVG, or one HTML file that works without a network."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from besmart_async.errors import BesmartError, InvalidInputError
from besmart_async.plots.picture import Picture
from besmart_async.plots.png import repacked

if TYPE_CHECKING:
    import altair as alt

ImageFormat = Literal["png", "svg", "html"]
"""The format of a picture's file."""
FORMATS: dict[str, ImageFormat] = {".png": "png", ".svg": "svg", ".html": "html", ".htm": "html"}
_SCALE = 2.0
"""Pixels of a PNG per unit of the chart: about 1,800 wide, sharp in print and on high-resolution screens."""
_MADE_BY = "besmart_async"
"""Stands near the start of every picture."""
_HEAD = 1024
_SCRIPT = '<script type="text/javascript">'


class PlotLibraryError(BesmartError):
    """The libraries for pictures are not installed; the text has the pip command."""


def image_format(path: Path) -> ImageFormat:
    """Return the format of a file by its name.

    Raises:
        InvalidInputError: the name has another ending.
    """
    found = FORMATS.get(path.suffix.casefold())
    if found is None:
        raise InvalidInputError("path", str(path), "give a name that ends with .png, .svg or .html")
    return found


def render(picture: Picture, kind: ImageFormat) -> bytes:
    """Return a picture as the bytes of a file.

    Raises:
        PlotLibraryError: altair or vl-convert is not installed.
    """
    chart = _chart(picture)
    specification = chart.to_json(indent=None)
    try:
        import vl_convert as vlc  # noqa: PLC0415 - holds a JavaScript engine
    except ImportError as error:
        raise _missing(error) from None
    if kind == "png":
        return repacked(vlc.vegalite_to_png(specification, scale=_SCALE), _MADE_BY)
    if kind == "svg":
        return vlc.vegalite_to_svg(specification).replace(">", f"><!-- {_MADE_BY} -->", 1).encode()
    page = _guarded(vlc.vegalite_to_html(specification, bundle=True, renderer="canvas"))
    title = f'<meta name="generator" content="{_MADE_BY}">\n    <title>{escape(picture.title)}</title>'
    return page.replace("<title>Chart</title>", title, 1).encode()


def is_picture(path: Path) -> bool:
    """Tell whether a file is a picture that `render` made."""
    with path.open("rb") as file:
        return _MADE_BY.encode() in file.read(_HEAD)


def _guarded(page: str) -> str:
    """Escape `<` in the chart's script, so that no text of the picture can end the script.

    The page has two scripts: the library, and the chart, where `<` only occurs in texts.
    """
    start = page.index(_SCRIPT, page.index(_SCRIPT) + 1) + len(_SCRIPT)
    end = page.rindex("</script>")
    return page[:start] + page[start:end].replace("<", "\\u003c") + page[end:]


def _chart(picture: Picture) -> alt.VConcatChart:
    try:
        from besmart_async.plots.vega import chart_of  # noqa: PLC0415 - altair takes half a second to import
    except ImportError as error:
        raise _missing(error) from None
    return chart_of(picture)


def _missing(error: ImportError) -> PlotLibraryError:
    return PlotLibraryError(f"pictures need an extra ({error}): pip install 'besmart-async[plot]'")
