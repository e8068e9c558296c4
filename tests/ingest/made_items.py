"""Items as pages have them, made of a few columns."""

from collections.abc import Sequence

import numpy as np

from besmart_async import SignalData, SignalKey
from besmart_async.ingest.mapping.signals import Target
from besmart_async.ingest.send.items import Items


def items(*data: SignalData, rows: Sequence[Sequence[int]] | None = None) -> Items:
    """Make items of these columns, one each; their rows are counted from 2 unless told."""
    numbers: dict[SignalKey, int] = {}
    targets = [Target(f"M{one.key.sensor_mid}", one.key, numbers.setdefault(one.key, len(numbers))) for one in data]
    units = list(dict.fromkeys(one.unit for one in data))
    sizes = np.array([len(one) for one in data])
    each = np.concatenate([np.broadcast_to(np.asarray(one.origin, np.int64), len(one)) for one in data])
    return Items(
        "f",
        targets,
        units,
        np.arange(len(data)),
        np.array([units.index(one.unit) for one in data]),
        np.cumsum(sizes) - sizes,
        np.concatenate(rows) if rows else np.arange(2, 2 + sizes.sum()),
        np.concatenate([one.time for one in data]),
        np.concatenate([one.value for one in data]),
        each,
    )
