"""The command line: commands by name, each imported only when it is called, and what an error looks like."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

_HELP = "Readings and meters of the besmart.energy service."
_EPILOGUE = (
    "The service and the account come from the environment: BESMART_LOGIN, BESMART_PASSWORD and BESMART_API_KEY,"
    " or BESMART_TOKEN; BESMART_BASE_URL for another address."
)

# Group and command: where it is, and its line in the help. The text is here so that the help needs no import.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("ingest", "ingest:ingest", "Send readings from CSV files, compare what arrived, show a day of it."),
    ("simulate", "simulate:simulate", "Run the embedded service on this machine."),
    ("sensors get", "sensors:get", "Show a sensor."),
    ("sensors types", "sensors:types", "List the sensor types."),
    ("signals types", "signals:types", "List the signal types."),
    ("signals read", "signals:read", "Read a signal."),
    ("meter-types list", "meter_types:list_", "List the meter types of a client."),
    ("sensor-states list", "sensor_states:list_", "List the states of a sensor."),
)
GROUPS = {
    "sensors": "Sensors and their types.",
    "signals": "Signals, their types and readings.",
    "meter-types": "Meter types.",
    "sensor-states": "Which meter was mounted when.",
}


def build() -> App:
    """Return the application."""
    from cyclopts import App

    app = App(
        name="besmart",
        help=_HELP,
        help_epilogue=_EPILOGUE,
        version=_version,
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
    )
    groups = {name: App(name=name, help=text) for name, text in GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for path, where, text in COMMANDS:
        above, _, name = path.rpartition(" ")
        groups.get(above, app).command(f"besmart_async.cli.{where}", name=name, help=text)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code (`besmart_async.cli.exits.Exit`)."""
    try:
        app = build()
    except ImportError:
        sys.stderr.write("besmart: the command needs its extra: pip install 'besmart-async[cli]'\n")
        sys.exit(1)
    from cyclopts import CycloptsError

    code: object = 0
    try:
        code = app([_plain(one) for one in (sys.argv[1:] if arguments is None else arguments)])
    except CycloptsError:
        sys.exit(2)  # cyclopts has said what is wrong
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _close_stdout()
        sys.exit(1)
    except Exception as error:
        _explain(error)
    sys.exit(code if isinstance(code, int) else 0)


def _plain(argument: str) -> str:
    """A flag may not have a value, to cyclopts; `--verify=sample` is the one that may."""
    return "--verify-sample" if argument == "--verify=sample" else argument


def _explain(error: Exception) -> None:
    """Say what went wrong in one line and exit; a bug keeps its traceback.

    Raises:
        Exception: `error` itself, if it is none that a user can do something about.
    """
    from besmart_async.cli.exits import UsageError, exit_of
    from besmart_async.errors import BesmartError

    if not isinstance(error, BesmartError | UsageError):
        raise error
    sys.stderr.write(f"besmart: {error}\n")
    sys.exit(exit_of(error))


def _close_stdout() -> None:
    """Keep the interpreter from failing again when it flushes what nobody reads (`besmart … | head`)."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"besmart {version('besmart-async')}"
    except PackageNotFoundError:
        return "besmart (not installed)"
