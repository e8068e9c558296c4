"""`python -m benchmarks [--smoke]`."""

from __future__ import annotations

import argparse

from benchmarks import codec, imports, parsing
from benchmarks.measuring import show


def main() -> None:
    """Run everything and print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="small sizes and few rounds: does it run at all?")
    smoke = parser.parse_args().smoke
    rounds = 2 if smoke else 7
    readings = 10_000 if smoke else 200_000
    show(
        [
            *codec.rows(readings=readings, rounds=rounds),
            *parsing.rows(readings=5 * readings, rounds=rounds),
            *imports.rows(rounds=rounds),
        ]
    )


if __name__ == "__main__":
    main()
