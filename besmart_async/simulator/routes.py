"""The vocabulary of the route table: one declaration validates requests and is published as OpenAPI.

Theory of operation: `endpoints/*` declare `Route` values, `table.py` collects them, `matching.py` finds one by method
and path, `validation.py` checks a request against it and `publishing.py` turns the same values into the OpenAPI
document. An answer the 0.1.5 document does not list is declared with `documented=False` and published with
`x-documented: false`, so both the strictness and its distance from the document stay visible.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from besmart_async.simulator.answers import Answer
    from besmart_async.simulator.call import Call

Kind = Literal["integer", "number", "boolean", "string", "object"]
Schema = dict[str, Any]

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
    """What a request carries; `absent` stands for the body of a request that has none, where none is required."""

    media: Literal["text/plain", "application/json"]
    schema: Schema
    example: Any
    required: bool = True
    absent: Any = None


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
    """

    operation: str
    method: str
    path: str
    tag: str
    summary: str
    handler: Callable[[Call], Answer]
    description: str = ""
    params: tuple[Param, ...] = ()
    body: Body | None = None
    replies: tuple[Reply, ...] = ()
    security: Literal["ApiKeyAuth", "BearerAuth"] = "BearerAuth"
    pattern: re.Pattern[str] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        escaped = re.escape(self.path).replace(r"\{", "{").replace(r"\}", "}")
        expression = re.sub(r"{(\w+)}", r"(?P<\1>[^/.]+)", escaped)
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
