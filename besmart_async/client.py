"""`BesmartClient`: composition and lifetimes only."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import NoReturn, Self
from weakref import WeakSet

import attrs

from besmart_async.batching.read.events import ReadHook
from besmart_async.batching.read.reader import Reader
from besmart_async.batching.write.dead_letters import OnReject
from besmart_async.batching.write.sender import WriterHook
from besmart_async.batching.write.writer import Writer
from besmart_async.config import (
    ALLOW_INSECURE_HTTP,
    DEFAULT_BASE_URL,
    MAX_ANSWER_BYTES,
    MAX_CONNECTIONS,
    BatchPolicy,
    ReadPolicy,
    RetryPolicy,
    Timeouts,
    insecure_http_allowed,
)
from besmart_async.errors import BesmartConfigError, BesmartError, Response
from besmart_async.logs import set_up_logging
from besmart_async.models.health import Health
from besmart_async.models.tokens import Token
from besmart_async.resources import (
    MeterTypes,
    Probes,
    Sensors,
    SensorStates,
    Signals,
    SignalStates,
    Tasks,
    Users,
    Weather,
)
from besmart_async.resources.raw import raw_operation
from besmart_async.resources.signals import bulk_reader, bulk_write
from besmart_async.resources.users import login_operation, refresh_operation
from besmart_async.transport import AnyTransport, Credentials, Hook, Transport, TransportSettings
from besmart_async.transport.auth import LoginCall
from besmart_async.transport.settings import AskedCredentials, checked_headers
from besmart_async.wire.dialect import Dialect, DialectName, dialect_named
from besmart_async.wire.operation import Operation

set_up_logging()

CredentialsSource = Callable[[], Credentials | Awaitable[Credentials]]
"""Returns what to log in with now."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_NO_QUERY: Mapping[str, str | int | float] = MappingProxyType({})


class BesmartClient:
    """A client of the besmart.energy REST API. Make one per application and event loop, and close it.

    Nothing is sent before the first call; the first call that needs a token logs in.

    Messages go to the logger `besmart_async`; the environment variable `BESMART_LOG` (debug, info, warning, error)
    prints them to stderr, see `besmart_async.logs`.

    Attributes:
        users: session tokens.
        sensors: sensors and their types.
        meter_types: meter types of a client.
        signals: signal types, and readings one call at a time.
        sensor_states: which meter was mounted when.
        signal_states: register values at a state's ends.
        tasks: computation graphs.
        weather: weather of external providers (dialect `live` only).
        probes: which dialect the service speaks, and what else it says about itself.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        login: str | None = None,
        password: str | None = None,
        token: str | None = None,
        base_url: str = DEFAULT_BASE_URL,
        timeout: float | Timeouts = Timeouts(),  # noqa: B008 - a frozen value
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        transport: AnyTransport | None = None,
        hooks: Sequence[Hook] = (),
        max_connections: int = MAX_CONNECTIONS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        credentials: CredentialsSource | None = None,
        allow_insecure_http: bool = False,
        dialect: DialectName = "documented",
    ) -> None:
        """Compose the client.

        Args:
            api_key: the workspace's key, sent as `X-Auth` with logins only.
            login: login name.
            password: password.
            token: a token to use until it fails; after that the client logs in, if it can.
            base_url: the service's address with its base path.
            timeout: seconds for one attempt, from connecting to the last byte of the answer, or `Timeouts`.
            retry: bounds a call as a whole.
            transport: any httpx transport, such as `aiohttp_transport()`; by default httpx over several small pools.
            hooks: called with every request, answer, failure, retry and token renewal; see `besmart_async.Event`.
            max_connections: connections at a time. Further calls wait in line, as long as `retry.total_timeout_s` lets
                them.
            max_answer_bytes: the largest answer that is read, after decompression (128 MiB); a larger one is an
                `AnswerTooLargeError`. Of an error's body 64 KiB are kept.
            proxy: an HTTP proxy's address; by default what HTTPS_PROXY and NO_PROXY say. Not together with a transport
                of your own, which has its own setting for it.
            ssl_context: the TLS context, for a private certificate authority or a client certificate. The transport of
                `aiohttp_transport` takes it too; another one has its own setting for it.
            headers: sent with every request, such as what a gateway wants, or a `User-Agent`. They are never shown.
            credentials: called before each login, instead of api_key, login and password: for secrets that change. It
                may be asynchronous.
            allow_insecure_http: allow plain http to other machines, which shows the credentials to the network.
            dialect: which requests to send: `"documented"` those of the API document 0.1.5, `"live"` those that public
                material shows of the service of today. Answers of both are understood in either. An operation that
                the dialect does not have raises `UnsupportedOperationError` and sends nothing.

        Raises:
            BesmartConfigError: no usable credentials, an address the client may not use, or another bad setting.
        """
        if credentials is not None and not (api_key is login is password is None):
            raise BesmartConfigError("credentials: give either credentials, or api_key, login and password")
        fixed = Credentials(api_key, login, password, token)
        del api_key, login, password, token  # a traceback of what follows shows local variables
        spoken = dialect_named(dialect)
        settings = TransportSettings(
            base_url=base_url,
            credentials=fixed if credentials is None else AskedCredentials(token=fixed.token),
            timeouts=Timeouts.of(timeout),
            retry=retry,
            http=transport,
            hooks=hooks,
            max_connections=max_connections,
            max_answer_bytes=max_answer_bytes,
            proxy=proxy,
            ssl_context=ssl_context,
            headers=headers,
            allow_insecure_http=allow_insecure_http,
        )
        del proxy, headers  # which may hold secrets
        fresh_login = None if credentials is None else _FreshLogin(credentials, spoken)
        transport_ = Transport(settings, _login(fixed, spoken), refresh_operation(spoken), fresh_login=fresh_login)
        self._owns_transport = True
        self._writers = WeakSet[Writer]()
        self._compose(transport_, spoken)
        self._base_url = base_url.strip()

    def _compose(self, transport: Transport, spoken: Dialect) -> None:
        self._transport = transport
        self._dialect = spoken
        self.users = Users(self._transport)
        self.sensors = Sensors(self._transport, spoken)
        self.meter_types = MeterTypes(self._transport, spoken)
        self.signals = Signals(self._transport, spoken)
        self.sensor_states = SensorStates(self._transport, spoken)
        self.signal_states = SignalStates(self._transport, spoken)
        self.tasks = Tasks(self._transport, spoken)
        self.weather = Weather(self._transport, spoken)
        self.probes = Probes(self._transport, spoken)

    @property
    def dialect(self) -> DialectName:
        """The dialect of its requests."""
        return self._dialect.name

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str] | None = None,
        *,
        timeout: float | Timeouts = Timeouts(),  # noqa: B008 - a frozen value
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - a frozen value
        transport: AnyTransport | None = None,
        hooks: Sequence[Hook] = (),
        max_connections: int = MAX_CONNECTIONS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
        allow_insecure_http: bool | None = None,
        dialect: DialectName | None = None,
    ) -> Self:
        """Make a client from BESMART_API_KEY, BESMART_LOGIN, BESMART_PASSWORD, BESMART_TOKEN and BESMART_BASE_URL.

        BESMART_DIALECT (`documented` or `live`) sets the dialect. BESMART_ALLOW_INSECURE_HTTP=1 allows plain http to
        other machines.

        Args:
            environ: where to look instead of `os.environ`.
            timeout: as in `BesmartClient`, like the arguments after it.
            retry: as above.
            transport: as above.
            hooks: as above.
            max_connections: as above.
            max_answer_bytes: as above.
            proxy: as above.
            ssl_context: as above.
            headers: as above.
            allow_insecure_http: as above, instead of BESMART_ALLOW_INSECURE_HTTP.
            dialect: as above, instead of BESMART_DIALECT.

        Raises:
            BesmartConfigError: a variable has an unknown value, or neither a token nor a login with its password is
                set.
        """
        given = _from_env(os.environ if environ is None else environ)
        del environ  # a traceback of what follows shows local variables
        if allow_insecure_http is None:
            allow_insecure_http = insecure_http_allowed({ALLOW_INSECURE_HTTP: given.insecure})
        if not given.can_log_in():
            raise BesmartConfigError(
                "set BESMART_LOGIN and BESMART_PASSWORD (and BESMART_API_KEY), or BESMART_TOKEN, in the environment"
            )
        return cls(
            api_key=given.api_key,
            login=given.login,
            password=given.password,
            token=given.token,
            base_url=given.base_url,
            timeout=timeout,
            retry=retry,
            transport=transport,
            hooks=hooks,
            max_connections=max_connections,
            max_answer_bytes=max_answer_bytes,
            proxy=proxy,
            ssl_context=ssl_context,
            headers=headers,
            allow_insecure_http=allow_insecure_http,
            dialect=given.dialect if dialect is None else dialect,
        )

    def writer(
        self,
        policy: BatchPolicy = BatchPolicy(),  # noqa: B008 - a frozen value
        *,
        journal: str | os.PathLike[str] | None = None,
        on_reject: OnReject | None = None,
        hooks: Sequence[WriterHook] = (),
    ) -> Writer:
        """Return a writer, which gathers single writes into bulk writes. Cheap; use it as `async with client.writer()`.

        One serves a whole application; several may live side by side.

        Args:
            policy: limits and durations.
            journal: a file that keeps what is accepted until its outcome is known: `write` returns when it is on disk,
                and after a crash the next writer with the same journal delivers what is in it. One writer at a time.
            on_reject: called with each `Rejection` of readings the service refused; may be async. Without it they are
                raised, with the data, by `flush` or at the end.
            hooks: called with every event of the batching (sent, acknowledged, split, retried, rejected, paused ...).
        """

        async def put(body: bytes, /) -> None:
            await self._transport.send(bulk_write(body, self._dialect), attempts=1)  # the writer sees to retries

        writer = Writer(put, policy, journal=journal, on_reject=on_reject, hooks=hooks)
        self._writers.add(writer)
        return writer

    def reader(
        self,
        policy: ReadPolicy = ReadPolicy(),  # noqa: B008 - a frozen value
        *,
        hooks: Sequence[ReadHook] = (),
    ) -> Reader:
        """Return a reader, which gathers concurrent reads into bulk reads. Cheap; use it with `async with`.

        One serves a whole application; several may live side by side.

        Args:
            policy: limits and durations.
            hooks: called with every event of the batching (sent, answered, split, failed), in the event loop: they must
                not block. An exception of a hook is logged and goes no further.
        """
        return Reader(bulk_reader(self._transport, self._dialect), policy, hooks=hooks, check=self._dialect.check_query)

    def with_options(
        self,
        *,
        timeout: float | Timeouts | None = None,
        retry: RetryPolicy | None = None,
        headers: Mapping[str, str] = _NO_HEADERS,
    ) -> Self:
        """Return a client with other options that shares connections, token and life with this one.

        Cheap: `await client.with_options(timeout=300).tasks.run_graph(...)`. It needs no closing; closing it does
        nothing, and it ends with the client it came from.

        Args:
            timeout: seconds for one attempt, or `Timeouts`; None: as before.
            retry: bounds a call as a whole; None: as before.
            headers: further headers, or other values for those it has.

        Raises:
            BesmartConfigError: a bad setting.
        """
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise BesmartConfigError(f"retry={type(retry).__name__}: give a RetryPolicy(...)")
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        timeouts = None if timeout is None else Timeouts.of(timeout)
        other._owns_transport = False
        other._compose(self._transport.with_options(timeouts, retry, checked_headers(headers)), self._dialect)
        return other

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int | float] = _NO_QUERY,
        body: bytes | None = None,
        content_type: str = "application/json",
        replay: bool = False,
    ) -> Response:
        """Send any request with this client's token, retries and limits, and return the raw answer.

        For operations that the client does not have, and for the exact bytes of an answer. Cancelling gives the
        connection up; what was sent by then may still be applied.

        Args:
            method: HTTP method.
            path: relative to the base URL, such as `"/sensors/types"`.
            query: parameters of the query, in their order.
            body: the body, already encoded.
            content_type: media type of the body.
            replay: whether sending it twice does no harm; only then is it sent again after a lost answer.

        Returns:
            The answer with a 2xx status: status, headers (names in lower case) and content.

        Raises:
            InvalidInputError: a method or path that cannot be sent.
            ApiError: the service answered with an error.
            TransportError: no answer came.
        """
        operation = raw_operation(method, path, query=query, body=body, content_type=content_type, replay=replay)
        return await self._transport.send(operation)

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that the client belongs to; None before its first use."""
        return self._transport.loop

    def health(self) -> Health:
        """Return what is known of the service and of this client's writers, at once and without asking the service."""
        writers = [writer for writer in self._writers if writer.is_open]
        return Health(transport=self._transport.health(), writers=tuple(writer.report for writer in writers))

    async def aclose(self) -> None:
        """Close all connections. A second time does nothing."""
        if self._owns_transport:
            await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise BesmartError(
            "a BesmartClient cannot be pickled or copied: it holds connections and credentials; "
            "make one in each process"
        )

    def __repr__(self) -> str:
        return f"<BesmartClient {getattr(self, '_base_url', '(its settings were refused)')}>"


@attrs.frozen
class _Environment:
    base_url: str
    dialect: DialectName
    insecure: str
    api_key: str | None = attrs.field(repr=False)
    login: str | None = attrs.field(repr=False)
    password: str | None = attrs.field(repr=False)
    token: str | None = attrs.field(repr=False)

    def can_log_in(self) -> bool:
        return self.token is not None or (self.login is not None and self.password is not None)


def _from_env(env: Mapping[str, str]) -> _Environment:
    api_key, login, token, base_url = (
        env.get(f"BESMART_{name}", "").strip() or None for name in ("API_KEY", "LOGIN", "TOKEN", "BASE_URL")
    )
    password = env.get("BESMART_PASSWORD") or None
    dialect = dialect_named(env.get("BESMART_DIALECT", "").strip() or "documented").name
    insecure = env.get(ALLOW_INSECURE_HTTP, "")
    return _Environment(base_url or DEFAULT_BASE_URL, dialect, insecure, api_key, login, password, token)


class _FreshLogin:
    """Asks for the credentials before each login."""

    def __init__(self, source: CredentialsSource, dialect: Dialect) -> None:
        if not callable(source):
            raise BesmartConfigError(f"credentials={type(source).__name__}: give a function that returns Credentials")
        self._source = source
        self._dialect = dialect

    async def __call__(self) -> LoginCall:
        """Return the login to send now.

        Raises:
            BesmartConfigError: what was returned cannot log in.
        """
        answer = self._source()
        found = answer if isinstance(answer, Credentials) else await _awaited(answer)
        if not isinstance(found, Credentials):
            raise BesmartConfigError(f"credentials() returned {type(found).__name__}: return Credentials(...)")
        found.check()
        operation = _login(found, self._dialect)
        if operation is None:
            raise BesmartConfigError("credentials() returned no login and password")
        return LoginCall(operation, found)


async def _awaited(answer: Credentials | Awaitable[Credentials]) -> object:
    return await answer if isinstance(answer, Awaitable) else answer


def _login(credentials: Credentials, dialect: Dialect) -> Operation[Token] | None:
    if credentials.login is None or credentials.password is None:
        return None
    return login_operation(credentials.login, credentials.password, dialect)
