from __future__ import annotations

import asyncio


def pytest_configure() -> None:
    # looptime's plugin asks for the current event loop before every test, and asyncio makes one (which nobody closes)
    # if none was ever set: that alone fails the first synchronous test under `filterwarnings = error`.
    asyncio.set_event_loop(None)
