"""Files that a command writes, beside files that are something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from besmart_async.cli.exits import UsageError
from besmart_async.cli.outputs import check_unused, opened_anew

OURS = [b"rejected_file"]


@pytest.mark.parametrize(
    "content", [b"SQLite format 3\0", b"[columns]\n", b"meter,time,value\n", b"PAR1", b"reject", b"\n", b"\0"]
)
def test_what_no_earlier_run_has_written_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is something else, not from an earlier run, and is left as it is"):
        opened_anew("--rejects", path, OURS)
    assert path.read_bytes() == content


@pytest.mark.parametrize("before", [None, b"", b"rejected_file,rejected_row\na,1\n"])
def test_a_new_or_empty_file_and_that_of_an_earlier_run_are_written_anew(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "file"
    if before is not None:
        path.write_bytes(before)
    with opened_anew("--rejects", path, OURS) as file:
        file.write(b"new")
        with pytest.raises(UsageError, match="another process is writing it"):
            opened_anew("--rejects", path, OURS)
    assert path.read_bytes() == b"new"


def test_a_device_is_written_and_a_folder_is_not(tmp_path: Path) -> None:
    opened_anew("--rejects", Path("/dev/null"), OURS).close()
    for path, problem in (
        (tmp_path, "is a folder"),
        (Path("-"), "name a file"),
        (tmp_path / "no" / "f", "No such file"),
    ):
        with pytest.raises(UsageError, match=problem):
            opened_anew("--rejects", path, OURS)


def test_a_file_is_found_by_any_of_its_names(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    (tmp_path / "soft").symlink_to("a")
    os.link(path, tmp_path / "hard")
    (tmp_path / "gone").symlink_to("none")
    for one, other in (("soft", "a"), ("hard", "a"), ("soft", "hard"), ("gone", "none"), ("none", "none")):
        with pytest.raises(UsageError, match="that file is being read; name another"):
            check_unused("--rejects", tmp_path / one, [("nothing", None), ("being read", tmp_path / other)])
    check_unused("--rejects", tmp_path / "none", [("being read", path)])
