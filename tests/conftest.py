from __future__ import annotations

import asyncio

from hypothesis import settings

# No deadline for one example: a busy machine is no failure. No database: every run starts alike, and leaves no files.
settings.register_profile("tests", deadline=None, database=None)
settings.load_profile("tests")


def pytest_configure() -> None:
    # looptime's plugin asks for the current event loop before every test, and asyncio makes one (which nobody closes)
    # if none was ever set: that alone fails the first synchronous test under `filterwarnings = error`.
    asyncio.set_event_loop(None)
