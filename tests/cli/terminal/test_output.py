"""Texts for people: moments, sizes, counts, tables."""

import pytest

from besmart_async.cli.terminal.output import counted, size_text, stamp, write_table


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, ""),
        (0, "1970-01-01T00:00:00Z"),
        (1_577_836_800_250, "2020-01-01T00:00:00.250Z"),
        (1_577_836_800_000.5, "2020-01-01T00:00:00.000500Z"),
    ],
)
def test_moments_are_as_short_as_they_can_be(moment: float | None, text: str) -> None:
    assert stamp(moment) == text


def test_sizes_and_counts_read_well() -> None:
    assert [size_text(size) for size in (0, 999, 1_000, 59_100_000)] == ["0 bytes", "999 bytes", "1.0 kB", "59.1 MB"]
    assert [counted(number, "signal") for number in (0, 1, 1_234)] == ["0 signals", "1 signal", "1,234 signals"]


def test_columns_may_stand_on_the_right_and_a_table_may_have_no_header(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(("name", "count"), [("a", 5), ("b", 12_345)], right=("count",))
    header, _, first, second = capsys.readouterr().out.splitlines()
    assert len(header) == len(first) == len(second)
    assert first.endswith("    5")
    write_table(("", ""), [("a", 5)])
    assert capsys.readouterr().out.split() == ["a", "5"]
