"""What kind of failure an error is, in few enough words for a metric's label."""

from __future__ import annotations

from besmart_async.errors import ApiError


def error_type(error: Exception) -> str:
    """Return the HTTP status of an error the service answered with, else the error's class: nothing of its text."""
    return str(error.status) if isinstance(error, ApiError) else type(error).__name__
