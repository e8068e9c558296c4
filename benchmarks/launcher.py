"""Runs one command and prints its wall clock, CPU and peak memory, as a last line of JSON; needs no package.

A process of its own, since the system counts what a parent has into the peak of its child: this one has little.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> int:
    """Run what follows on the command line."""
    begun = time.perf_counter()
    process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
    _, status, usage = os.wait4(process, 0)
    taken = {
        "wall_s": time.perf_counter() - begun,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
    print("\n" + json.dumps(taken), flush=True)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
