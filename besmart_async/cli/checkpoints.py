"""Where the command keeps what it has sent, and what else than the files that depends on."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from besmart_async.cli.credentials import Credentials, stored
from besmart_async.config import DEFAULT_BASE_URL
from besmart_async.ingest import SourceError


def default_path() -> Path:
    """The file of this user, such as `~/.local/state/besmart/ingest.sqlite3`."""
    from platformdirs import user_state_path

    return user_state_path("besmart") / "ingest.sqlite3"


def scope_of(*options: object, table: Path | None = None) -> str:
    """Return a digest of the service, the account, the options and the table of meters.

    Rows that were sent to another service, or were mapped otherwise, are not done. No secret goes into it.

    Args:
        options: whatever decides what rows mean; their reprs must tell them apart.
        table: the table of meters.

    Raises:
        SourceError: the table cannot be read.
        UsageError: the account that was kept cannot be read.
    """
    account = Credentials.of(os.environ)
    if account is None:
        kept = stored()
        account = Credentials(base_url=os.environ.get("BESMART_BASE_URL", "").strip()) if kept is None else kept[0]
    service = account.base_url or DEFAULT_BASE_URL
    told = repr((service.rstrip("/"), (account.login or "").strip(), *options)).encode()
    try:
        content = b"" if table is None else table.read_bytes()
    except OSError as error:
        raise SourceError(str(table), f"cannot be read: {error.strerror or error}") from None
    return blake2b(told + b"\0" + content, digest_size=20).hexdigest()
