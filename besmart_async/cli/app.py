"""The command line: its commands, each imported only when it is called, and how errors are shown."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from besmart_async.version import __version__

if TYPE_CHECKING:
    from types import TracebackType

    from cyclopts import App, CycloptsError

_HELP = "Readings and meters of the besmart.energy service."
_EPILOGUE = (
    "The account comes from the environment (BESMART_LOGIN, BESMART_PASSWORD and BESMART_API_KEY, or BESMART_TOKEN;"
    " BESMART_BASE_URL for another service), else from besmart auth login. Every command takes --dialect live (or"
    " BESMART_DIALECT=live) to send the requests of today's service instead of those of the API document 0.1.5, and -v"
    " or -vv (BESMART_LOG=info or debug) to tell more on standard error."
)

# The command, its function, and its line in the help: they are listed here so that the help imports no command.
COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("ingest", "ingest:ingest", "Send readings from files, compare what arrived, show a day of it."),
    ("consume", "consume:consume", "Send readings from the messages of Kafka or NATS."),
    ("check", "check:check", "Read and check files as an ingest does, without sending anything."),
    ("export", "export:export", "Write the readings of signals to a CSV, Parquet or JSON lines file."),
    ("plot", "plot:plot", "Draw signals: in the terminal, as PNG or SVG, or as one HTML file."),
    ("latest", "latest:latest", "Show the last reading of each signal."),
    ("journal status", "journal:status", "Show what is in the journal of a writer."),
    ("journal drain", "journal:drain", "Deliver the readings in the journal of a writer."),
    ("simulate", "simulate:simulate", "Run the embedded service on this machine."),
    ("doctor", "doctor:doctor", "Check the connection, the dialect, the account and the clock; changes nothing."),
    ("completion", "completion:completion", "Print a script that completes commands in bash, zsh or fish."),
    ("auth login", "auth:login", "Log in, and save the account for the other commands."),
    ("auth status", "auth:status", "Show which account is used, and whether it works."),
    ("auth logout", "auth:logout", "Delete the saved account."),
    ("sensors get", "sensors:get", "Show a sensor."),
    ("sensors types", "sensors:types", "List the sensor types."),
    ("sensors create", "sensors:create", "Create a sensor."),
    ("sensors update", "sensors:update", "Change a sensor."),
    ("sensors delete", "sensors:delete", "Delete a sensor."),
    ("signals types", "signals:types", "List the signal types."),
    ("signals read", "signals:read", "Read a signal."),
    ("signals write", "signals:write_", "Write a few readings of a signal."),
    ("meter-types list", "meter_types:list_", "List the meter types of a client."),
    ("meter-types create", "meter_types:create", "Create a meter type."),
    ("meter-types update", "meter_types:update", "Change a meter type."),
    ("meter-types delete", "meter_types:delete", "Delete meter types of a client."),
    ("sensor-states list", "sensor_states:list_", "List the states of a sensor."),
    ("sensor-states create", "sensor_states:create", "Create a state of a sensor."),
    ("sensor-states update", "sensor_states:update", "Change a state."),
    ("sensor-states delete", "sensor_states:delete", "Delete a state."),
    ("signal-states create", "signal_states:create", "Create a signal state."),
    ("signal-states update", "signal_states:update", "Change a signal state."),
    ("signal-states patch", "signal_states:patch", "Change values of a signal state (dialect live)."),
    ("signal-states delete", "signal_states:delete", "Delete a signal state."),
    ("graphs run", "graphs:run", "Run a computation graph."),
    ("weather find", "weather:find", "Find the sensor with the weather of a place (dialect live)."),
    ("weather read", "weather:read", "Read the weather of a sensor (dialect live)."),
    ("weather read-at", "weather:read_at", "Read the weather of a place (dialect live)."),
)
_VERBOSE = {"-v": "info", "--verbose": "info", "-vv": "debug"}
GROUPS = {
    "auth": "The account that the commands use.",
    "journal": "Readings that a writer accepted and has not delivered yet.",
    "sensors": "Sensors and their types.",
    "signals": "Signals, their types and readings.",
    "meter-types": "Meter types.",
    "sensor-states": "Which meter was mounted at a sensor, and when.",
    "signal-states": "Register values at the start and end of sensor states.",
    "graphs": "Computation graphs.",
    "weather": "Weather of external providers (dialect live).",
}


def build(arguments: Sequence[str] = ()) -> App:
    """Return the application: the command that is called with its whole help, the others with their line of it."""
    from cyclopts import App

    app = App(
        name="besmart",
        help=_HELP,
        help_epilogue=_EPILOGUE,
        version=f"besmart {__version__}",
        help_format="plaintext",
        result_action="return_value",
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        error_formatter=_refusal,
    )
    groups = {name: App(name=name, help=text) for name, text in GROUPS.items()}
    for group in groups.values():
        app.command(group)
    for path, where, text in COMMANDS:
        above, _, name = path.rpartition(" ")
        called = list(arguments[: len(path.split())]) == path.split()
        groups.get(above, app).command(
            f"besmart_async.cli.commands.{where}", name=name, help=_whole_help(where) if called else text
        )
    return app


def _refusal(error: CycloptsError) -> object:
    """Return the box of a usage error, with control characters of the arguments written out."""
    from cyclopts import CycloptsPanel

    from besmart_async.errors import visible

    return CycloptsPanel(visible(str(error)))


def _whole_help(where: str) -> str:
    """Return the docstring of a command, with its paragraphs as one line each."""
    import inspect
    from importlib import import_module

    module, _, name = where.partition(":")
    text = inspect.getdoc(getattr(import_module(f"besmart_async.cli.commands.{module}"), name)) or ""
    paragraphs = text.partition("\nParameters\n---")[0].strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code (`besmart_async.cli.exits.Exit`)."""
    _prepare_streams()
    atexit.register(gc.freeze)  # otherwise the interpreter collects all modules once more at its end, for 0.1 s
    _skip_unused_imports()
    try:
        arguments = _without_common(sys.argv[1:] if arguments is None else arguments)
        app = build(arguments)
    except ImportError:
        sys.stderr.write("besmart: the command needs its extra: pip install 'besmart-async[cli]'\n")
        sys.exit(1)
    except Exception as error:
        _explain(error)
    from cyclopts import CycloptsError

    code: object = 0
    try:
        code = app([_plain(one) for one in arguments])
    except CycloptsError:
        sys.exit(2)  # cyclopts has printed what is wrong
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        _close_stdout()
        sys.exit(1)
    except Exception as error:
        _explain(error)
    _end(code if isinstance(code, int) else 0)


def _prepare_streams() -> None:
    """Make sure that there are streams to write to, and that they take every text.

    A descriptor that is closed (`>&-`) would be given to the next file that is opened, such as a journal.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            with contextlib.suppress(OSError):
                os.fstat(number)
                continue
            opened = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(opened, "r" if name == "stdin" else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _end(code: int) -> NoReturn:
    """Exit, after what was written has arrived: else the interpreter would fail after the exit code is decided."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _close_stdout()
        sys.exit(1)
    except OSError as error:
        _close_stdout()
        _explain(OSError(error.errno, error.strerror, "standard output"))
    sys.exit(code)


def _skip_unused_imports() -> None:
    """Save 0.1 s of CPU time that two libraries spend at import. This process is ours, so no other code depends on it.

    numpy starts a thread per core that spins, waiting for matrices to multiply. httpx imports its own command line
    (click, pygments, rich's progress bars: 40 ms) if click is installed, and has no switch for that. `None` in
    `sys.modules` is Python's documented way to make one import fail; httpx catches that and goes without.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def _without_common(arguments: Sequence[str]) -> list[str]:
    """Take the options that every command has, and set their variables of the environment.

    `--dialect NAME` is BESMART_DIALECT (`simulate` has one of its own), `-v` and `-vv` are BESMART_LOG.

    Raises:
        UsageError: there is no name after `--dialect`.
    """
    kept: list[str] = []
    left = iter(arguments)
    for argument in left:
        name, equals, value = argument.partition("=")
        if argument in _VERBOSE:
            os.environ["BESMART_LOG"] = _VERBOSE[argument]
        elif name == "--dialect" and "simulate" not in arguments[:1]:
            value = value if equals else next(left, "")
            if not value:
                from besmart_async.cli.exits import UsageError

                raise UsageError("--dialect: give documented or live")
            os.environ["BESMART_DIALECT"] = value
        else:
            kept.append(argument)
            if argument == "--":
                break
    return [*kept, *left]


def _plain(argument: str) -> str:
    """Return an argument as cyclopts takes it: a flag cannot have a value there, but ours, `--verify=sample`, can."""
    return "--verify-sample" if argument == "--verify=sample" else argument


def _explain(error: Exception) -> NoReturn:
    """Say in one line what went wrong, and exit; a bug keeps its traceback.

    Raises:
        Exception: `error` itself, if it is a bug.
    """
    from besmart_async.cli.exits import UsageError, exit_of, explained
    from besmart_async.errors import BesmartError, visible

    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    extra_missing = isinstance(error, ImportError) and "pip install" in str(error)
    if not extra_missing and not isinstance(error, BesmartError | UsageError | OSError | MemoryError):
        sys.excepthook = _show_bug
        raise error
    with contextlib.suppress(OSError):  # standard error may be full or closed as well
        sys.stderr.write(visible(f"besmart: {explained(error)}\n"))
    sys.exit(exit_of(error))


def _show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print a traceback, with control characters written out: its messages may hold texts from outside."""
    import traceback

    from besmart_async.errors import visible

    with contextlib.suppress(OSError):
        sys.stderr.write(visible("".join(traceback.format_exception(kind, error, trace))))


def _close_stdout() -> None:
    """Keep the interpreter from failing again when it flushes to a closed pipe (`besmart … | head`)."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
