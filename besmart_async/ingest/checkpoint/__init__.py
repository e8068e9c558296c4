"""The acknowledged rows of each file, on disk: a second run sends only the rest."""

from besmart_async.ingest.checkpoint.store import Checkpoint, CheckpointError

__all__ = ["Checkpoint", "CheckpointError"]
