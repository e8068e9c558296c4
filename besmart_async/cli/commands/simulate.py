"""`besmart simulate`: running the embedded service on a port."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from besmart_async.cli.client import embedded
from besmart_async.cli.exits import Exit, UsageError
from besmart_async.cli.options import Flag
from besmart_async.cli.terminal.output import error_line, write
from besmart_async.errors import visible
from besmart_async.models.times import from_ms

if TYPE_CHECKING:
    from besmart_async.simulator import RecordedRequest, Simulator


def simulate(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8080,
    host: str = "127.0.0.1",
    dialect: Literal["documented", "live"] = "documented",
    database: Path | None = None,
    log: Flag = False,
) -> int:
    """Run the embedded service until Ctrl-C or SIGTERM.

    It serves the operations of a dialect, starts with the examples of the API document, and keeps nothing when it ends.

    Parameters
    ----------
    port
        Port to listen on; 0 for any free one.
    host
        Address to listen on.
    dialect
        documented serves the operations of the API document 0.1.5, live those of the service of today.
    database
        Keep the data in this file.
    log
        Write a line to standard error for each request: when it came, method, path, operation, bytes, status, duration.
    """
    kind = embedded()
    try:
        simulator = kind(dialect=dialect, database=database or ":memory:", on_request=_log if log else None)
    except ValueError as error:
        raise UsageError(f"--database {error}") from None
    try:
        asyncio.run(simulator.run_server(port, host, on_started=lambda base_url: _announce(base_url, simulator)))
    except OSError as error:
        problem = f"cannot listen on {host} port {port}: {error.strerror or error}"
        error_line(f"besmart: {problem}; give another --port, or 0 for a free one")
        return Exit.ERROR
    finally:
        simulator.close()
    error_line("stopped")
    return Exit.OK


def _log(request: RecordedRequest) -> None:
    """Write a line about a request; a query may have values that are nobody's business."""
    came = from_ms(round(request.at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    took = f"{request.finished_at - request.at:.0f} ms" if request.finished_at is not None else "-"
    what = f"{request.method} {request.path} ({request.operation or 'no such operation'})"
    error_line(
        visible(f"{came} {what}, {request.body_bytes} bytes: {request.status or 'aborted'}, {took}", one_line=True)
    )


def _announce(base_url: str, simulator: Simulator) -> None:
    """Print how to reach the service. Its credentials are always the same and protect nothing."""
    settings = simulator.settings
    write(base_url)
    write(f"export BESMART_BASE_URL={base_url}")
    write(f"export BESMART_API_KEY={settings.api_key}")
    write(f"export BESMART_LOGIN={settings.login}")
    if settings.dialect != "documented":
        write(f"export BESMART_DIALECT={settings.dialect}")
    write(f"export BESMART_PASSWORD={settings.password}", flush=True)
    error_line(f"the embedded service ({settings.dialect}) is running; Ctrl-C stops it")
