"""A mapping file for a file of readings, with what its rows prove, and marks where only its owner knows."""

from besmart_async.ingest.suggest.suggestion import Suggestion, Told, suggestion_of

__all__ = ["Suggestion", "Told", "suggestion_of"]
