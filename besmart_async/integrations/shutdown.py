"""The end of an application that has a writer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from besmart_async.batching.write.writer import Writer
from besmart_async.errors import UndeliveredError
from besmart_async.logs import logger


@asynccontextmanager
async def drained(writer: Writer) -> AsyncGenerator[Writer]:
    """Use a writer until the block ends, then deliver what it accepted, for `BatchPolicy.close_timeout_s` at most.

    What stays in the writer's journal is logged as a warning: the next start delivers it, so it is no failed shutdown.

    Raises:
        UndeliveredError: readings did not arrive, and are in no journal.
    """
    await writer.__aenter__()
    try:
        yield writer
    finally:
        try:
            await writer.aclose()
        except UndeliveredError as error:
            if error.undelivered or error.dropped:
                raise
            logger.warning("the besmart service did not take everything in time: %s", error)
