"""The committer: what is done is committed together, one commit after the other, the last one at the end."""

import threading
from pathlib import Path

import numpy as np

from besmart_async.ingest import Checkpoint, CheckpointError, Reject
from besmart_async.ingest.checkpoint.committer import Committer
from besmart_async.ingest.checkpoint.resume import ResumePoint
from besmart_async.ingest.checkpoint.store import PendingCommit

START = ResumePoint("f", number=1)
REJECT = Reject("f", 3, None, "", "no")


class Slow(Checkpoint):
    """A checkpoint that holds its commits until `go`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.commits: list[PendingCommit] = []
        self.go = threading.Event()
        self.begun = threading.Event()

    def commit(self, pending: PendingCommit) -> None:
        self.begun.set()
        assert self.go.wait(10)
        self.commits.append(pending)
        super().commit(pending)


async def test_what_comes_during_a_commit_is_the_next_one(tmp_path: Path) -> None:
    import asyncio

    failures: list[CheckpointError] = []
    with Slow(tmp_path / "c.sqlite3") as checkpoint:
        committer = Committer(checkpoint, failures.append)
        committer.done(START, np.array([2]))
        await asyncio.to_thread(checkpoint.begun.wait, 10)
        committer.reject(START, REJECT)
        committer.done(START, np.array([3]))
        committer.done(ResumePoint("standard input"), np.array([4]))
        committer.done(START, np.array([], np.int64))
        checkpoint.go.set()
        await committer.aclose()
    first, second = checkpoint.commits
    assert [rows.tolist() for _, rows in first.rows] == [[2]]
    assert [rows.tolist() for _, rows in second.rows] == [[3]]
    assert second.rejects == [(1, REJECT)]
    assert failures == []


class Watched(Checkpoint):
    """A checkpoint whose commits take as long as told; it notes which thread does them."""

    def __init__(self, path: Path, *takes_s: float) -> None:
        super().__init__(path)
        self.now = 0.0
        self.threads: list[int] = []
        self._takes_s = list(takes_s)

    def commit(self, pending: PendingCommit) -> None:
        super().commit(pending)
        self.threads.append(threading.get_ident())
        self.now += self._takes_s.pop(0)


async def test_a_commit_is_done_at_once_where_the_one_before_was_quick(tmp_path: Path) -> None:
    import asyncio

    with Watched(tmp_path / "c.sqlite3", 0.001, 0.02, 0.001, 0.001) as checkpoint:
        committer = Committer(checkpoint, lambda _: None, clock=lambda: checkpoint.now)
        for row in range(4):
            committer.done(START, np.array([row]))
            [task] = [task for task in asyncio.all_tasks() if task.get_name() == "besmart checkpoint"]
            await task
        await committer.aclose()
    here = threading.get_ident()
    assert [thread == here for thread in checkpoint.threads] == [False, True, False, True]


async def test_after_a_failure_which_is_told_once_nothing_is_recorded(tmp_path: Path) -> None:
    failures: list[CheckpointError] = []
    checkpoint = Checkpoint(tmp_path / "c.sqlite3")
    checkpoint.close()
    committer = Committer(checkpoint, failures.append)
    for row in range(3):
        committer.done(START, np.array([row]))
        await committer.aclose()
    assert len(failures) == 1


async def test_without_a_checkpoint_nothing_happens() -> None:
    committer = Committer(None, lambda _: None)
    committer.done(START, np.array([2]))
    committer.reject(START, REJECT)
    await committer.aclose()
