"""Client, reader and writer of an aiohttp.web application (extra `aiohttp`), and HTTP answers to their errors.

```python
app = web.Application(middlewares=[besmart_errors])
app.cleanup_ctx.append(besmart_context())

async def handler(request: web.Request) -> web.Response:
    reader = request.config_dict[BESMART_READER]  # `config_dict` also finds the reader of a parent application
```
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from besmart_async.batching.read.reader import Reader
from besmart_async.batching.write.writer import Writer
from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartError
from besmart_async.integrations.answers import Answer
from besmart_async.integrations.shutdown import drained

try:
    from aiohttp.web import AppKey, Application, Request, StreamResponse, json_response, middleware
except ModuleNotFoundError as error:
    hint = "aiohttp is missing: pip install 'besmart-async[aiohttp]'"
    raise ModuleNotFoundError(hint, name=error.name) from error

BESMART_CLIENT = AppKey("besmart_client", BesmartClient)
"""Where an application keeps its client."""
BESMART_READER = AppKey("besmart_reader", Reader)
"""Where an application keeps its reader, whose reads share bulk calls."""
BESMART_WRITER = AppKey("besmart_writer", Writer)
"""Where an application keeps its writer, whose writes share bulk calls."""


def _reader_of(client: BesmartClient) -> Reader:
    return client.reader()


def _writer_of(client: BesmartClient) -> Writer:
    return client.writer()


def besmart_context(
    make_client: Callable[[], BesmartClient] = BesmartClient.from_env,
    *,
    make_reader: Callable[[BesmartClient], Reader] = _reader_of,
    make_writer: Callable[[BesmartClient], Writer] = _writer_of,
) -> Callable[[Application], AsyncIterator[None]]:
    """Return a context for `app.cleanup_ctx`: client, reader and writer of the application.

    They are made when it starts. At clean-up the writer delivers what it accepted, for `BatchPolicy.close_timeout_s` at
    most: keep that below what the host allows. What then stays in a journal is logged as a warning; readings that are
    lost are an `UndeliveredError`.

    Args:
        make_client: called once per start of an application, in its event loop.
        make_reader: makes the reader, such as `lambda client: client.reader(ReadPolicy(...))`.
        make_writer: makes the writer, such as `lambda client: client.writer(journal="...", on_reject=...)`.
    """

    async def context(app: Application) -> AsyncIterator[None]:
        async with (
            make_client() as client,
            make_reader(client) as reader,
            drained(make_writer(client)) as writer,
        ):
            app[BESMART_CLIENT], app[BESMART_READER], app[BESMART_WRITER] = client, reader, writer
            yield

    return context


@middleware
async def besmart_errors(request: Request, handler: Callable[[Request], Awaitable[StreamResponse]]) -> StreamResponse:
    """Answer errors of this package as `Answer` says, and log them: as errors where no caller is at fault."""
    try:
        return await handler(request)
    except BesmartError as error:
        answer = Answer.to(error)
        answer.log(error)
        return json_response(answer.body, status=answer.status, headers=answer.headers)
