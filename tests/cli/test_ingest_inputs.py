"""Arguments of `besmart ingest` that exclude each other.

Where the command keeps what it has sent, and for whom that counts.
"""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from besmart_async import SensorKey
from besmart_async.cli.exits import UsageError
from besmart_async.cli.ingest_inputs import (
    Inputs,
    check_combination,
    check_creation,
    checked_limit,
    default_path,
    forget,
    inputs_of,
    scope_of,
)
from besmart_async.ingest import Checkpoint, Reading, RejectLimit


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    path = tmp_path / "a.csv"
    path.write_text("meter,time,value\n")
    return inputs_of([str(path)])


def test_what_goes_together_passes(inputs: Inputs, tmp_path: Path) -> None:
    check_combination(inputs, simulate=False, workers=2, checkpoint=tmp_path / "c", no_checkpoint=False)
    check_combination(inputs, simulate=True, workers=1, checkpoint=None, no_checkpoint=True)
    check_creation(inputs, create_sensors=True, dry_run=False, workers=1)


@pytest.mark.parametrize(
    ("simulate", "workers", "checkpoint", "no_checkpoint", "words"),
    [
        (True, 1, True, False, "--checkpoint and --simulate exclude each other"),
        (False, 1, True, True, "--checkpoint and --no-checkpoint exclude each other"),
        (True, 2, False, False, "besmart simulate"),
    ],
)
def test_what_does_not_is_named(
    inputs: Inputs, tmp_path: Path, simulate: bool, workers: int, checkpoint: bool, no_checkpoint: bool, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_combination(inputs, simulate, workers, tmp_path / "c" if checkpoint else None, no_checkpoint)


def test_workers_share_neither_standard_input_nor_new_sensors(inputs: Inputs) -> None:
    with pytest.raises(UsageError, match="standard input; name files"):
        check_combination(inputs_of(["-"]), simulate=False, workers=2, checkpoint=None, no_checkpoint=False)
    with pytest.raises(UsageError, match="list them with --meters"):
        check_creation(inputs, create_sensors=True, dry_run=False, workers=2)
    through = attrs.evolve(inputs, rules=attrs.evolve(inputs.rules, looked_through=(SensorKey(12, 1),)))
    with pytest.raises(UsageError, match="without sensors to look through"):
        check_creation(through, create_sensors=False, dry_run=False, workers=2)


def test_a_dry_run_makes_no_sensors(inputs: Inputs) -> None:
    with pytest.raises(UsageError, match="leave out --create-sensors"):
        check_creation(inputs, create_sensors=True, dry_run=True, workers=1)


def test_a_limit_is_a_number_or_a_share() -> None:
    assert checked_limit(None) is None
    assert checked_limit("0.5%") == RejectLimit.parse("0.5%")
    for none in ("0%", "0.0%", "0"):  # the first reject ends the run, whether rows or a share are counted
        assert checked_limit(none) == RejectLimit.parse("0")
    with pytest.raises(UsageError, match="--max-rejects"):
        checked_limit("many")


def test_what_cannot_be_read_cannot_be_forgotten(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "c", "scope") as record, pytest.raises(UsageError, match=r"gone\.csv: cannot be read"):
        forget(record, [tmp_path / "gone.csv"])


def test_it_is_kept_in_the_users_state_folder(tmp_path: Path) -> None:
    assert default_path().is_relative_to(tmp_path / "state")


def test_another_service_account_option_or_table_is_another_scope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "meters.csv"
    table.write_text("M,1,1")
    monkeypatch.setenv("BESMART_BASE_URL", "http://one/api")
    monkeypatch.setenv("BESMART_LOGIN", "ann")
    scopes = {scope_of(Reading(), None), scope_of(Reading(decimal_comma=True), None), scope_of(Reading(), "A+")}
    scopes.add(scope_of(Reading(), None, table=table))
    table.write_text("M,1,2")
    scopes.add(scope_of(Reading(), None, table=table))
    before = scope_of(Reading(), None)
    monkeypatch.setenv("BESMART_BASE_URL", "http://one/api/")
    monkeypatch.setenv("BESMART_PASSWORD", "changed")
    assert scope_of(Reading(), None) == before
    monkeypatch.setenv("BESMART_LOGIN", "ben")
    scopes.add(scope_of(Reading(), None))
    monkeypatch.setenv("BESMART_BASE_URL", "http://two/api")
    scopes.add(scope_of(Reading(), None))
    assert len(scopes) == 7
