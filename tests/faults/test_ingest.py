"""An ingest behind a proxy that answers in place of the service, and files that are not what they seem."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from besmart_async.batching.verdicts import is_page
from besmart_async.cli.checkpoint_scope import identity_of
from besmart_async.cli.exits import UsageError
from besmart_async.cli.ingest_inputs import inputs_of
from besmart_async.cli.terminal.reject_file import reject_file
from besmart_async.ingest import Checkpoint, CheckpointError, CsvSource, FileForm, IngestJob, IngestReport, Reject
from besmart_async.simulator import Fault
from tests.faults.stage import BULK_WRITE, QUICK, Stage, stage_of

PAGE = "<html><title>Please log in to this network</title></html>"
ROWS = 300


def made(folder: Path) -> Path:
    path = folder / "readings.csv"
    rows = [f"9.{row % 40 + 1},{1_704_067_200_000 + row // 40 * 900_000},{row / 8}\n" for row in range(ROWS)]
    path.write_text("meter,time,value\n" + "".join(rows))
    return path


async def ingested(
    stage: Stage,
    folder: Path,
    scope: str = "",
    page_timeout_s: float = 60.0,
    on_reject: Callable[[Reject], object] | None = None,
) -> IngestReport:
    with Checkpoint(folder / "done", scope) as record:
        job = IngestJob(
            stage.client.signals,
            stage.client.writer,
            [CsvSource(folder / "readings.csv")],
            signal_type="34",
            policy=QUICK,
            checkpoint=record,
            page_timeout_s=page_timeout_s,
            on_reject=on_reject,
        )
        return await job.run()


PAGES = [(status, PAGE) for status in (302, 400, 404, 405, 409, 410, 413, 421, 451)]
GATEWAY = '{"message": "no Route matched with those values"}'


@pytest.mark.parametrize(("status", "body"), [*PAGES, (404, GATEWAY), (404, ""), (410, "")])
async def test_a_page_of_a_proxy_refuses_no_row_of_an_ingest(seed: int, status: int, body: str, tmp_path: Path) -> None:
    made(tmp_path)
    async with stage_of(seed) as stage:
        kind = "application/json" if body == GATEWAY else "text/html"
        fault = stage.simulator.faults.add(Fault(operation=BULK_WRITE, status=status, body=body, content_type=kind))
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
async def test_rejects_on_a_full_disk_or_in_a_poor_encoding_end_no_ingest(seed: int, tmp_path: Path) -> None:
    path = made(tmp_path)
    path.write_text(path.read_text() + "9.1,never,1," + "x" * 100 + "\n")
    inputs = attrs.evolve(inputs_of([str(path)]), form=FileForm(encoding="ascii"))
    async with stage_of(seed) as stage:
        for number, target in enumerate((Path("/dev/full"), tmp_path / "rejects.csv")):
            with reject_file(target, inputs) as rejects:
                assert rejects is not None
                report = await ingested(stage, tmp_path, str(number), on_reject=rejects.add)
            assert (report.state, report.accepted, report.rejected) == ("completed", ROWS, 1)
            assert rejects.lost == (1 if target == Path("/dev/full") else 0)
    assert r"\u2026" in (tmp_path / "rejects.csv").read_text("ascii")


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"[columns]\n", b"meter,client_cid,sensor_mid\n"])
def test_no_output_of_an_ingest_takes_the_place_of_another_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    inputs = inputs_of([str(made(tmp_path))])
    with pytest.raises(UsageError, match="left as it is"), reject_file(tmp_path / "other", inputs):
        raise AssertionError("it was opened")
    with pytest.raises(CheckpointError, match="cannot be used as a checkpoint"):
        Checkpoint(tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == content
