"""Writing in batches: the shells that keep time and send. What is decided is decided in `core`."""
