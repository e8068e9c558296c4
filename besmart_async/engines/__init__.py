"""Engines that run many parts of a job: Spark (extra `spark`)."""
