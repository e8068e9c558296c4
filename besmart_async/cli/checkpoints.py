"""Where the command keeps what it has sent, and what else than the files that depends on."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

from besmart_async.config import DEFAULT_BASE_URL


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
        OSError: the table cannot be read.
    """
    service = os.environ.get("BESMART_BASE_URL", "").strip() or DEFAULT_BASE_URL
    account = os.environ.get("BESMART_LOGIN", "").strip()
    told = repr((service.rstrip("/"), account, *options)).encode()
    content = b"" if table is None else table.read_bytes()
    return blake2b(told + b"\0" + content, digest_size=20).hexdigest()
