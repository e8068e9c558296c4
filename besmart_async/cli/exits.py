"""Exit codes of the command, and which error ends with which."""

from __future__ import annotations

from enum import IntEnum

from besmart_async.errors import (
    AuthenticationError,
    BesmartConfigError,
    InvalidInputError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    TransportError,
)


class Exit(IntEnum):
    """What the command's exit code means."""

    OK = 0
    """Done: every row was delivered, now or by an earlier run."""
    ERROR = 1
    """It failed, gave up because of too many rejects, or read back something else than it sent."""
    USAGE = 2
    """Wrong arguments, settings or files; nothing was sent."""
    REJECTED = 3
    """Done, but some rows were rejected."""
    AUTHENTICATION = 4
    """The service does not accept the credentials."""
    UNAVAILABLE = 5
    """The service could not be reached or failed; the same command later sends the rest."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM; what was delivered is recorded, and the same command sends the rest."""


class UsageError(Exception):
    """The command was called in a way that cannot work; its text tells what to do."""


def exit_of(error: BaseException) -> Exit:
    """Return the exit code for an error."""
    if isinstance(error, AuthenticationError | PermissionDeniedError):
        return Exit.AUTHENTICATION
    if isinstance(error, TransportError | ServerError | RateLimitError):
        return Exit.UNAVAILABLE
    if isinstance(error, UsageError | BesmartConfigError | InvalidInputError):
        return Exit.USAGE
    return Exit.ERROR
