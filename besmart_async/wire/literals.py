"""Python-style literals inside strings, as the document shows them in 422 bodies and in run-by-name answers.

Never `eval`: `ast.literal_eval` on a bounded text, and only what JSON could hold comes out.
"""

from __future__ import annotations

import ast
import warnings

from besmart_async.models.values import JsonValue, checked_json

_LONGEST = 1 << 20


def parse_literal(text: str) -> JsonValue:
    """Return what a Python-style literal says, as JSON would hold it; a part left out (`{...}`) becomes None.

    Raises:
        ValueError: it is not a literal, holds something that is not data, or is longer than 1 MiB.
    """
    if len(text) > _LONGEST:
        raise ValueError("longer than 1 MiB")
    try:
        with warnings.catch_warnings(action="ignore"):  # such as for "\\d", which Python reads as it stands
            return _as_json(ast.literal_eval(text.strip()))
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"not a literal: {error}") from None


def _as_json(value: object) -> JsonValue:
    if value is None or isinstance(value, bool | int | float | str):
        return checked_json(value, "literal")
    if value is Ellipsis or value == {Ellipsis}:
        return None
    if isinstance(value, dict):
        return {str(name): _as_json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(part) for part in value]
    raise ValueError(f"not data: {type(value).__name__}")
