"""Exit codes of the command: which error ends with which code, and what the command says about it."""

from __future__ import annotations

import errno
import os
from enum import IntEnum
from urllib.parse import urlsplit

from besmart_async.batching.verdicts import is_page
from besmart_async.errors import (
    AuthenticationError,
    BesmartConfigError,
    BesmartError,
    ConnectError,
    InvalidInputError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TransportError,
)


class Exit(IntEnum):
    """The meaning of the command's exit code."""

    OK = 0
    """Done: every row was delivered, now or by an earlier run."""
    ERROR = 1
    """The command failed, gave up because of too many rejects, or read back other values than it sent."""
    USAGE = 2
    """Wrong arguments, settings or files; nothing was sent."""
    REJECTED = 3
    """Done, but some rows were rejected, or some signals could not be read."""
    AUTHENTICATION = 4
    """There are no credentials, or the service does not accept them."""
    UNAVAILABLE = 5
    """The service could not be reached or failed; the same command sends the rest later."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM; what was delivered is recorded, and the same command sends the rest."""


class UsageError(Exception):
    """The command cannot work as it was called; the text says what to do."""


class NoCredentialsError(UsageError):
    """Neither the environment nor `besmart auth login` gives credentials."""

    def __init__(self) -> None:
        super().__init__(
            "not logged in: run besmart auth login, or set BESMART_LOGIN and BESMART_PASSWORD (and BESMART_API_KEY),"
            " or BESMART_TOKEN"
        )


def exit_of(error: BaseException) -> Exit:
    """Return the exit code for an error."""
    if is_page(error):
        return Exit.UNAVAILABLE
    if isinstance(error, AuthenticationError | PermissionDeniedError | NoCredentialsError):
        return Exit.AUTHENTICATION
    if isinstance(error, TransportError | ServerError | RateLimitError):
        return Exit.UNAVAILABLE
    if isinstance(error, UsageError | BesmartConfigError | InvalidInputError):
        return Exit.USAGE
    return Exit.ERROR


def explained(error: BaseException) -> str:
    """Return the text of an error, followed by advice where the command or the environment can change something."""
    text = str(error)
    if isinstance(error, OSError) and not isinstance(error, BesmartError):
        text = _system_text(error)
    elif isinstance(error, MemoryError):
        text = f"there is not enough memory{f' ({text})' if text else ''}"
    advice = ""
    if "certificate verify failed" in text.casefold().replace("_", " "):
        advice = (
            "if it was issued by a certificate authority of your own network, set SSL_CERT_FILE to the PEM file of that"
            " authority, or SSL_CERT_DIR to a folder of such files"
        )
    elif "allow_insecure_http" in text:
        advice = "in the command: BESMART_ALLOW_INSECURE_HTTP=1, or besmart auth login --allow-insecure-http"
    elif is_page(error):
        advice = (
            "something else answered in place of the service, such as a proxy or a portal: check BESMART_BASE_URL and"
            " the way to the service, and run the same command again later"
        )
    elif isinstance(error, ConnectError):
        advice = _proxy_advice()
    return f"{text}; {advice}" if advice else text


_ADVICE = {
    errno.ENOSPC: "make room, or set TMPDIR to a folder on a disk with more room",
    errno.EDQUOT: "make room: the quota of this user is used up",
    errno.EMFILE: "allow more open files, such as with ulimit -n 1024",
    errno.ENFILE: "the machine has no more open files left; try again later",
    errno.EROFS: "the disk is read-only; name another place",
    errno.EACCES: "name another place, or get the right to use this one",
    errno.EPERM: "name another place, or get the right to use this one",
}


def _system_text(error: OSError) -> str:
    """Return what the system refused, where, and what to do."""
    place = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    advice = _ADVICE.get(error.errno or 0, "")
    return f"{place}{error.strerror or error}{f'; {advice}' if advice else ''}"


def _proxy_advice() -> str:
    """Name the proxy that the environment sets for the service, and the variable that sets it."""
    from besmart_async.cli.credentials import account_in_use
    from besmart_async.config import DEFAULT_BASE_URL
    from besmart_async.transport.addresses import environment_proxy

    try:
        base_url = account_in_use()[0].base_url
    except UsageError:
        base_url = os.environ.get("BESMART_BASE_URL", "").strip() or DEFAULT_BASE_URL
    address = environment_proxy(base_url)
    if address is None:
        return ""
    names = [name for name, value in os.environ.items() if name.casefold().endswith("_proxy") and value == address]
    source = names[0] if names else "the system's settings"
    parts = urlsplit(address if "://" in address else f"//{address}")  # without user and password
    place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    return (
        f"the connection goes through the proxy {place} of {source}: check that the proxy runs, or name the service's"
        " host in NO_PROXY"
    )
