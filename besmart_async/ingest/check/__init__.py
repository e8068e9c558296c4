"""Files read and checked as an ingest would, without sending anything."""

from besmart_async.ingest.check.job import CheckJob

__all__ = ["CheckJob"]
