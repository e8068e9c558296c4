"""The readings of a signal: checked when written, and read with units, power and aggregation."""
