"""The pure core of the writer: readings in, batches out, outcomes back in. No await, no clock, no logging."""
