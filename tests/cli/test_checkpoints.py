"""Where the command keeps what it has sent, and for whom that counts."""

from pathlib import Path

import pytest

from besmart_async.cli.checkpoints import default_path, scope_of
from besmart_async.ingest import Reading


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
