"""The answers of running a graph: series, an id, a text with a Python-style literal in it, or nothing."""

from __future__ import annotations

import orjson

from besmart_async.errors import DecodeError, Response
from besmart_async.models.tasks import GraphResult
from besmart_async.models.values import JsonValue
from besmart_async.wire.codec import check_parts
from besmart_async.wire.literals import parse_literal
from besmart_async.wire.series import decode_outputs


def decode_graph_result(response: Response) -> GraphResult:
    """Decode any 2xx answer; what cannot be parsed stays reachable as text.

    Raises:
        DecodeError: a series in it has malformed columns, or the answer is an HTML page, or has too many values.
    """
    text, value = response.text, _parsed(response)
    try:
        outputs = decode_outputs(value)
    except DecodeError as error:
        raise DecodeError(error.problem, path=error.path, response=response) from None
    return GraphResult(status=response.status, accepted=response.status == 202, outputs=outputs, value=value, text=text)


def _parsed(response: Response) -> JsonValue:
    check_parts(response)
    try:
        value: JsonValue = orjson.loads(response.content) if response.content.strip() else None
    except orjson.JSONDecodeError as error:
        if "html" in response.headers.get("content-type", ""):
            raise DecodeError(f"an HTML page ({error})", response=response) from None
        value = response.text
    if isinstance(value, str):
        try:
            return parse_literal(value)
        except ValueError:
            return value
    return value
