"""Reading in batches: the shells that keep time and ask. What is decided is decided in `core`."""
