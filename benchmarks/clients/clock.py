"""What a contender measures of itself."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(units: int, *, warm_up: int = 0) -> Iterator[None]:
    """Time the block, and print what it took as a line of JSON.

    Args:
        units: how much work the block does.
        warm_up: how much was done before it.
    """
    gc.collect()  # of what was made before
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    taken = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    print(json.dumps(taken | {"units": units, "sent": units + warm_up}), flush=True)
