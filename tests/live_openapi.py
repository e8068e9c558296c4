"""The OpenAPI description of the live service, written by hand from public material: `data/besmart-live.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import yaml

_FILE = Path(__file__).parent / "data" / "besmart-live.yaml"


@attrs.frozen(kw_only=True)
class LiveOperation:
    """One operation: where its parameters go, and which of them are required."""

    id: str
    method: str
    path: str
    path_names: frozenset[str]
    query: dict[str, bool]
    body: dict[str, Any] | None
    statuses: frozenset[int]
    example: Any


def description() -> dict[str, Any]:
    """The whole description, a new one for each caller: the tools that use it change it."""
    parsed: dict[str, Any] = yaml.safe_load(_FILE.read_text("utf-8"))
    return parsed


@cache
def live_operations() -> dict[str, LiveOperation]:
    """Every operation by its id."""
    document = description()
    return {one.id: one for path, item in document["paths"].items() for one in _operations(path, item, document)}


def _operations(path: str, item: dict[str, Any], document: dict[str, Any]) -> Iterator[LiveOperation]:
    for method, operation in item.items():
        if method == "parameters":
            continue
        listed = [_resolved(one, document) for one in (*item.get("parameters", ()), *operation.get("parameters", ()))]
        answers = {int(status): _resolved(one, document) for status, one in operation["responses"].items()}
        first = next(iter(answers.values()))
        yield LiveOperation(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            path_names=frozenset(one["name"] for one in listed if one["in"] == "path"),
            query={one["name"]: one.get("required", False) for one in listed if one["in"] == "query"},
            body=operation.get("requestBody"),
            statuses=frozenset(answers),
            example=first.get("content", {}).get("application/json", {}).get("example"),
        )


def _resolved(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    found: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    resolved: dict[str, Any] = found
    return resolved
