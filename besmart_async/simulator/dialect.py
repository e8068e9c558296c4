"""Forms that differ by dialect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from besmart_async.simulator.settings import Settings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def info_form(info: str | None, settings: Settings) -> Any:
    """`info` as the string it was given as; as an object on the live service where it holds one."""
    if info is None or not settings.live:
        return info
    try:
        value = orjson.loads(info)
    except orjson.JSONDecodeError:
        return info
    return value if isinstance(value, dict) else info


def time_form(at_ms: int | None, settings: Settings) -> int | str | None:
    """A state's time in ms; ISO 8601 on the live service."""
    if at_ms is None or not settings.live:
        return at_ms
    try:
        return (_EPOCH + timedelta(milliseconds=at_ms)).isoformat()
    except OverflowError:
        return at_ms
