"""A picture of a made-up year."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from besmart_async import SignalData, SignalKey, SignalType
from besmart_async.plots import Curve, Picture
from besmart_async.plots.days import HOUR_MS

WARSAW = ZoneInfo("Europe/Warsaw")
MakePicture = Callable[..., Picture]


@pytest.fixture
def picture() -> MakePicture:
    def make(count: int = 1, *, till: tuple[int, int, int] = (2023, 4, 9), **changes: object) -> Picture:
        edges = [int(datetime(*day, tzinfo=WARSAW).timestamp() * 1000) for day in ((2023, 3, 20), till)]
        time = np.arange(edges[0], edges[1], HOUR_MS // 4)
        kind = SignalType(symbol="profile")
        curves = [
            Curve.of(SignalData(SignalKey(1, n, 34), time, np.sin(np.arange(len(time)) / 9 + n), unit="kW.h"), kind)
            for n in range(count)
        ]
        given = {"curves": curves, "since_ms": edges[0], "till_ms": edges[1], "zone": WARSAW} | changes
        return Picture(**given)  # type: ignore[arg-type]

    return make
