"""Times as portals, operators and loggers write them: ends of periods, hour 24 and 25, passes, abbreviations, numbers.

The shapes are after files that users posted in public; each test names the source. All values are made up.
"""

from pathlib import Path

import pytest

from besmart_async.ingest import MappingError, SourceError
from tests.ingest.file_readings import FileReadings, readings_of

HOUR, QUARTER = 3_600_000, 900_000
AUTUMN = 1_729_980_000_000  # 2024-10-27T00:00+02:00, local midnight of the day of 25 hours
SPRING = 1_711_839_600_000  # 2024-03-31T00:00+01:00, of the day of 23 hours
WARSAW = '[time]\nzone = "Europe/Warsaw"\n'


def read(tmp_path: Path, text: str, mapping: str = "") -> FileReadings:
    path = tmp_path / "readings.csv"
    path.write_text(text, encoding="utf-8")
    return readings_of(path, mapping)


def long(*labels: str) -> str:
    """A file with a row for each label; its values count from 0."""
    return "meter;time;value\n" + "".join(f"M;{label};{number}\n" for number, label in enumerate(labels))


def wide(titles: list[str], *days: tuple[str, list[object]]) -> str:
    rows = "".join(f"M;{day};{';'.join(map(str, values))}\n" for day, values in days)
    return f"meter;date;{';'.join(titles)}\n{rows}"


def hours(found: FileReadings, start: int, length: int = 0) -> dict[float, int]:
    """The hours since a moment at which periods of this length start, by value."""
    readings = found.by_meter.get("M", [])
    assert len({time for time, _ in readings}) == len(readings), "one moment has two values"
    return {(time - length - start) / HOUR: int(value) for time, value in readings}


def reasons(found: FileReadings) -> list[str]:
    return [reject.reason for reject in found.rejects]


# -- ends of periods ------------------------------------------------------------------------------------------------

ENDS = WARSAW + 'interval = "end"\nresolution = "1h"\n'


def test_an_end_is_the_start_on_the_clock_plus_the_length(tmp_path: Path) -> None:
    """After gridstatus#469: the hour before the repeated one ends at its label once, the repeated one twice."""
    labels = [f"2024-10-27 0{hour}:00" for hour in (1, 2, 3, 3, 4)]
    found = read(tmp_path, long(*labels), ENDS + 'dst = "infer"')
    assert hours(found, AUTUMN, HOUR) == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}
    spring = read(tmp_path, long(*(f"2024-03-31 0{hour}:00" for hour in (1, 2, 4))), ENDS)
    assert hours(spring, SPRING, HOUR) == {0: 0, 1: 1, 2: 2}


def test_an_end_may_be_the_time_at_the_end(tmp_path: Path) -> None:
    labels = [f"2024-10-27 0{hour}:00" for hour in (1, 2, 2, 3, 4)]
    found = read(tmp_path, long(*labels), ENDS + 'ends = "elapsed"\ndst = "infer"')
    assert hours(found, AUTUMN, HOUR) == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}
    spring = read(tmp_path, long(*(f"2024-03-31 0{hour}:00" for hour in (1, 3, 4))), ENDS + 'ends = "elapsed"')
    assert hours(spring, SPRING, HOUR) == {0: 0, 1: 1, 2: 2}


CLOCK = ["01:00", "02:00", "03:00", "03:00", "04:00", "05:00"]
ELAPSED = ["01:00", "02:00", "02:00", "03:00", "04:00", "05:00"]
"""Labels of the same hours, by both readings of an end."""


@pytest.mark.parametrize("falling", [False, True])
@pytest.mark.parametrize("rule", ["", 'dst = "infer"', 'dst = "earlier"', 'dst = "later"'])
@pytest.mark.parametrize("ends", ["clock", "elapsed"])
@pytest.mark.parametrize("labels", [CLOCK, ELAPSED], ids=["clock", "elapsed"])
def test_whatever_setting_is_wrong_no_two_periods_become_one_and_something_is_rejected(
    tmp_path: Path, labels: list[str], ends: str, rule: str, falling: bool
) -> None:
    rows = [f"M;2024-10-27 {label};{number}\n" for number, label in enumerate(labels)]
    text = "meter;time;value\n" + "".join(rows[::-1] if falling else rows)
    found = read(tmp_path, text, ENDS + f'ends = "{ends}"\n{rule}')
    stored = hours(found, AUTUMN, HOUR)
    fits = labels == (CLOCK if ends == "clock" else ELAPSED)
    if fits:
        assert all(start == value for start, value in stored.items())
        assert len(stored) == (6 if "infer" in rule else 4)
    else:
        assert found.rejects
    assert len(stored) + len(found.rejects) == len(labels)


def test_copies_of_every_row_are_no_two_periods(tmp_path: Path) -> None:
    day = [1, 2, 2, *range(3, 24)]
    twice = [f"2024-10-27 {hour:02}:00" for hour in day for _ in range(2)]
    found = read(tmp_path, long(*twice), ENDS + 'ends = "elapsed"\ndst = "infer"')
    assert found.rejects == []
    assert len(found.by_meter["M"]) == 2 * len(day)


def test_an_end_that_does_not_fit_says_which_setting_would(tmp_path: Path) -> None:
    clock = read(tmp_path, long("2024-03-31 01:00", "2024-03-31 03:00"), ENDS)
    assert ["time.ends = 'elapsed'" in reason for reason in reasons(clock)] == [True]
    elapsed = read(tmp_path, long("2024-03-31 01:00", "2024-03-31 02:00"), ENDS + 'ends = "elapsed"')
    assert ["time.ends = 'clock'" in reason for reason in reasons(elapsed)] == [True]


def test_titles_at_the_end_of_quarters_lose_nothing_in_spring(tmp_path: Path) -> None:
    """After the convention of gridstatus#469, in a wide file: 02:00 ends the quarter before the change."""
    found = read(
        tmp_path,
        wide(["01:45", "02:00", "02:15", "03:15"], ("2024-03-31", [0, 1, "", 2])),
        WARSAW + 'interval = "end"\n[file]\nlayout = "wide"',
    )
    assert hours(found, SPRING, QUARTER) == {1.5: 0, 1.75: 1, 2: 2}


# -- hours 24 and 25 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("%Y/%m/%d %H:%M", "2024/06/30 24:00"),
        ("%d.%m.%Y %H:%M:%S", "30.06.2024 24:00:00"),
        ("%Y%m%d%H%M", "202406302400"),
        ("%m/%d/%Y %H", "06/30/2024 24"),
        (None, "2024-06-30 24:00"),
        (None, "2024-06-30T24:00:00"),
    ],
)
def test_24_00_is_the_next_midnight(tmp_path: Path, written: str | None, label: str) -> None:
    """After python-edata#21: Datadis writes the end of the last hour as 24:00 of the same day."""
    said = f'format = "{written}"\n' if written else ""
    assert read(tmp_path, long(label), WARSAW + said).by_meter == {"M": [(1_719_784_800_000, 0.0)]}


def test_hours_after_24_are_refused_with_what_to_say(tmp_path: Path) -> None:
    found = read(tmp_path, long("2024-10-27 24:15", "2024-10-27 25:00"), WARSAW)
    assert not found.readings
    assert "after 24:00" in reasons(found)[0]
    assert 'time.hours = "elapsed"' in reasons(found)[1]


@pytest.mark.parametrize(("day", "count"), [("27.10.2024", 25), ("31.03.2024", 23), ("28.10.2024", 24)])
def test_hours_may_count_from_the_beginning_of_the_day(tmp_path: Path, day: str, count: int) -> None:
    """After the exports with hours 1 to 25 in mmm752/produkcja-energii."""
    start = {25: AUTUMN, 23: SPRING, 24: AUTUMN + 25 * HOUR}[count]
    for said, first, length in (('interval = "end"\nresolution = "1h"\n', 1, HOUR), ("", 0, 0)):
        labels = [f"{day} {hour}" for hour in range(first, first + count)]
        found = read(tmp_path, long(*labels), f'{WARSAW}format = "%d.%m.%Y %H"\nhours = "elapsed"\n{said}')
        assert hours(found, start, length) == {hour: hour for hour in range(count)}
        after = read(
            tmp_path, long(f"{day} {first + count}"), f'{WARSAW}format = "%d.%m.%Y %H"\nhours = "elapsed"\n{said}'
        )
        assert not after.readings
        assert "is not in that day" in reasons(after)[0]


def test_titles_up_to_25_00_count_from_the_beginning_of_the_day(tmp_path: Path) -> None:
    titles = [f"{hour:02}:00" for hour in range(1, 26)]
    short: list[object] = [*range(23), "", ""]
    found = read(tmp_path, wide(titles, ("2024-10-27", list(range(25))), ("2024-03-31", short)), WARSAW)
    assert hours(found, AUTUMN) == {
        **{float(hour): hour for hour in range(25)},
        **{(SPRING - AUTUMN) / HOUR + hour: hour for hour in range(23)},
    }


# -- passes ---------------------------------------------------------------------------------------------------------


def test_a_and_b_mark_the_passes(tmp_path: Path) -> None:
    """After mmm752/produkcja-energii (`2025-10-26 02a:15:00`) and electricitymaps-contrib#6832 (`1A:00`)."""
    labels = ["01:45:00", "02a:00:00", "02a:45:00", "02b:00:00", "02b:45:00", "03:00:00"]
    found = read(tmp_path, long(*(f"2024-10-27 {label}" for label in labels)), WARSAW)
    assert hours(found, AUTUMN) == {1.75: 0, 2: 1, 2.75: 2, 3: 3, 3.75: 4, 4: 5}


@pytest.mark.parametrize("rule", ["infer", "earlier"])
def test_x_marks_the_second_pass_beside_an_hour_without_a_mark(tmp_path: Path, rule: str) -> None:
    """After elec-server's iso_timestamp.dart: ISO-NE has hours ending 02 and 02X."""
    labels = [f"11/03/2024 {hour}" for hour in ("01", "02", "02X", "03")]
    said = f'format = "%m/%d/%Y %H"\ninterval = "end"\nresolution = "1h"\ndst = "{rule}"\n'
    found = read(tmp_path, long(*labels), f'[time]\nzone = "America/New_York"\n{said}')
    assert hours(found, 1_730_606_400_000, HOUR) == {0: 0, 1: 1, 2: 2, 3: 3}


def test_a_mark_beside_the_same_hour_without_one_needs_a_word(tmp_path: Path) -> None:
    """02A beside 02 is the second pass, 02A beside 02B the first: which one must not be guessed."""
    labels = [f"2024-10-27 {label}" for label in ("01:00", "02:00", "02A:00", "03:00")]
    found = read(tmp_path, long(*labels), WARSAW + 'dst = "earlier"')
    assert hours(found, AUTUMN) == {1: 0, 2: 1, 4: 3}
    assert ['A = "second" in [time.zones]' in reason for reason in reasons(found)] == [True]
    told = read(tmp_path, long(*labels), WARSAW + 'dst = "earlier"\n[time.zones]\nA = "second"')
    assert hours(told, AUTUMN) == {1: 0, 2: 1, 3: 2, 4: 3}


def test_a_mark_of_an_hour_that_does_not_repeat_is_refused(tmp_path: Path) -> None:
    found = read(tmp_path, long("2024-10-28 02b:00", "2024-10-27 04a:00"), WARSAW)
    assert not found.readings
    assert ["does not come twice" in reason for reason in reasons(found)] == [True, True]


def test_a_column_says_summer_or_winter_time(tmp_path: Path) -> None:
    rows = ["2024-10-27 02:00;S;0", "2024-10-27 02:00;W;1", "2024-10-27 03:00;W;2", "2024-07-01 02:00;W;3"]
    text = "meter;time;ZW;value\n" + "".join(f"M;{row}\n" for row in rows)
    words = '[columns]\nzone = "ZW"\n[time.zones]\nS = "summer"\nW = "winter"\n'
    found = read(tmp_path, text, WARSAW + words)
    assert hours(found, AUTUMN) == {2: 0, 3: 1, 4: 2}
    assert ["said to be W" in reason for reason in reasons(found)] == [True]


def test_a_column_flags_the_second_pass(tmp_path: Path) -> None:
    """After gridstatus#469: ERCOT's DSTFlag is Y in the second pass of the repeated hour."""
    text = "meter;time;DSTFlag;value\n" + "".join(
        f"M;2024-11-03 0{hour}:00;{flag};{number}\n"
        for number, (hour, flag) in enumerate([(1, "N"), (2, "N"), (2, "Y"), (3, "N")])
    )
    said = '[time]\nzone = "America/Chicago"\ninterval = "end"\nresolution = "1h"\n'
    found = read(tmp_path, text, said + '[columns]\nzone = "DSTFlag"\n[time.zones]\nN = "first"\nY = "second"\n')
    assert hours(found, 1_730_610_000_000, HOUR) == {0: 0, 1: 1, 2: 2, 3: 3}


# -- abbreviations, offsets, numbers --------------------------------------------------------------------------------


def test_abbreviations_and_offsets_stand_in_times(tmp_path: Path) -> None:
    """After EDF_Simulateur_Prix#82: what stands after the time tells the two passes apart."""
    written = '[time]\nformat = "%d.%m.%Y %H:%M %z"\n'
    offsets = read(tmp_path, long("27.10.2024 02:00 +0200", "27.10.2024 02:00 +01:00"), written)
    assert hours(offsets, AUTUMN) == {2: 0, 3: 1}
    names = long("27.10.2024 02:00 CEST", "27.10.2024 02:00 MEZ", "01.07.2024 02:00 CET")
    found = read(tmp_path, names, WARSAW + 'format = "%d.%m.%Y %H:%M %Z"\n')
    assert hours(found, AUTUMN) == {2: 0, 3: 1}
    assert ["said to be CET" in reason for reason in reasons(found)] == [True]


def test_an_abbreviation_needs_a_zone(tmp_path: Path) -> None:
    """CET in July may be that offset, or whatever the clock of the region shows."""
    labels = long("01.07.2024 02:00 CET", "01.07.2024 02:00 EST", "01.07.2024 02:00 UTC")
    found = read(tmp_path, labels, '[time]\nformat = "%d.%m.%Y %H:%M %Z"\n')
    assert found.by_meter == {"M": [(1_719_799_200_000, 2.0)]}
    assert ["say time.zone" in reason for reason in reasons(found)] == [True, True]


def test_times_are_seconds_or_days_of_a_spreadsheet(tmp_path: Path) -> None:
    seconds = read(tmp_path, long("1719792000", "1719792900.5"), '[time]\nformat = "unix-seconds"\n')
    assert seconds.by_meter == {"M": [(1_719_792_000_000, 0.0), (1_719_792_900_500, 1.0)]}
    days = read(tmp_path, long("45474", "45474.0104166667"), WARSAW + 'format = "excel"\n')
    assert hours(days, 1_719_784_800_000) == {0: 0, 0.25: 1}


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("%m/%d/%Y %H:%M:%S %p", "needs the hour of 12: write %I, not %H"),
        ("%m/%d/%Y %I:%M:%S", "needs %p"),
        ("%d.%m.%Y %H:%M %z %Z", "leave out one"),
    ],
)
def test_a_format_that_reads_times_wrong_is_refused(tmp_path: Path, written: str, problem: str) -> None:
    """After my_sdge#1: strptime ignores AM and PM beside %H, and takes %I without %p for the forenoon."""
    with pytest.raises(MappingError, match=r"time\.format") as caught:
        read(tmp_path, long("x"), f'{WARSAW}format = "{written}"\n')
    assert problem in caught.value.problem


# -- titles ---------------------------------------------------------------------------------------------------------

NUMBERS = [str(number) for number in range(1, 25)]


@pytest.mark.parametrize(
    "titles",
    [
        [*NUMBERS[:2], "2A", *NUMBERS[2:]],
        [*NUMBERS[:2], "3A", "3B", *NUMBERS[3:]],
        [*NUMBERS[:2], "02X", *NUMBERS[2:]],
        [f"H{title}" for title in [*NUMBERS[:2], "2*", *NUMBERS[2:]]],
        ["0", "1A", "1B", *NUMBERS[1:23]],
    ],
)
def test_a_column_for_the_additional_hour(tmp_path: Path, titles: list[str]) -> None:
    """After mmm752/produkcja-energii and electricitymaps-contrib#6832: a long day has all columns in a row."""
    extra = next(number for number, title in enumerate(titles) if title[-1] in "BX*" or title == "2A")
    plain: list[object] = list(range(24))
    plain.insert(extra, "")
    found = read(tmp_path, wide(titles, ("2024-10-26", plain), ("2024-10-27", list(range(25)))), WARSAW)
    assert hours(found, AUTUMN) == {
        **{hour - 24: hour for hour in range(24)},
        **{hour: hour for hour in range(25)},
    }


@pytest.mark.parametrize(
    ("titles", "named"),
    [
        ([*NUMBERS[:2], "2Q", *NUMBERS[2:]], "2Q"),
        ([*NUMBERS[:12], "Suma", *NUMBERS[12:]], "Suma"),
        ([*NUMBERS[:2], *NUMBERS[3:]], "4"),
        (["2", "1", *NUMBERS[2:]], "2"),
        (["12:00 AM", "1:00 AM", "2:00 AM"], "12:00 AM"),
    ],
)
def test_a_title_that_cannot_be_read_is_named(tmp_path: Path, titles: list[str], named: str) -> None:
    """After mmm752/produkcja-energii: with slots = "clock" and a step, each column after it was an hour late."""
    said = f'[wide]\nslots = "clock"\nstep = "1h"\nfirst = "{titles[0]}"\nlast = "{titles[-1]}"\n'
    with pytest.raises(SourceError, match="neither a time of the day nor") as caught:
        read(tmp_path, wide(titles, ("2024-10-26", list(range(len(titles))))), WARSAW + said)
    assert repr(named) in caught.value.problem


@pytest.mark.parametrize("titles", [[*NUMBERS, "02X"], ["00:00", "01:00", "2h", "03:00"]])
def test_a_column_that_looks_like_a_period_is_not_left_out(tmp_path: Path, titles: list[str]) -> None:
    text = wide(titles, ("2024-10-26", list(range(len(titles)))))
    with pytest.raises(SourceError, match="neither a time of the day nor"):
        read(tmp_path, text, WARSAW)
