"""The API document, parsed: what the tests compare the SDK with. Nothing in here knows the SDK."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import attrs

DOCUMENT = Path(__file__).parent / "data" / "besmart-rest-api-0.1.5.md"

_OPERATION = re.compile(r'<a id="opId(?P<id>[\w.]+)"></a>(?P<text>.*?)(?=<a id="opId|\n# Schemas)', re.DOTALL)
_REQUEST_LINE = re.compile(r"^`(?P<method>[A-Z]+) (?P<path>/\S*)`$", re.MULTILINE)
_CONTENT_TYPE = re.compile(r"^Content-Type: (\S+)$", re.MULTILINE)
_BODY = re.compile(r"> Body parameter\s+```(?:json)?\n(.*?)```", re.DOTALL)
_EXAMPLE = re.compile(r"> (?P<status>\d{3}) Response\s+```json\n(?P<json>.*?)```", re.DOTALL)
_PARAMETER = re.compile(r"^\|([» \w]+)\|(path|query|body)\|([^|]+)\|(true|false)\|", re.MULTILINE)
_STATUS = re.compile(r"^\|(\d{3})\|\[[^|]*\|([^|]*)\|$", re.MULTILINE)
_FIELD = re.compile(r"^\|(?P<depth>(?:»)*) ?(?P<name>\w+)\|(?P<type>[^|]+)\|", re.MULTILINE)
_SCHEMA = re.compile(
    r'<h2 id="tocS_(?P<name>\w+)">.*?```json\n(?P<json>.*?)```(?P<text>.*?)(?=<h2 id="tocS_|\Z)', re.DOTALL
)


@attrs.frozen
class Parameter:
    """A row of a table of parameters; `where` is path, query or body."""

    name: str
    where: str
    type: str
    required: bool


@attrs.frozen
class Field:
    """A row of a table of fields; those of an enclosing field follow it one level deeper."""

    depth: int
    name: str
    type: str


@attrs.frozen(kw_only=True)
class DocumentedOperation:
    """One operation. `body` is the example as it is to be sent; `status` and `example` are those of the success."""

    id: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    content_type: str | None
    body: str | None
    statuses: dict[int, str]
    status: int
    example: Any
    fields: tuple[Field, ...]

    def names(self, where: str, *, required: bool | None = None) -> set[str]:
        return {p.name for p in self.parameters if p.where == where and required in {None, p.required}}

    def type_of(self, name: str) -> str:
        return next(parameter.type for parameter in self.parameters if parameter.name == name)


@attrs.frozen
class DocumentedSchema:
    """One of the schemas at the end."""

    name: str
    example: Any
    fields: tuple[Field, ...]


@cache
def operations() -> dict[str, DocumentedOperation]:
    """Every operation by its id, which is shortened: `sensors.get_id`."""
    found = (_operation(match["id"], match["text"]) for match in _OPERATION.finditer(_text()))
    return {operation.id: operation for operation in found}


@cache
def schemas() -> dict[str, DocumentedSchema]:
    """Every schema by its name."""
    return {
        match["name"]: DocumentedSchema(match["name"], json.loads(match["json"]), _fields(match["text"]))
        for match in _SCHEMA.finditer(_text())
    }


def _text() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def _operation(operation_id: str, text: str) -> DocumentedOperation:
    line, content_type, example = _REQUEST_LINE.search(text), _CONTENT_TYPE.search(text), _EXAMPLE.search(text)
    assert line is not None, operation_id
    assert example is not None, operation_id
    rows = (
        Parameter(name.strip(), where, kind, required == "true")
        for name, where, kind, required in _PARAMETER.findall(text)
    )
    return DocumentedOperation(
        id=operation_id.removeprefix("api.endpoints."),
        method=line["method"],
        path=line["path"],
        parameters=tuple(row for row in rows if not row.name.startswith("»")),
        content_type=content_type[1] if content_type else None,
        body=_body(text),
        statuses={int(status): meaning for status, meaning in _STATUS.findall(text)},
        status=int(example["status"]),
        example=json.loads(example["json"]),
        fields=_fields(text.partition("Status Code **")[2]),
    )


def _body(text: str) -> str | None:
    found = _BODY.search(text)
    if found is None:
        return None
    # Single quotes around a body are YAML's, and so is the folding of its lines.
    return re.sub(r"\n(?=\S)", " ", found[1].strip().strip("'")) if found[1].startswith("'") else found[1].strip()


def _fields(text: str) -> tuple[Field, ...]:
    found = (Field(len(row["depth"]), row["name"], row["type"]) for row in _FIELD.finditer(text))
    return tuple(field for field in found if field.name not in {"Name", "Status"})
