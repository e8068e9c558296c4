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
    ERROR = 1
    USAGE = 2
    """Wrong arguments, settings or files; nothing was sent."""
    REJECTED = 3
    """Done, but some rows were rejected."""
    AUTHENTICATION = 4
    UNAVAILABLE = 5
    """The service could not be reached or failed; trying again later may help."""
    INTERRUPTED = 130


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
