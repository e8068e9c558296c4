"""Pictures of signals: lines, means by day and hour, and gaps.

`render(Picture([Curve.of(data)], since_ms, till_ms, zone), "png")` gives the bytes of a file.
"""

from besmart_async.plots.curves import Curve
from besmart_async.plots.picture import KINDS, Kind, Picture
from besmart_async.plots.saving import ImageFormat, PlotLibraryError, image_format, is_picture, render

__all__ = [
    "KINDS",
    "Curve",
    "ImageFormat",
    "Kind",
    "Picture",
    "PlotLibraryError",
    "image_format",
    "is_picture",
    "render",
]
