"""Where credentials are kept, and that nobody else gets to see them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import KeyringError, PasswordDeleteError

from besmart_async.cli.credentials import FileStore, KeyringStore, UserAccount, stored
from besmart_async.cli.exits import UsageError

ACCOUNT = UserAccount(base_url="http://127.0.0.1/api", login="me", password="p4ssw0rd", api_key="k3y")


class MemoryKeyring(KeyringBackend):
    """A keyring that keeps everything in memory."""

    priority = 5.0

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.broken:
            raise KeyringError("the keyring is locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.broken:
            raise KeyringError("the keyring is locked")
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.kept:
            raise PasswordDeleteError
        del self.kept[service, username]


@pytest.fixture
def memory() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    made = MemoryKeyring()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


@pytest.fixture
def file(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "deep" / "credentials.json")


def test_a_repr_shows_no_secret() -> None:
    assert "p4ssw0rd" not in repr(ACCOUNT)
    assert "k3y" not in repr(ACCOUNT)
    assert "'me'" in repr(ACCOUNT)


def test_an_environment_becomes_an_account_and_back() -> None:
    environ = {"BESMART_LOGIN": "me", "BESMART_PASSWORD": "p", "BESMART_BASE_URL": "http://localhost/api", "PATH": "x"}
    found = UserAccount.of(environ)
    assert found is not None
    assert found.environ() == {name: value for name, value in environ.items() if name != "PATH"}
    assert UserAccount.of({"PATH": "x", "BESMART_BASE_URL": "http://localhost/api"}) is None


def test_a_file_keeps_them_for_its_owner_only(file: FileStore) -> None:
    assert file.load() is None
    file.save(ACCOUNT)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
    assert file.load() == ACCOUNT
    assert [path.name for path in file.path.parent.iterdir()] == ["credentials.json"]
    assert file.clear()
    assert not file.clear()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_file_that_others_can_read_is_refused(file: FileStore) -> None:
    file.save(ACCOUNT)
    file.path.chmod(0o640)
    with pytest.raises(UsageError, match="chmod 600"):
        file.load()


@pytest.mark.parametrize("content", ["{", "[]", '{"login": "me", "colour": "red"}', '"p4ssw0rd"'])
def test_a_damaged_file_is_explained_without_its_content(file: FileStore, content: str) -> None:
    file.save(ACCOUNT)
    file.path.write_text(content)
    with pytest.raises(UsageError, match="is damaged") as caught:
        file.load()
    assert "p4ssw0rd" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        FileStore(tmp_path / "taken" / "credentials.json").save(ACCOUNT)


def test_a_keyring_keeps_them(memory: MemoryKeyring) -> None:
    store = KeyringStore.of_system()
    assert store is not None
    assert store.load() is None
    store.save(ACCOUNT)
    assert list(memory.kept) == [("besmart", "credentials")]
    assert store.load() == ACCOUNT
    assert stored() == (ACCOUNT, store)
    assert "MemoryKeyring" in str(store)
    assert store.clear()
    assert not store.clear()


def test_a_keyring_that_does_not_open_is_explained(memory: MemoryKeyring) -> None:
    store = KeyringStore.of_system()
    assert store is not None
    memory.broken = True
    with pytest.raises(UsageError, match="the keyring is locked"):
        store.load()
    with pytest.raises(UsageError, match="--store file") as caught:
        store.save(ACCOUNT)
    assert "p4ssw0rd" not in str(caught.value)


def test_without_a_keyring_worth_the_name_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KeyringStore.of_system() is None
    monkeypatch.setitem(__import__("sys").modules, "keyring", None)
    assert KeyringStore.of_system() is None
