"""`besmart simulate`: running the embedded service on a port."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from besmart_async.cli.client import embedded
from besmart_async.cli.exits import Exit, UsageError
from besmart_async.cli.terminal.output import error_line, write

if TYPE_CHECKING:
    from besmart_async.simulator import Simulator


def simulate(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8080,
    host: str = "127.0.0.1",
    dialect: Literal["documented", "live"] = "documented",
    database: Path | None = None,
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
    """
    kind = embedded()
    try:
        simulator = kind(dialect=dialect, database=database or ":memory:")
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
