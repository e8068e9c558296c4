"""Line charts made of characters: what fits, what is drawn where, and labels that never depend on chance."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from besmart_async.cli.terminal.canvas import ROWS, Tick, Trace, line_chart

HOURS: list[Tick] = [(float(hour), f"{hour % 24:02}:00") for hour in range(0, 25, 3)]


def piece(*points: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.array(points, float).T
    return x, y


def chart(*traces: Trace, width: int = 79, title: str = "t", y_range: tuple[float, float] | None = None) -> list[str]:
    return line_chart(traces, width, title=title, x_till=24.0, x_ticks=HOURS, y_range=y_range).splitlines()


def inside(lines: Sequence[str]) -> list[str]:
    return [re.split("[│┤]", line)[1] for line in lines if line.count("│") + line.count("┤") == 2]


@pytest.mark.parametrize("width", range(12, 121))
def test_labels_fit_at_any_width_and_each_has_its_tick(width: int) -> None:
    lines = chart(Trace([piece((0, 1), (24, 5))]), width=width, title="a long title " * 12)
    assert max(map(len, lines)) <= width
    assert len(inside(lines)) == ROWS
    labels = lines[-1].split()
    assert labels[0] == "00:00"
    assert lines[-2].count("┬") == len(labels)
    assert "  ".join(labels) in re.sub(" +", "  ", lines[-1])  # none touches another


def test_every_label_is_drawn_where_all_fit_and_every_second_where_not() -> None:
    wide = chart(Trace([piece((0, 1), (24, 5))]), width=79)[-1].split()
    assert wide == [f"{hour % 24:02}:00" for hour in range(0, 25, 3)]
    narrow = chart(Trace([piece((0, 1), (24, 5))]), width=45)[-1].split()
    assert narrow == ["00:00", "06:00", "12:00", "18:00", "00:00"]


def test_a_line_goes_through_every_column_and_from_corner_to_corner() -> None:
    rows = inside(chart(Trace([piece((0, 0), (24, 1))], marker="*")))
    assert rows[-1].startswith("*")
    assert rows[0].endswith("*")
    assert all(any(row[column] == "*" for row in rows) for column in range(len(rows[0])))


def test_pieces_are_not_connected_and_a_lone_point_is_a_dot() -> None:
    rows = inside(chart(Trace([piece((0, 1), (6, 1)), piece((12, 1)), piece((18, 1), (24, 1))], marker="*")))
    [drawn] = [row for row in rows if row.strip()]
    assert [len(run) for run in drawn.split()] == [19, 1, 19]


def test_a_filled_trace_has_nothing_empty_below_it() -> None:
    rows = inside(chart(Trace([piece((0, 0), (12, 4), (24, 0))], filled=True), y_range=(0.0, 4.0)))
    for column in range(len(rows[0])):
        drawn = "".join(row[column] for row in rows).lstrip()
        assert set(drawn[1:-1]) <= set("█▌▐▙▟▄")
        assert drawn


def test_a_later_trace_covers_an_earlier_one_and_both_are_in_the_legend() -> None:
    across = [piece((0, 1), (24, 1))]
    lines = chart(Trace(across, name="first", marker="*"), Trace(across, name="second", marker="+"))
    assert lines[1] == "  ** first  ++ second"
    assert "*" not in "".join(inside(lines))


def test_a_legend_that_is_too_long_for_a_line_goes_on_in_the_next() -> None:
    traces = [Trace([piece((0, 1))], name=f"signal number {number}", marker="*") for number in range(7)]
    lines = chart(*traces, width=60)
    assert [line.count("signal") for line in lines[1:4]] == [3, 3, 1]
    assert max(map(len, lines)) <= 60


def test_colours_are_those_of_the_traces_and_end_with_each_run() -> None:
    lines = chart(Trace([piece((0, 1), (24, 5))], name="a", colour=32), Trace([piece((0, 2))], name="b", colour=166))
    text = "\n".join(lines)
    assert {int(code) for code in re.findall(r"\x1b\[38;5;(\d+)m", text)} == {32, 166}
    assert text.count("\x1b[38;5;") == text.count("\x1b[0m")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert max(map(len, plain.splitlines())) <= 79


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["1.0", "0.8", "0.6", "0.4", "0.2", "0.0"]),
        (-1234.0, 1234.0, ["1000", "500", "0", "-500", "-1000"]),
        (229.98, 230.02, ["230.02", "230.01", "230.00", "229.99", "229.98"]),
        (1e6, 1e6 + 1, ["1000001.0", "1000000.8", "1000000.6", "1000000.4", "1000000.2", "1000000.0"]),
        (0.0, 5e-9, ["5e-09", "4e-09", "3e-09", "2e-09", "1e-09", "0"]),
        (0.0, 2e15, ["2e+15", "1.5e+15", "1e+15", "5e+14", "0"]),
        (7.0, 7.0, ["7.2", "7.0", "6.8"]),
    ],
)
def test_values_are_labelled_with_round_numbers_that_differ(low: float, high: float, labels: list[str]) -> None:
    lines = chart(Trace([piece((0, low), (24, high))]))
    assert [line.partition("┤")[0].strip() for line in lines if "┤" in line] == labels


@pytest.mark.parametrize("values", [(-1.7e308, 1.7e308), (5e-324, 1e-323), (0.0, 0.0), (1e300, 1e300), (-3.0, -3.0)])
def test_values_at_the_ends_of_what_doubles_hold_are_drawn(values: tuple[float, float]) -> None:
    rows = inside(chart(Trace([piece((0, values[0]), (24, values[1]))], marker="*")))
    assert "".join(rows).count("*") >= 1


def test_wide_characters_count_twice_in_the_title_and_the_legend() -> None:
    lines = chart(Trace([piece((0, 1))], name="電" * 30, marker="*"), width=40, title="電力量計" * 8)
    assert len(lines[0].strip()) <= 20
    assert lines[1].count("電") <= 18


def test_the_same_chart_is_drawn_whatever_the_hash_seed() -> None:
    program = (
        "import numpy as np\n"
        "from besmart_async.cli.terminal.canvas import Trace, line_chart\n"
        "x = np.linspace(0, 24, 97)\n"
        "ticks = [(float(hour), f'{hour:02}:00') for hour in range(0, 25, 3)]\n"
        "traces = [Trace([(x, np.sin(x / 3 + n))], name=f'n{n}', marker=m) for n, m in enumerate('*+o')]\n"
        "print(line_chart(traces, 59, title='t', x_till=24.0, x_ticks=ticks).encode())\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "7", "12")
    }
    assert len(seen) == 1
