"""Writing in batches: the asyncio shells that keep time and send. `core` makes all decisions."""
