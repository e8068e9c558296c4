"""What an operation declares: one declaration checks requests and is published as OpenAPI.

Theory of operation: `endpoints/*` declare `Route` values, `router.py` collects them and finds one by method and path,
`validation.py` checks a request against it, and `openapi.py` turns the same values into the OpenAPI document. A status
that the 0.1.5 document does not list is declared with `documented=False` and published with `x-documented: false`, so
both the strictness and its distance from the document stay visible.

The schemas and replies that many operations share stand at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from besmart_async.simulator.endpoints.context import RequestContext
    from besmart_async.simulator.http.responses import ServiceResponse

Kind = Literal["integer", "number", "boolean", "string", "object"]
Schema = dict[str, Any]

_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"  # in a path
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


@attrs.frozen(kw_only=True)
class Param:
    """One path or query parameter, or one field of a bulk item."""

    name: str
    place: Literal["path", "query", "item"]
    kind: Kind
    required: bool = False
    description: str = ""
    minimum: float | None = None
    maximum: float | None = None
    holds_json: bool = False
    example: object = None

    def schema(self) -> Schema:
        """The parameter's JSON schema."""
        schema: Schema = {"type": self.kind}
        if self.kind == "integer":
            low = INT64_MIN if self.minimum is None else int(self.minimum)
            high = INT64_MAX if self.maximum is None else int(self.maximum)
            schema.update(format="int64", minimum=low, maximum=high)
        else:
            schema.update((k, v) for k, v in (("minimum", self.minimum), ("maximum", self.maximum)) if v is not None)
        return schema


def path(name: str, example: int, description: str = "") -> Param:
    """An integer in the path."""
    return Param(name=name, place="path", kind="integer", required=True, example=example, description=description)


def field(
    name: str,
    kind: Kind,
    *,
    required: bool = False,
    description: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
) -> Param:
    """A field of an object in a body."""
    return Param(
        name=name,
        place="item",
        kind=kind,
        required=required,
        description=description,
        minimum=minimum,
        maximum=maximum,
    )


def fields_schema(fields: tuple[Param, ...]) -> Schema:
    """The schema of an object in a body that holds these fields and nothing else."""
    return closed({one.name: one.schema() for one in fields}, [one.name for one in fields if one.required])


def query(
    name: str,
    kind: Kind,
    *,
    required: bool = False,
    description: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    holds_json: bool = False,
) -> Param:
    """A query parameter."""
    return Param(
        name=name,
        place="query",
        kind=kind,
        required=required,
        description=description,
        minimum=minimum,
        maximum=maximum,
        holds_json=holds_json,
    )


@attrs.frozen(kw_only=True)
class Body:
    """The body of a request; `absent` is used instead where a body is optional and the request has none.

    The live service is not known to refuse text where it takes JSON now: `or_text` takes it there too.
    """

    media: Literal["text/plain", "application/json"]
    schema: Schema
    example: Any
    required: bool = True
    absent: Any = None
    or_text: bool = False

    @property
    def media_types(self) -> tuple[str, ...]:
        """The content types that are taken."""
        return (self.media, "text/plain") if self.or_text else (self.media,)


@attrs.frozen
class Reply:
    """One answer an operation may give."""

    status: int
    description: str
    schema: Schema | None = None
    example: Any = None
    documented: bool = True


@attrs.frozen(kw_only=True)
class Route:
    """One operation of the API.

    Attributes:
        operation: The document's operation id without the leading `api.endpoints.`, such as `sensors.post`.
        dialect: The dialect that has it in this form; None for both.
        version: Its version, where there are several (`/v2`): they count as one operation in what tests ask for.
    """

    operation: str
    method: str
    path: str
    tag: str
    summary: str
    handler: Callable[[RequestContext], ServiceResponse]
    description: str = ""
    params: tuple[Param, ...] = ()
    body: Body | None = None
    replies: tuple[Reply, ...] = ()
    security: Literal["ApiKeyAuth", "BearerAuth"] = "BearerAuth"
    dialect: Literal["documented", "live"] | None = None
    version: int = 1
    pattern: re.Pattern[str] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        escaped = re.escape(self.path).replace(r"\{", "{").replace(r"\}", "}")
        numbers = {p.name for p in self.params if p.place == "path" and p.kind == "number"}
        expression = re.sub(r"{(\w+)}", lambda m: rf"(?P<{m[1]}>{_NUMBER if m[1] in numbers else '[^/.]+'})", escaped)
        object.__setattr__(self, "pattern", re.compile(expression))

    @property
    def path_params(self) -> tuple[Param, ...]:
        """The parameters of the path."""
        return tuple(p for p in self.params if p.place == "path")

    @property
    def query_params(self) -> tuple[Param, ...]:
        """The parameters of the query."""
        return tuple(p for p in self.params if p.place == "query")

    def documents(self, status: int) -> bool:
        """Whether the 0.1.5 document lists this status for the operation."""
        return any(reply.status == status and reply.documented for reply in self.replies)


INT: Schema = {"type": "integer", "format": "int64"}
NUMBER: Schema = {"type": "number"}
BOOL: Schema = {"type": "boolean"}
TEXT: Schema = {"type": "string"}


def nullable(schema: Schema) -> Schema:
    """The schema, or null."""
    return {**schema, "nullable": True}


def listed(schema: Schema) -> Schema:
    """A list of it."""
    return {"type": "array", "items": schema}


def model(fields: dict[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object; the service may add fields, so it is open."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": fields, "required": required}


def closed(fields: dict[str, Schema], required: list[str]) -> Schema:
    """An object of a request: nothing unknown is taken."""
    schema: Schema = {"type": "object", "properties": fields, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


_TIMES = listed({"type": "number", "minimum": -8.64e15, "maximum": 8.64e15})
COLUMNS: dict[str, Schema] = {
    "time": _TIMES,
    "value": listed({}),
    "type": listed(TEXT),
    "origin": listed({**INT, "minimum": -(2**63), "maximum": 2**63 - 1}),
}
COLUMNS_EXAMPLE: dict[str, Any] = {"time": [1577836800000], "value": [10.01], "type": ["DBL"], "origin": [1]}

ID: Schema = INT
UNAUTHORIZED = Reply(401, "Not valid authentication credentials", TEXT, "No authorization token provided")
NOT_FOUND = Reply(404, "Failed attempt - no resource", TEXT, "Resource not found")
CONFLICT = Reply(409, "Conflict", TEXT, "Conflict")
UNPROCESSABLE = Reply(422, "Unprocessable entity", TEXT, "{'status_code': -1, 'message': 'An error occured'}")
SERVER_ERROR = Reply(500, "Server Error", TEXT, "ServerError")
OK = Reply(200, "OK", TEXT, "OK")
CREATED = Reply(201, "Created", TEXT, "Created")
