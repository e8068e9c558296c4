"""One client per aiohttp.web application (extra `aiohttp`).

```python
app = web.Application()
app.cleanup_ctx.append(besmart_context())

async def handler(request: web.Request) -> web.Response:
    client = request.config_dict[BESMART_CLIENT]  # `config_dict` also finds the client of a parent application
```
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from besmart_async.client import BesmartClient

try:
    from aiohttp.web import AppKey, Application
except ModuleNotFoundError as error:
    hint = "aiohttp is missing: pip install 'besmart-async[aiohttp]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

BESMART_CLIENT = AppKey("besmart_client", BesmartClient)
"""Where an application keeps its client."""


def besmart_context(
    make_client: Callable[[], BesmartClient] = BesmartClient.from_env,
) -> Callable[[Application], AsyncIterator[None]]:
    """Return a context for `app.cleanup_ctx`: it makes the app's client at start and closes it at clean-up.

    Args:
        make_client: called once per start of an application, in its event loop.
    """

    async def context(app: Application) -> AsyncIterator[None]:
        async with make_client() as client:
            app[BESMART_CLIENT] = client
            yield

    return context
