"""File locks: one process at a time may send a file."""

import subprocess
import sys
from pathlib import Path

import pytest

from besmart_async.ingest.checkpoint.store import FileLocks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nobody is kept apart there")

OTHER = """
import sys
from pathlib import Path
from besmart_async.ingest.checkpoint.store import FileLocks
locks = FileLocks(Path(sys.argv[1]))
print([locks.acquire(number) for number in (0, 1)], flush=True)
sys.stdin.read()
"""


def other(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OTHER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_what_one_process_has_no_other_gets_until_it_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "locks"
    mine = FileLocks(path)
    assert mine.acquire(0)
    with other(path) as process:
        assert said(process) == "[False, True]"
        process.communicate()
    mine.close()
    with other(path) as process:
        assert said(process) == "[True, True]"
        process.communicate()
    assert path.stat().st_size == 0


def test_a_killed_process_locks_nothing(tmp_path: Path) -> None:
    path = tmp_path / "locks"
    with other(path) as process:
        assert said(process) == "[True, True]"
        mine = FileLocks(path)
        assert not mine.acquire(0)
        process.kill()
    assert mine.acquire(0)
    mine.close()
