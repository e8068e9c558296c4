"""UserAccount that outlive a command: in the keyring of the system, or else in a file that only its owner can read.

Only one place holds them: saving in one clears the other. Secrets are never shown: not in a repr, not in an error.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs
import orjson

from besmart_async.cli.exits import UsageError
from besmart_async.config import DEFAULT_BASE_URL

if TYPE_CHECKING:
    from types import ModuleType

NAMES = ("LOGIN", "PASSWORD", "API_KEY", "TOKEN")
"""What makes credentials; `BESMART_` before it in the environment."""

_SERVICE, _ENTRY = "besmart", "credentials"


@attrs.frozen(kw_only=True)
class UserAccount:
    """An account at a service.

    Attributes:
        base_url: the service; these credentials go nowhere else.
        login: login name.
        password: its password.
        api_key: the workspace's key.
        token: a token instead of a login.
    """

    base_url: str = DEFAULT_BASE_URL
    login: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    api_key: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> UserAccount | None:
        """Return those of an environment (`BESMART_LOGIN` …); None if it holds no part of any."""
        found = {name.lower(): environ.get(f"BESMART_{name}") or None for name in NAMES}
        if not any(found.values()):
            return None
        return cls(base_url=environ.get("BESMART_BASE_URL", "").strip() or DEFAULT_BASE_URL, **found)

    def environ(self) -> dict[str, str]:
        """The same as an environment."""
        values = {"BASE_URL": self.base_url} | {name: getattr(self, name.lower()) for name in NAMES}
        return {f"BESMART_{name}": value for name, value in values.items() if value}


class Store(Protocol):
    """A place that keeps credentials."""

    def load(self) -> UserAccount | None:
        """Return what it keeps."""
        ...

    def save(self, credentials: UserAccount) -> None:
        """Keep these instead of what it kept."""
        ...

    def clear(self) -> bool:
        """Forget; tell whether there was something."""
        ...


@attrs.frozen
class FileStore:
    """A file of mode 0600 in the user's configuration folder."""

    path: Path

    @classmethod
    def of_user(cls) -> FileStore:
        """The file of whoever runs this."""
        from platformdirs import user_config_path

        return cls(user_config_path("besmart") / "credentials.json")

    def __str__(self) -> str:
        return f"file {self.path}"

    def load(self) -> UserAccount | None:
        """Return what it holds.

        Raises:
            UsageError: others can read it, or it is damaged.
        """
        try:
            with self.path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if os.name == "posix" and mode & 0o077:
                    raise UsageError(f"{self.path} can be read by others (mode {mode:04o}); run: chmod 600 {self.path}")
                return _loaded(file.read(), str(self.path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read: {error.strerror or error}") from None

    def save(self, credentials: UserAccount) -> None:
        """Replace the file.

        Raises:
            UsageError: it cannot be written.
        """
        beside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(_dumped(credentials))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def clear(self) -> bool:
        """Remove the file."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be removed: {error.strerror or error}") from None
        return True


@attrs.frozen
class KeyringStore:
    """The system's keyring, through the library keyring (extra `keyring`)."""

    _keyring: ModuleType

    @classmethod
    def of_system(cls) -> KeyringStore | None:
        """The keyring, if its library is installed and finds one worth the name."""
        try:
            import keyring
        except ImportError:
            return None
        return cls(keyring) if keyring.get_keyring().priority >= 1 else None

    def __str__(self) -> str:
        return f"keyring ({self._keyring.get_keyring().name})"

    def load(self) -> UserAccount | None:
        """Return what it holds.

        Raises:
            UsageError: it cannot be read.
        """
        try:
            text = self._keyring.get_password(_SERVICE, _ENTRY)
        except self._keyring.errors.KeyringError as error:
            raise UsageError(f"{self} cannot be read: {error or type(error).__name__}") from None
        return _loaded(text, str(self)) if text else None

    def save(self, credentials: UserAccount) -> None:
        """Replace the entry.

        Raises:
            UsageError: it cannot be written.
        """
        try:
            self._keyring.set_password(_SERVICE, _ENTRY, _dumped(credentials).decode())
        except self._keyring.errors.KeyringError as error:
            problem = f"{self} cannot be written: {error or type(error).__name__}; --store file does without it"
            raise UsageError(problem) from None

    def clear(self) -> bool:
        """Delete the entry."""
        if self.load() is None:
            return False
        try:
            self._keyring.delete_password(_SERVICE, _ENTRY)
        except self._keyring.errors.KeyringError as error:
            raise UsageError(f"{self} cannot be changed: {error or type(error).__name__}") from None
        return True


def stores() -> list[FileStore | KeyringStore]:
    """The places there are; the file first, which costs nothing to look at."""
    keyring = KeyringStore.of_system()
    return [FileStore.of_user(), *([keyring] if keyring else [])]


def stored() -> tuple[UserAccount, FileStore | KeyringStore] | None:
    """Return the credentials that are kept, and where.

    Raises:
        UsageError: they cannot be read.
    """
    file = FileStore.of_user()
    found = file.load()
    if found is not None:
        return found, file
    keyring = KeyringStore.of_system()
    found = keyring.load() if keyring else None
    return (found, keyring) if found is not None and keyring is not None else None


def _dumped(credentials: UserAccount) -> bytes:
    return orjson.dumps({name: value for name, value in attrs.asdict(credentials).items() if value})


def _loaded(text: str | bytes, place: str) -> UserAccount:
    try:
        return UserAccount(**orjson.loads(text))
    except (orjson.JSONDecodeError, TypeError):
        raise UsageError(f"{place} is damaged; run besmart auth login again") from None
