"""`client.tasks`: running computation graphs. Source: section Tasks of the API document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from besmart_async.errors import InvalidInputError
from besmart_async.models.checks import checked_flag, checked_text, optional
from besmart_async.models.keys import checked_id
from besmart_async.models.tasks import GraphResult
from besmart_async.models.times import TimeLike, to_ms
from besmart_async.models.values import JsonValue, checked_json
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.graphs import decode_graph_result
from besmart_async.wire.operation import OperationSender


class Tasks:
    """Graphs. They are never run again after a lost answer: such a failure has `outcome` `"in_doubt"`.

    A run that is cancelled here goes on at the service.
    """

    def __init__(self, sender: OperationSender, dialect: Dialect = DOCUMENTED) -> None:
        self._sender = sender
        self._dialect = dialect

    async def run_graph(
        self,
        graph: Mapping[str, object] | str,
        *,
        task_priority: int | None = None,
        task_async: bool | None = None,
        since: TimeLike | None = None,
        till: TimeLike | None = None,
    ) -> GraphResult:
        """Run a graph (`POST /tasks/graphs/run`, text/plain JSON; dialect `documented` only).

        Args:
            graph: the graph's structure (`nodes`, `edges`): a mapping or JSON text; `${...}` in it is left alone.
            task_priority: priority; the service's default is 5.
            task_async: whether the service should answer before the graph is done.
            since: start of the period, UTC unix ms or an aware datetime.
            till: its end.

        Raises:
            InvalidInputError: an argument is refused locally.
            UnsupportedOperationError: the client's dialect is not `documented`.
        """
        return await self._sender.send(
            self._dialect.operation(
                "tasks.run_graph",
                _options(task_priority, task_async, since, till),
                body=_json_text("graph", graph, (dict,)),
                replay=False,
                writes=True,
                decode=decode_graph_result,
            )
        )

    async def run_graph_by_name(
        self,
        graph_name: str,
        params: Sequence[Mapping[str, object]] | Mapping[str, object] | str,
        *,
        task_priority: int | None = None,
        task_async: bool | None = None,
        since: TimeLike | None = None,
        till: TimeLike | None = None,
    ) -> GraphResult:
        """Run a stored graph (`POST /tasks/graphs/run/name`; JSON as text/plain, or as JSON in the dialect `live`).

        Args:
            graph_name: the graph's name.
            params: the template's parameters: a list of mappings, one mapping, or JSON text of either.
            task_priority: priority; the service's default is 5.
            task_async: whether the service should answer (202) before the graph is done.
            since: start of the period, sent in UTC unix ms (the document names no unit here, and ms everywhere else).
            till: its end.

        Raises:
            InvalidInputError: an argument is refused locally.
            NotFoundError: no such graph.
            UnprocessableError: the service refuses the parameters.
        """
        return await self._sender.send(
            self._dialect.operation(
                "tasks.run_graph_by_name",
                {
                    "graph_name": checked_text("graph_name", graph_name),
                    **_options(task_priority, task_async, since, till),
                },
                body=_json_text("params", params, (list, dict)),
                replay=False,
                writes=True,
                decode=decode_graph_result,
            )
        )


def _options(
    task_priority: int | None, task_async: bool | None, since: TimeLike | None, till: TimeLike | None
) -> dict[str, JsonValue]:
    start = None if since is None else to_ms(since, "since")
    end = None if till is None else to_ms(till, "till")
    if start is not None and end is not None and start > end:
        raise InvalidInputError("since", since, f"after till={till}")
    return {
        "task_priority": optional(checked_id, "task_priority", task_priority),
        "task_async": optional(checked_flag, "task_async", task_async),
        "since": start,
        "till": end,
    }


def _json_text(field: str, value: object, kinds: tuple[type[Any], ...]) -> bytes:
    if isinstance(value, str):
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise InvalidInputError(field, value, f"not JSON ({error}); give a mapping or JSON text") from None
        text = value.encode()
    else:
        parsed = checked_json(value, field)
        text = orjson.dumps(parsed)
    if not isinstance(parsed, kinds):
        raise InvalidInputError(field, value, f"give a JSON {' or '.join(_JSON_NAMES[kind] for kind in kinds)}")
    return text


_JSON_NAMES: dict[type[Any], str] = {dict: "object", list: "list"}
