"""`besmart doctor`: what works between this machine and the service, and what to do about the rest."""

from __future__ import annotations

import asyncio
import os
import platform
import ssl
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

import attrs

from besmart_async.cli.credentials import UserAccount, account_in_use, dialect_set
from besmart_async.cli.exits import Exit, NoCredentialsError, exit_of, explained
from besmart_async.cli.options import Flag
from besmart_async.cli.terminal.output import size_text, stamp, write, write_json
from besmart_async.client import BesmartClient
from besmart_async.config import DEFAULT_BASE_URL, MAX_ANSWER_BYTES, BatchPolicy, RetryPolicy
from besmart_async.errors import BesmartError, RequestTimeoutError, TransportError
from besmart_async.resources import ServiceProbe
from besmart_async.transport.addresses import environment_proxy
from besmart_async.wire.dialect import DialectName, dialect_named

_LATE_S = 10.0
"""Beyond this the clocks differ by more than a slow answer explains."""
_TIMEOUT_S = 15.0
_PACKAGES = ("besmart-async", "httpx", "httpcore", "h11", "anyio", "numpy", "orjson", "msgspec")
_MARKS = {"ok": "ok", "warning": "!!", "failed": "XX", "skipped": "--"}

State = Literal["ok", "warning", "failed", "skipped"]


@attrs.frozen(kw_only=True)
class Diagnosis:
    """One thing that was checked: what was found, and what to do about it."""

    name: str
    state: State
    text: str
    advice: str = ""
    exit: Exit = Exit.OK


@attrs.define
class Examination:
    """What was found so far."""

    findings: list[Diagnosis] = attrs.field(factory=list[Diagnosis])

    def note(self, name: str, state: State, text: str, advice: str = "", exit: Exit = Exit.OK) -> None:  # noqa: A002
        """Add a finding."""
        self.findings.append(Diagnosis(name=name, state=state, text=text, advice=advice, exit=exit))

    @property
    def exit(self) -> Exit:
        """The exit code: that of the first finding that has one."""
        return next((one.exit for one in self.findings if one.exit), Exit.OK)


def doctor(*, json: Flag = False) -> int:
    """Check the connection to the service, its dialect, the account, the clock and the limits.

    It logs in, and apart from that only reads: nothing is written or changed.

    Exit codes: 0 all is well (warnings included), 1 the service speaks another dialect, or does not look like besmart,
    2 wrong settings, 4 there are no credentials or they do not work, 5 the service cannot be reached.

    Parameters
    ----------
    json
        Print JSON.
    """
    examined = Examination()
    account = _account(examined)
    if account is not None:
        asyncio.run(_examined(account, examined))
    examined.note("versions", "ok", ", ".join(f"{name} {number}" for name, number in _versions().items()))
    if json:
        write_json([attrs.asdict(one, filter=attrs.filters.exclude("exit")) for one in examined.findings])
    else:
        _show(examined)
    return examined.exit


def _account(examined: Examination) -> UserAccount | None:
    """The account to examine; one without credentials where there is none, since the service can be examined anyway."""
    try:
        account, place = account_in_use()
    except NoCredentialsError as error:
        examined.note("account", "failed", "no credentials", str(error), exit_of(error))
        base_url = os.environ.get("BESMART_BASE_URL", "").strip() or DEFAULT_BASE_URL
        account = UserAccount(base_url=base_url, dialect=dialect_set(os.environ))
    else:
        examined.note("account", "ok", f"{account.login or 'a token'} at {account.base_url}, from the {place}")
    return account


async def _examined(account: UserAccount, examined: Examination) -> None:
    try:
        wanted = None if account.dialect is None else dialect_named(account.dialect).name
        async with _client(account, wanted or "documented") as client:
            probe = await _reached(client, account, examined)
        if probe is None:
            return
        spoken = _dialect(probe, wanted, examined)
        _clock(probe, examined)
        async with _client(account, spoken) as client:
            await _credentials(client, account, examined)
    except BesmartError as error:
        examined.note("settings", "failed", explained(error), exit=exit_of(error))


def _client(account: UserAccount, dialect: DialectName) -> BesmartClient:
    given = {"token": "none"} if not account.environ().keys() & _CREDENTIALS else {}
    return BesmartClient(
        api_key=account.api_key,
        login=account.login,
        password=account.password,
        token=account.token or given.get("token"),
        base_url=account.base_url,
        timeout=_TIMEOUT_S,
        retry=RetryPolicy(max_attempts=1),
        allow_insecure_http=account.allow_insecure_http,
        dialect=dialect,
    )


_CREDENTIALS = {"BESMART_LOGIN", "BESMART_PASSWORD", "BESMART_TOKEN"}


async def _reached(client: BesmartClient, account: UserAccount, examined: Examination) -> ServiceProbe | None:
    proxy = environment_proxy(account.base_url)
    way = " through the proxy of the environment" if proxy else ""
    try:
        probe = await client.probes.service()
    except TransportError as error:
        examined.note("connection", "failed", explained(error), _network_advice(error), exit_of(error))
        return None
    server = f" ({probe.server})" if probe.server else ""
    examined.note("connection", "ok", f"{account.base_url} answers{way}{server}")
    return probe


def _network_advice(error: TransportError) -> str:
    text = str(error).casefold()
    if "wrong_version_number" in text or "wrong version number" in text:
        return "the other side does not speak TLS: is this the port of plain http, or of a proxy?"
    if any(words in text for words in ("name or service", "name resolution", "nodename", "getaddrinfo")):
        return "the name of the service cannot be resolved: check BESMART_BASE_URL, and the network of this machine"
    if "refused" in text or ("all connection attempts failed" in text and "proxy" not in text):
        return "nothing listens at this address and port: check BESMART_BASE_URL, or start the service"
    if isinstance(error, RequestTimeoutError) or "timed out" in text or "within" in text:
        return "a firewall may drop the packets: check whether this machine needs a proxy (HTTPS_PROXY)"
    if "certificate" in text or "ssl" in text:
        return "check the date of this machine, and whether a proxy in between replaces certificates"
    return ""


def _dialect(probe: ServiceProbe, wanted: DialectName | None, examined: Examination) -> DialectName:
    used = wanted or "documented"
    seen = ", ".join(f"{path} {status}" for path, status in probe.statuses.items())
    if probe.dialect is None:
        advice = f"check BESMART_BASE_URL (it ends in /api for the public service); asked for: {seen}"
        if set(probe.statuses.values()) == {401}:  # a front end that asks for credentials first
            text = "every path asks for credentials: it does not show which dialect it speaks"
            examined.note("dialect", "warning", text, f"the commands use {used}")
        else:
            text = "its paths are those of no dialect, or of both: it does not look like the besmart service"
            examined.note("dialect", "failed", text, advice, Exit.ERROR)
    elif probe.dialect == used:
        examined.note("dialect", "ok", f"{probe.dialect}, as set")
    else:
        examined.note(
            "dialect",
            "failed",
            f"the service speaks {probe.dialect}, the commands use {used}",
            f"set BESMART_DIALECT={probe.dialect}, or run besmart auth login --dialect {probe.dialect}",
            Exit.ERROR,
        )
    return probe.dialect or used


def _clock(probe: ServiceProbe, examined: Examination) -> None:
    ahead = probe.clock_ahead_s
    if ahead is None:
        examined.note("clock", "skipped", "the answers of the service have no Date")
    elif abs(ahead) <= _LATE_S:
        examined.note("clock", "ok", f"within {max(1.0, abs(ahead)):.0f} s of the service's")
    else:
        side = "ahead of" if ahead > 0 else "behind"
        text = f"the clock of this machine is {abs(ahead):.0f} s {side} that of the service"
        advice = "tokens work all the same, but readings that are stamped here have wrong times: set up NTP"
        examined.note("clock", "warning", text, advice)


async def _credentials(client: BesmartClient, account: UserAccount, examined: Examination) -> None:
    if not account.environ().keys() & _CREDENTIALS:
        examined.note("credentials", "skipped", "there are none")
        examined.note("limits", "skipped", "they show after a login")
        return
    try:
        if account.login is not None and account.password is not None:
            token = await client.users.login()
            valid = f", session until {stamp(token.expiration)}" if token.expiration is not None else ""
            examined.note("credentials", "ok", f"logged in{valid}")
        await client.signals.types()
        if account.login is None:
            examined.note("credentials", "ok", "the token is accepted")
    except BesmartError as error:
        examined.note("credentials", "failed", explained(error), exit=exit_of(error))
        examined.note("limits", "skipped", "they show after a login")
        return
    await _limits(client, examined)


async def _limits(client: BesmartClient, examined: Examination) -> None:
    size = BatchPolicy().max_bytes
    answers = f"answers up to {size_text(MAX_ANSWER_BYTES)} are read"
    try:
        passes = await client.probes.takes_body(size)
    except BesmartError as error:
        advice = "the writer finds out the limit by itself; BatchPolicy(max_bytes=...) saves it the time"
        examined.note("limits", "warning", f"a request of {size_text(size)} failed: {explained(error)}", advice)
        return
    if passes:
        examined.note("limits", "ok", f"a request of {size_text(size)}, the writer's largest, gets through; {answers}")
        return
    advice = "the writer splits by itself; BatchPolicy(max_bytes=...) saves it the time to find out"
    examined.note("limits", "warning", f"a request of {size_text(size)} is too large for the service", advice)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "OpenSSL": ssl.OPENSSL_VERSION.removeprefix("OpenSSL ").split(" ")[0], "on": platform.platform()}


def _show(examined: Examination) -> None:
    for one in examined.findings:
        write(f"{_MARKS[one.state]}  {one.name:<12} {one.text}")
        if one.advice and one.advice not in one.text:
            write(f"{'':<17}{one.advice}")
