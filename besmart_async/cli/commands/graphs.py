"""`besmart graphs`: running computation graphs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from besmart_async.cli.client import call
from besmart_async.cli.exits import UsageError
from besmart_async.cli.options import End, Json, Start, Zone, moment
from besmart_async.cli.terminal.output import cell, counted, error_line, stamp, write, write_json, write_table
from besmart_async.client import BesmartClient
from besmart_async.models.tasks import GraphOutput, GraphResult


def run(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    name: str | None = None,
    since: Start = None,
    till: End = None,
    time_zone: Zone = None,
    task_priority: int | None = None,
    task_async: bool | None = None,
    json: Json = False,
) -> None:
    """Run a graph and print its result. It is not run again if the answer is lost.

    Parameters
    ----------
    file
        JSON file with the graph (nodes and edges), or with the parameters of a stored graph; - for standard input.
    name
        Run the stored graph with this name.
    task_priority
        Priority; 5 if it is not given.
    task_async
        Let the service answer before the graph is done.
    """
    text = _text(file)
    start = None if since is None else moment("--since", since, time_zone)
    end = None if till is None else moment("--till", till, time_zone)

    async def ask(client: BesmartClient) -> GraphResult:
        if name is None:
            return await client.tasks.run_graph(
                text, task_priority=task_priority, task_async=task_async, since=start, till=end
            )
        return await client.tasks.run_graph_by_name(
            name, text, task_priority=task_priority, task_async=task_async, since=start, till=end
        )

    found = call(ask)
    if json:
        write_json(found)
    elif found.accepted:
        write(f"accepted: it is running{f' ({found.text})' if found.text else ''}")
    elif found.outputs:
        for output in found.outputs:
            _write_output(output)
    else:
        write(found.text)


def _write_output(output: GraphOutput) -> None:
    count = len(output.time)
    title = f"value [{output.unit}]" if output.unit else "value"
    rows = ((stamp(time), cell(value)) for time, value in zip(output.time.tolist(), output.value.tolist(), strict=True))
    write_table(("time", title), rows)
    error_line(f"{output.key}: {counted(count, 'reading')}" if output.key else counted(count, "reading"))


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
