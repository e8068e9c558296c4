"""What is done of which file, kept on disk, so that a second run sends only the rest."""

from besmart_async.ingest.checkpoint.store import Checkpoint, CheckpointError

__all__ = ["Checkpoint", "CheckpointError"]
