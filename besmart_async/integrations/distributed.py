"""Reading many signals from dask workers (extra `dask`)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from besmart_async.client import BesmartClient
from besmart_async.errors import InvalidInputError
from besmart_async.integrations.dataframes import to_pandas
from besmart_async.models.keys import SignalKey
from besmart_async.models.queries import SignalQuery
from besmart_async.models.series import SignalData

try:
    import pandas as pd
    from dask.delayed import Delayed, delayed
except ModuleNotFoundError as error:
    hint = "dask or pandas is missing: pip install 'besmart-async[dask,pandas]'"
    raise ModuleNotFoundError(hint, name=error.name) from error


def read_partitions(
    queries: Iterable[SignalQuery],
    make_client: Callable[[], BesmartClient] = BesmartClient.from_env,
    *,
    queries_per_partition: int = 200,
) -> list[Delayed]:
    """Return one dask task per part of the queries; each reads its part and yields a long pandas frame of `to_pandas`.

    Every task makes a client where it runs, logs in, and closes it. Several tasks at a time are several clients: what
    limits each of them does not limit them together. Nothing is cached: a task that dask runs again reads again.
    `dask.dataframe.from_delayed(read_partitions(...), meta=to_pandas([]))` makes one data frame of readings that are
    all doubles.

    Args:
        queries: what to read; the same signal may be asked for several times, say for several months.
        make_client: must be picklable, and should take credentials from the worker's environment, as the default does:
            what it holds itself becomes part of the task graph, secrets included.
        queries_per_partition: queries of one task; 200 is one bulk read.

    Raises:
        InvalidInputError: an item that is not a query, or fewer than one per partition.
    """
    asked = list(queries)
    for number, query in enumerate(asked):
        if not isinstance(query, SignalQuery):
            raise InvalidInputError(f"queries[{number}]", query, "give a SignalQuery")
    if queries_per_partition < 1:
        raise InvalidInputError("queries_per_partition", queries_per_partition, "give at least 1")
    starts = range(0, len(asked), queries_per_partition)
    # Not pure: reading again may well bring something new, so equal tasks must not share a result.
    read = delayed(_read_partition, pure=False)
    return [read(tuple(asked[start : start + queries_per_partition]), make_client) for start in starts]


def _read_partition(queries: Sequence[SignalQuery], make_client: Callable[[], BesmartClient]) -> pd.DataFrame:
    # A thread of its own: dask may run a task where an event loop runs already, such as in a notebook.
    with ThreadPoolExecutor(1, "besmart-read") as thread:
        return to_pandas(thread.submit(lambda: asyncio.run(_read(queries, make_client))).result())


async def _read(queries: Sequence[SignalQuery], make_client: Callable[[], BesmartClient]) -> list[SignalData]:
    found: list[SignalData] = []
    async with make_client() as client:
        for part in _each_signal_once(queries):
            found += await client.signals.read_bulk(part)
    return found


def _each_signal_once(queries: Iterable[SignalQuery]) -> Iterator[list[SignalQuery]]:
    """Split queries so that no part asks for a signal twice, which one bulk read cannot."""
    by_key = defaultdict[SignalKey, list[SignalQuery]](list)
    for query in queries:
        by_key[query.key].append(query)
    for turn in range(max(map(len, by_key.values()), default=0)):
        yield [asked[turn] for asked in by_key.values() if turn < len(asked)]
