"""Log messages of this package, and the environment variable `BESMART_LOG`.

All messages go to one logger, `besmart_async`:

- error: data that was given up where no exception can tell anyone, and faults of hooks;
- warning: a writer pauses, goes on, or found a damaged journal;
- info and debug: what helps to find out why something happened.

An application that configures logging gets all of them through its own handlers. Where it configures none, warnings and
errors go to stderr, as Python does for every logger (`logging.lastResort`). A `logging.NullHandler` on the logger
silences them.

`BESMART_LOG=debug` (or `info`, `warning`, `error`) sets the level of the logger and prints its messages to stderr with
time and level, whatever the application does with them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping

LOGGER_NAME = "besmart_async"
VARIABLE = "BESMART_LOG"
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

logger = logging.getLogger(LOGGER_NAME)


class LastResortHandler(logging.Handler):
    """Passes messages to `logging.lastResort`, but only while no other handler would get them.

    A handler of ours on the logger is reason enough for Python to leave its own last resort out, so ours asks for it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message to stderr if nobody else handles it and it is at least a warning."""
        fallback = logging.lastResort
        if fallback is None or record.levelno < fallback.level:
            return
        if all(isinstance(handler, LastResortHandler) for handler in _handlers(logging.getLogger(record.name))):
            fallback.handle(record)


def set_up_logging(environ: Mapping[str, str] | None = None, to: logging.Logger = logger) -> None:
    """Give the logger its handler. A second time does nothing; `besmart_async.client` does it when it is imported.

    Args:
        environ: where to look for `BESMART_LOG` instead of `os.environ`.
        to: the logger.
    """
    if any(handler.name == LOGGER_NAME for handler in to.handlers):
        return
    asked = (os.environ if environ is None else environ).get(VARIABLE, "").strip()
    level = LEVELS.get(asked.lower())
    handler: logging.Handler = LastResortHandler() if level is None else logging.StreamHandler()
    handler.name = LOGGER_NAME
    to.addHandler(handler)
    if level is not None:
        handler.setFormatter(logging.Formatter(FORMAT))
        to.setLevel(level)
    elif asked:
        to.warning("%s=%r is not a level: give %s", VARIABLE, asked, ", ".join(LEVELS))


def _handlers(of: logging.Logger) -> Iterator[logging.Handler]:
    """Yield every handler that gets the messages of a logger."""
    current: logging.Logger | None = of
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None
