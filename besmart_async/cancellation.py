"""Waiting for work that may be called off."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def unless(event: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Await `work`, or abandon it when `event` is set; tell whether it was done."""
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        done = task.done()
        task.cancel()
        await asyncio.wait({task})
    if done:
        task.result()
    return done
