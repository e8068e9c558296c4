"""The pure core of the reader: queries in, bulk reads out, answers matched by key. No await, no clock, no logging."""
