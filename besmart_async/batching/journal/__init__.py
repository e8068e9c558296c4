"""The journal of a writer: what was accepted is on disk before `write` returns, and survives the process."""
