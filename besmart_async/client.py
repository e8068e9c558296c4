"""`BesmartClient`: composition and lifetimes only."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NoReturn, Self

import attrs

from besmart_async.batching.read.events import ReadHook
from besmart_async.batching.read.reader import Reader
from besmart_async.batching.write.dead_letters import OnReject
from besmart_async.batching.write.sender import WriterHook
from besmart_async.batching.write.writer import Writer
from besmart_async.config import (
    DEFAULT_BASE_URL,
    MAX_ANSWER_BYTES,
    MAX_CONNECTIONS,
    BatchPolicy,
    ReadPolicy,
    RetryPolicy,
    Timeouts,
)
from besmart_async.errors import BesmartConfigError, BesmartError
from besmart_async.logs import set_up_logging
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
from besmart_async.resources.signals import bulk_reader, bulk_write
from besmart_async.resources.users import login_operation, refresh_operation
from besmart_async.transport import AnyTransport, Credentials, Hook, Transport, TransportSettings
from besmart_async.wire.dialect import Dialect, DialectName, dialect_named
from besmart_async.wire.operation import Operation

set_up_logging()


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
            allow_insecure_http: allow plain http to other machines, which shows the credentials to the network.
            dialect: which requests to send: `"documented"` those of the API document 0.1.5, `"live"` those that public
                material shows of the service of today. Answers of both are understood in either. An operation that
                the dialect does not have raises `UnsupportedOperationError` and sends nothing.

        Raises:
            BesmartConfigError: no usable credentials, an address the client may not use, or another bad setting.
        """
        credentials = Credentials(api_key, login, password, token)
        del api_key, login, password, token  # a traceback of what follows shows local variables
        spoken = dialect_named(dialect)
        settings = TransportSettings(
            base_url=base_url,
            credentials=credentials,
            timeouts=Timeouts.of(timeout),
            retry=retry,
            http=transport,
            hooks=hooks,
            max_connections=max_connections,
            max_answer_bytes=max_answer_bytes,
            proxy=proxy,
            allow_insecure_http=allow_insecure_http,
        )
        del proxy  # which may hold a password
        self._transport = Transport(settings, _login(credentials, spoken), refresh_operation(spoken))
        self._dialect = spoken
        self._base_url = base_url.strip()
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
        allow_insecure_http: bool = False,
        dialect: DialectName | None = None,
    ) -> Self:
        """Make a client from BESMART_API_KEY, BESMART_LOGIN, BESMART_PASSWORD, BESMART_TOKEN and BESMART_BASE_URL.

        BESMART_DIALECT (`documented` or `live`) sets the dialect.

        Args:
            environ: where to look instead of `os.environ`.
            timeout: as in `BesmartClient`, like the arguments after it.
            retry: as above.
            transport: as above.
            hooks: as above.
            max_connections: as above.
            max_answer_bytes: as above.
            proxy: as above.
            allow_insecure_http: as above.
            dialect: as above, instead of BESMART_DIALECT.

        Raises:
            BesmartConfigError: the dialect is unknown, or neither a token nor a login with its password is set.
        """
        given = _from_env(os.environ if environ is None else environ)
        del environ  # a traceback of what follows shows local variables
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

        return Writer(put, policy, journal=journal, on_reject=on_reject, hooks=hooks)

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

    async def aclose(self) -> None:
        """Close all connections. A second time does nothing."""
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
    return _Environment(base_url or DEFAULT_BASE_URL, dialect, api_key, login, password, token)


def _login(credentials: Credentials, dialect: Dialect) -> Operation[Token] | None:
    if credentials.login is None or credentials.password is None:
        return None
    return login_operation(credentials.login, credentials.password, dialect)
