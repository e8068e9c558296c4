"""Accounts, and where they are kept: in the keyring of the system, or in a file that only its owner can read.

Only one place has an account: saving in one clears the other. Secrets are never shown: not in a repr, not in an error.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import orjson

from besmart_async.cli.exits import NoCredentialsError, UsageError
from besmart_async.config import DEFAULT_BASE_URL, insecure_http_allowed

if TYPE_CHECKING:
    from types import ModuleType

NAMES = ("LOGIN", "PASSWORD", "API_KEY", "TOKEN")
"""The parts of credentials; the environment has them with `BESMART_` in front."""
ENVIRONMENT = "environment"

_KINDS = {str: "a text", bool: "true or false"}
_MOST_BYTES = 1 << 20
_SERVICE, _ENTRY = "besmart", "credentials"


@attrs.frozen(kw_only=True)
class UserAccount:
    """An account at a service.

    Attributes:
        base_url: the service; the credentials are sent to no other one.
        login: login name.
        password: password.
        api_key: API key of the workspace.
        token: a token instead of a login.
        allow_insecure_http: allow plain http to other machines.
        dialect: which requests the service takes, see `BesmartClient`; None for the default.
    """

    base_url: str = DEFAULT_BASE_URL
    login: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    api_key: str | None = attrs.field(default=None, repr=False)
    token: str | None = attrs.field(default=None, repr=False)
    allow_insecure_http: bool = False
    dialect: str | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> UserAccount | None:
        """Return the account of an environment (`BESMART_LOGIN` …); None if it has no part of any credentials.

        Raises:
            BesmartConfigError: BESMART_ALLOW_INSECURE_HTTP is neither on nor off.
        """
        found = {name.lower(): environ.get(f"BESMART_{name}") or None for name in NAMES}
        if not any(found.values()):
            return None
        base_url = environ.get("BESMART_BASE_URL", "").strip() or DEFAULT_BASE_URL
        allowed = insecure_http_allowed(environ)
        return cls(base_url=base_url, allow_insecure_http=allowed, dialect=dialect_set(environ), **found)

    def environ(self) -> dict[str, str]:
        """Return the account as an environment."""
        values = {"BASE_URL": self.base_url, "DIALECT": self.dialect} | {
            name: getattr(self, name.lower()) for name in NAMES
        }
        return {f"BESMART_{name}": value for name, value in values.items() if value}


def dialect_set(environ: Mapping[str, str]) -> str | None:
    """Return the dialect that an environment sets; None if it sets none."""
    return environ.get("BESMART_DIALECT", "").strip() or None


@attrs.frozen
class FileStore:
    """A file of mode 0600 in the user's configuration folder."""

    path: Path

    @classmethod
    def of_user(cls) -> FileStore:
        """Return the file of the user who runs the command."""
        from platformdirs import user_config_path

        return cls(user_config_path("besmart") / "credentials.json")

    def __str__(self) -> str:
        return f"file {self.path}"

    def load(self) -> UserAccount | None:
        """Return the account in the file; None if there is no file.

        Raises:
            UsageError: other users can read the file, or it is damaged.
        """
        try:
            with self.path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if os.name == "posix" and mode & 0o077:
                    raise UsageError(f"{self.path} can be read by others (mode {mode:04o}); run: chmod 600 {self.path}")
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise UsageError(f"{self.path} is not a file; remove it, and run besmart auth login again")
                return _loaded(file.read(_MOST_BYTES), str(self.path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be read: {error.strerror or error}") from None

    def save(self, account: UserAccount) -> None:
        """Replace the file.

        Raises:
            UsageError: the file cannot be written.
        """
        beside = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(_dumped(account))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        except OSError as error:
            raise UsageError(f"{self.path}: cannot be written: {error.strerror or error}") from None
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def clear(self) -> bool:
        """Remove the file; return whether there was one.

        Raises:
            UsageError: the file cannot be removed.
        """
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
        """Return the keyring; None if the library is not installed or finds no keyring that is safe to use."""
        try:
            import keyring
        except ImportError:
            return None
        return cls(keyring) if keyring.get_keyring().priority >= 1 else None

    def __str__(self) -> str:
        return f"keyring ({self._keyring.get_keyring().name})"

    def load(self) -> UserAccount | None:
        """Return the account in the keyring; None if it has none.

        Raises:
            UsageError: the keyring cannot be read.
        """
        try:
            text = self._keyring.get_password(_SERVICE, _ENTRY)
        except self._keyring.errors.KeyringError as error:
            raise UsageError(f"{self} cannot be read: {error or type(error).__name__}") from None
        return _loaded(text, str(self)) if text else None

    def save(self, account: UserAccount) -> None:
        """Replace the entry.

        Raises:
            UsageError: the keyring cannot be written.
        """
        try:
            self._keyring.set_password(_SERVICE, _ENTRY, _dumped(account).decode())
        except self._keyring.errors.KeyringError as error:
            problem = f"{self} cannot be written: {error or type(error).__name__}; --store file does without it"
            raise UsageError(problem) from None

    def clear(self) -> bool:
        """Delete the entry; return whether there was one.

        Raises:
            UsageError: the keyring cannot be read or changed.
        """
        if self.load() is None:
            return False
        try:
            self._keyring.delete_password(_SERVICE, _ENTRY)
        except self._keyring.errors.KeyringError as error:
            raise UsageError(f"{self} cannot be changed: {error or type(error).__name__}") from None
        return True


def stores() -> list[FileStore | KeyringStore]:
    """Return the places where an account may be; the file first, since looking at it costs nothing."""
    keyring = KeyringStore.of_system()
    return [FileStore.of_user(), *([keyring] if keyring else [])]


def stored() -> tuple[UserAccount, FileStore | KeyringStore] | None:
    """Return the account that `besmart auth login` saved, and where it is.

    Raises:
        UsageError: the place cannot be read.
    """
    file = FileStore.of_user()
    found = file.load()
    if found is not None:
        return found, file
    keyring = KeyringStore.of_system()
    found = keyring.load() if keyring else None
    return (found, keyring) if found is not None and keyring is not None else None


def account_in_use() -> tuple[UserAccount, str]:
    """Return the account that commands use, and where it comes from: the environment, else `besmart auth login`.

    Raises:
        NoCredentialsError: there is no account.
        UsageError: the saved account cannot be read.
    """
    given = UserAccount.of(os.environ)
    if given is not None:
        return given, ENVIRONMENT
    found = stored()
    if found is None:
        raise NoCredentialsError
    account, place = found
    allowed = insecure_http_allowed(os.environ) or account.allow_insecure_http
    dialect = dialect_set(os.environ) or account.dialect
    return attrs.evolve(account, allow_insecure_http=allowed, dialect=dialect), str(place)


def _dumped(account: UserAccount) -> bytes:
    return orjson.dumps({name: value for name, value in attrs.asdict(account).items() if value})


def _loaded(text: str | bytes, place: str) -> UserAccount:
    problem = f"{place} is damaged; run besmart auth login again"
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise UsageError(problem) from None
    if not isinstance(found, dict):
        raise UsageError(problem)
    kinds = {field.name: bool if field.name == "allow_insecure_http" else str for field in attrs.fields(UserAccount)}
    for name, value in found.items():
        if name not in kinds or (value is not None and not isinstance(value, kinds[name])):  # the value may be secret
            raise UsageError(f"{problem} ({name} is not {'known' if name not in kinds else _KINDS[kinds[name]]})")
    return UserAccount(**{name: value for name, value in found.items() if value is not None})
