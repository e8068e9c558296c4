"""Readings to the writer, and the outcome of each back to the row it came from."""
