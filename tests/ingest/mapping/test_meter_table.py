"""The table of meters: what it may look like, what it says, and how meters are added to it."""

from pathlib import Path

import pytest

from besmart_async import SensorKey
from besmart_async.ingest.mapping.meter_table import Meter, append_meter, read_meter_table
from besmart_async.ingest.sources import SourceError


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "meters.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_names_sensors_and_their_signal_types(tmp_path: Path) -> None:
    path = table(tmp_path, "meter,client_cid,sensor_mid,signal_type\nPL-1,12,122,1.8.0\nPL-2, 12 ,123,\n")
    assert read_meter_table(path) == {
        "PL-1": Meter(SensorKey(12, 122), "1.8.0"),
        "PL-2": Meter(SensorKey(12, 123)),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("meter,client_cid\n", "no column sensor_mid"),
        ("", "no column meter"),
        ("meter,client_cid,sensor_mid\nA,1,x\n", "row 2: client_cid and sensor_mid must be whole numbers"),
        ("meter,client_cid,sensor_mid\nA,1,1\nA,1,2\n", "row 3: meter 'A' is there twice"),
        ("meter,client_cid,sensor_mid\n,1,1\n", "row 2: the meter is empty"),
        ("meter,client_cid,sensor_mid\nA\n", "row 2: client_cid and sensor_mid must be whole numbers"),
    ],
)
def test_a_table_that_cannot_work_says_where(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SourceError, match="meters") as caught:
        read_meter_table(table(tmp_path, text))
    assert words in caught.value.problem


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        read_meter_table(tmp_path / "none.csv")


@pytest.mark.parametrize(
    "text",
    [
        "meter;client_cid;sensor_mid;signal_type_moid\nPL-1;12;122;32\n",
        "\ufeffMeter-ID\tClient CID\tsensor_mid\tobis\tremark\n\nPL-1\t12\t122\t32\tx\n\t\t\t\t\n",
        "List of meters;;;\nsensor_mid|meter|client_cid|signal\n122|PL-1|12|32|\n",
        'client_cid,sensor_mid,meter,obis,signal_type\n12,122,"=""PL-1""",1.8.0,32\n',
    ],
    ids=["semicolons", "tabs and a mark", "text above", "formulas"],
)
def test_a_table_may_look_like_any_csv_file(tmp_path: Path, text: str) -> None:
    assert read_meter_table(table(tmp_path, text)) == {"PL-1": Meter(SensorKey(12, 122), "32")}


@pytest.mark.parametrize(("text", "factor"), [("4000", 4000.0), ("0,5", 0.5), ("1.5", 1.5), ("", 1.0)])
def test_a_meter_has_a_factor(tmp_path: Path, text: str, factor: float) -> None:
    path = table(tmp_path, f"meter;client_cid;sensor_mid;transformer_ratio\nA;1;2;{text}\n")
    assert read_meter_table(path)["A"].factor == factor


@pytest.mark.parametrize("text", ["0", "-1", "x", "1,500", "nan", "inf"])
def test_a_factor_that_is_not_certain_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError, match=rf"row 2: factor '{text}' is not a number above 0"):
        read_meter_table(table(tmp_path, f"meter;client_cid;sensor_mid;factor\nA;1;2;{text}\n"))


def test_a_table_with_equal_titles_or_in_another_encoding_says_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="columns 1 and 4 both are titled meter"):
        read_meter_table(table(tmp_path, "meter,client_cid,sensor_mid,meter\nA,1,1,B\n"))
    path = table(tmp_path, "")
    path.write_bytes("meter,client_cid,sensor_mid\nZähler,1,1\n".encode("cp1252"))
    with pytest.raises(SourceError, match="row 2: is not UTF-8 text"):
        read_meter_table(path)


@pytest.mark.parametrize("end", ["\n", ""])
def test_a_meter_is_added_in_the_form_of_the_table(tmp_path: Path, end: str) -> None:
    path = table(tmp_path, f"sensor_mid;signal_type;client_cid;meter\n122;1.8.0;12;A{end}")
    append_meter(path, ("B;2", 12, 123))
    assert read_meter_table(path) == {"A": Meter(SensorKey(12, 122), "1.8.0"), "B;2": Meter(SensorKey(12, 123))}


def test_a_new_table_has_a_header(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    append_meter(path, None)
    append_meter(path, ("A", 1, 2))
    assert path.read_text(encoding="utf-8") == "meter,client_cid,sensor_mid\nA,1,2\n"
