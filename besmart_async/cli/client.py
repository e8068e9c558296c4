"""The client that a command uses: of the account in use, or of the embedded service; calls, and how to stop them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from besmart_async.cli.credentials import UserAccount, account_in_use, dialect_set
from besmart_async.cli.exits import UsageError
from besmart_async.cli.ingest_inputs import Inputs
from besmart_async.client import BesmartClient
from besmart_async.errors import BesmartConfigError, visible
from besmart_async.ingest import KnownMeters, MadeMeters, Meters
from besmart_async.models.keys import SensorKey
from besmart_async.transport import AnyTransport, aiohttp_transport, in_process
from besmart_async.transport.addresses import environment_proxy
from besmart_async.wire.dialect import dialect_named

if TYPE_CHECKING:
    from besmart_async.simulator import Simulator

T = TypeVar("T")
_CLIENT_CID, _METER_TYPE = 1, "meter"
"""The client of the embedded service's sensors, and the name of their type."""


@asynccontextmanager
async def client_for(simulator: Simulator | None = None) -> AsyncGenerator[BesmartClient, None]:
    """Open a client of the account in use, or of an embedded service.

    Raises:
        BesmartConfigError: a part of the credentials is missing.
        UsageError: there is no account, or it belongs to another service than BESMART_BASE_URL.
    """
    if simulator is None:
        async with opened(_account()) as client:
            yield client
        return
    settings = simulator.settings
    async with BesmartClient(
        base_url="http://127.0.0.1/api",
        api_key=settings.api_key,
        login=settings.login,
        password=settings.password,
        transport=in_process(simulator.app),
        dialect=settings.dialect,
    ) as client:
        yield client


@asynccontextmanager
async def bulk_client() -> AsyncGenerator[BesmartClient, None]:
    """Open a client of the account in use for much data: over aiohttp, which takes less time, if it is installed."""
    account = _account()
    async with opened(account, _bulk_transport(account.base_url)) as client:
        yield client


@asynccontextmanager
async def opened(account: UserAccount, transport: AnyTransport | None = None) -> AsyncGenerator[BesmartClient, None]:
    """Open a client of an account.

    Raises:
        BesmartConfigError: a part of the credentials is missing, or the address is not usable.
    """
    async with BesmartClient.from_env(
        account.environ(), transport=transport, allow_insecure_http=account.allow_insecure_http
    ) as client:
        yield client


def _bulk_transport(base_url: str) -> AnyTransport | None:
    if (environment_proxy(base_url) or "").startswith("socks"):
        return None  # only the default transport can use such a proxy
    try:
        return aiohttp_transport()
    except BesmartConfigError:
        return None


def _account() -> UserAccount:
    account, place = account_in_use()
    wanted = os.environ.get("BESMART_BASE_URL", "").strip()
    if wanted and wanted.rstrip("/") != account.base_url.rstrip("/"):
        # The credentials belong to one service: they must not be sent to another one.
        raise UsageError(
            f"BESMART_BASE_URL is {wanted}, but the account in the {place} is of {account.base_url};"
            " run besmart auth login for that service, or unset the variable"
        )
    return account


def embedded() -> type[Simulator]:
    """Return the class of the embedded service.

    Raises:
        UsageError: its extra is not installed.
    """
    try:
        from besmart_async.simulator import Simulator
    except ImportError as error:
        raise UsageError(str(error)) from None  # the text has the pip command
    return Simulator


@contextmanager
def interruptible(*stops: Callable[[], object]) -> Generator[None, None, None]:
    """Call the first of `stops` at the first Ctrl-C or SIGTERM, the second at the second, and so on; then end at once.

    Where the event loop cannot handle signals (Windows), the first Ctrl-C ends the command at once.
    """
    loop = asyncio.get_running_loop()
    handled: list[signal.Signals] = []
    left = list(stops)

    def release() -> None:
        while handled:
            loop.remove_signal_handler(handled.pop())

    def on_signal() -> None:
        stop = left.pop(0)
        if not left:
            release()
        stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, on_signal)
            handled.append(number)
    try:
        yield
    finally:
        release()


def call(ask: Callable[[BesmartClient], Awaitable[T]]) -> T:
    """Open a client, make a call with it, and return the answer.

    Raises:
        BesmartError: the call failed.
        UsageError: there is no account.
    """

    async def run() -> T:
        async with client_for() as client:
            return await ask(client)

    return asyncio.run(run())


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation on the terminal.

    Args:
        question: what is about to be done, as a question.
        yes: the user has confirmed already.

    Raises:
        UsageError: the answer is no, or there is no terminal to ask on.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} There is no terminal to ask on; say --yes to go on")
    sys.stderr.write(f"{visible(question, one_line=True)} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().casefold() not in {"y", "yes"}:
        raise UsageError("nothing was done")


@asynccontextmanager
async def service_for(
    inputs: Inputs, *, simulate: bool, create: bool
) -> AsyncGenerator[tuple[BesmartClient, Meters], None]:
    """Open the service that an ingest sends to, and the lookup of its meters.

    The embedded service learns the meters as they come.

    Raises:
        UsageError: the extra of the embedded service is not installed, or there is no account.
        SourceError: the table of meters cannot be read.
        BesmartConfigError: a part of the credentials is missing.
    """
    if not simulate:
        async with bulk_client() as client:
            yield client, inputs.meters(client.sensors, create=create)
        return
    known = inputs.known()
    simulator = embedded()(seed=False, dialect=dialect_named(dialect_set(os.environ) or "documented").name)
    with closing(simulator):
        async with client_for(simulator) as client:
            yield client, await _made_on_demand(simulator, client, known)


async def _made_on_demand(simulator: Simulator, client: BesmartClient, known: KnownMeters) -> MadeMeters:
    """Return meters that become sensors of the embedded service when a row names them."""
    types = await client.sensors.types()
    type_id = next((kind.id for kind in types if kind.name == _METER_TYPE and kind.id is not None), 1)
    made: set[SensorKey] = set()

    async def create(name: str) -> SensorKey:
        return await client.sensors.create(name=name, sensor_type_id=type_id, client_cid=_CLIENT_CID, sensor_eid=name)

    def provide(name: str, key: SensorKey) -> None:
        if key not in made:
            simulator.add_sensor(key.client_cid, key.sensor_mid, name=name, sensor_type_id=type_id)
            made.add(key)

    return MadeMeters(known, create, provide)
