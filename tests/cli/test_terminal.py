"""Pictures in the terminal: widths, colours, ticks."""

from datetime import UTC, datetime

import attrs
import numpy as np
import pytest

from besmart_async import SignalData, SignalKey
from besmart_async.cli.terminal import terminal_picture
from besmart_async.plots import Curve, Picture
from besmart_async.plots.days import HOUR_MS


def picture(days: int, *names: int, unit: str = "kW") -> Picture:
    since = datetime(2023, 1, 1, tzinfo=UTC).timestamp() * 1000
    time = np.arange(since, since + days * 24 * HOUR_MS, HOUR_MS / 4).astype(np.int64)
    curves = [
        Curve.of(SignalData(SignalKey(1, name, 34), time, np.sin(np.arange(len(time)) / 13 + name), unit=unit))
        for name in names
    ]
    return Picture(curves, since, since + days * 24 * HOUR_MS, UTC)


@pytest.mark.parametrize("width", [72, 79, 119])
@pytest.mark.parametrize("days", [1, 3, 30, 366, 4000])
def test_every_chart_fits_its_width(width: int, days: int) -> None:
    charts = list(terminal_picture(picture(days, 1, 2), width, colour=False))
    assert len(charts) >= 4
    assert max(len(line) for chart in charts[:4] for line in chart.splitlines()[:-1]) <= width


@pytest.mark.parametrize(
    ("days", "labels"),
    [
        (1, ["01 Jan", "06:00", "12:00", "18:00"]),
        (4, ["01 Jan", "02 Jan", "03 Jan", "04 Jan"]),
        (28, ["01 Jan", "08 Jan", "15 Jan", "22 Jan"]),
        (365, ["Jan 2023", "Apr 2023", "Jul 2023", "Oct 2023"]),
        (1500, ["Jan 2023", "Jan 2024", "Jan 2025", "Jan 2026"]),
    ],
)
def test_ticks_are_at_whole_hours_days_and_months(days: int, labels: list[str]) -> None:
    [chart, *_] = terminal_picture(attrs.evolve(picture(days, 1), kinds=["line"]), 79, colour=False)
    ticks = chart.splitlines()[-1]
    assert [label for label in labels if label in ticks] == labels


def test_lines_can_be_told_apart_without_colours() -> None:
    [chart, *_] = terminal_picture(attrs.evolve(picture(2, 1, 2), kinds=["line"]), 79, colour=False)
    assert "** 1.1.34" in chart
    assert "++ 1.2.34" in chart
    assert "\x1b" not in chart


def test_colours_only_where_wanted() -> None:
    assert all("\x1b[" in chart for chart in list(terminal_picture(picture(2, 1, 2), 79, colour=True))[:4])


def test_thinning_is_said() -> None:
    *_, last = terminal_picture(picture(300, 1), 79, colour=False)
    assert "first, lowest, highest and last" in last


def test_a_signal_without_readings_says_so() -> None:
    whole = picture(2, 1)
    [curve] = whole.curves
    none = attrs.evolve(curve, time=curve.time[:0], value=curve.value[:0], step_ms=None)
    text = "\n".join(terminal_picture(attrs.evolve(whole, curves=[none]), 79, colour=False))
    assert text.count("nothing was read") == 2
    assert "too few readings to tell" in text
