"""The command `besmart`."""

from besmart_async.cli.app import main

__all__ = ["main"]
