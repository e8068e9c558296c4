"""An ingest behind a proxy that answers in place of the service, and files that are not what they seem."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from besmart_async.batching.verdicts import is_page
from besmart_async.cli.checkpoint_scope import identity_of
from besmart_async.ingest import Checkpoint, CsvSource, IngestJob, IngestReport
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_WRITE, QUICK, Stage, stage_of

PAGE = "<html><title>Please log in to this network</title></html>"
ROWS = 300


def made(folder: Path) -> Path:
    path = folder / "readings.csv"
    rows = [f"9.{row % 40 + 1},{1_704_067_200_000 + row // 40 * 900_000},{row / 8}\n" for row in range(ROWS)]
    path.write_text("meter,time,value\n" + "".join(rows))
    return path


async def ingested(stage: Stage, folder: Path, scope: str = "", page_timeout_s: float = 60.0) -> IngestReport:
    with Checkpoint(folder / "done", scope) as record:
        job = IngestJob(
            stage.client.signals,
            stage.client.writer,
            [CsvSource(folder / "readings.csv")],
            signal_type="34",
            policy=QUICK,
            checkpoint=record,
            page_timeout_s=page_timeout_s,
        )
        return await job.run()


@pytest.mark.parametrize("status", [302, 400, 404, 405, 409, 410, 413, 421, 451])
async def test_a_page_of_a_proxy_refuses_no_row_of_an_ingest(seed: int, status: int, tmp_path: Path) -> None:
    made(tmp_path)
    async with stage_of(seed) as stage:
        fault = stage.simulator.faults.add(
            Fault(operation=BULK_WRITE, status=status, body=PAGE, content_type="text/html")
        )
        first = await ingested(stage, tmp_path, page_timeout_s=0.3)
        assert (first.state, first.accepted, first.rejected) == ("failed", 0, 0)
        assert first.not_sent == first.rows_read
        stage.simulator.faults.remove(fault)
        second = await ingested(stage, tmp_path)
        assert (second.state, second.accepted, second.rejected) == ("completed", ROWS, 0)
        assert stage.simulator.stored_count() == ROWS
        assert first.error is not None
        assert is_page(first.error)


async def test_two_accounts_with_one_checkpoint_send_each_their_own(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    accounts: list[dict[str, str]] = [{"TOKEN": "one"}, {"TOKEN": "two"}, {"API_KEY": "one"}, {"API_KEY": "two"}]
    async with stage_of(seed) as stage:
        for accepted in (ROWS, 0):
            for account in accounts:
                with monkeypatch.context() as patch:
                    for name in ("TOKEN", "API_KEY"):
                        patch.delenv(f"BESMART_{name}", raising=False)
                    patch.setenv("BESMART_LOGIN", "login")
                    for name, value in account.items():
                        patch.setenv(f"BESMART_{name}", value)
                    with Checkpoint(tmp_path / "done") as record:
                        scope = repr(await identity_of(stage.client, record.salt, None))
                report = await ingested(stage, tmp_path, scope)
                assert (report.state, report.accepted, report.skipped) == ("completed", accepted, ROWS - accepted)


@pytest.mark.skipif(os.name == "nt", reason="pipes have no names like files there")
async def test_a_pipe_named_as_a_file_arrives_whole(seed: int, tmp_path: Path) -> None:
    content = made(tmp_path).read_bytes()
    (tmp_path / "readings.csv").unlink()
    os.mkfifo(tmp_path / "readings.csv")
    writing = asyncio.create_task(asyncio.to_thread((tmp_path / "readings.csv").write_bytes, content))
    async with stage_of(seed) as stage:
        report = await ingested(stage, tmp_path)
        await writing
        assert (report.state, report.accepted, stage.simulator.stored_count()) == ("completed", ROWS, ROWS)
