"""`besmart auth`: the account that the other commands use."""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
import sys
from typing import Literal

import attrs

from besmart_async.cli.client import opened
from besmart_async.cli.credentials import (
    NAMES,
    FileStore,
    KeyringStore,
    UserAccount,
    account_in_use,
    dialect_set,
    stores,
)
from besmart_async.cli.exits import Exit, UsageError, explained
from besmart_async.cli.options import Flag
from besmart_async.cli.terminal.output import error_line, stamp, write, write_json, write_table
from besmart_async.config import insecure_http_allowed
from besmart_async.errors import AuthenticationError, BesmartError
from besmart_async.models.tokens import Token


def login(
    *,
    login: str | None = None,
    base_url: str | None = None,
    stdin: Flag = False,
    from_env: Flag = False,
    store: Literal["auto", "keyring", "file"] = "auto",
    allow_insecure_http: Flag = False,
    check: bool = True,
) -> int:
    """Log in, and save the account for the other commands.

    The password and the API key are asked for without being shown. They are saved in the system's keyring (extra
    keyring), or in a file that only you can read. No secret is taken from the command line.

    Parameters
    ----------
    login
        Login name; asked for if it is not given.
    base_url
        Address of the service, if it is not the public one.
    stdin
        Read everything from standard input, in lines such as BESMART_PASSWORD=….
    from_env
        Take everything from the environment: BESMART_LOGIN, BESMART_PASSWORD, BESMART_API_KEY, or BESMART_TOKEN.
    store
        Where to save the account.
    allow_insecure_http
        Allow plain http to other machines, which shows the credentials to the network; as BESMART_ALLOW_INSECURE_HTTP=1
        does for one command.
    check
        Log in before the account is saved.
    """
    given = _given(stdin=stdin, from_env=from_env, login=login)
    if base_url is not None:
        given = attrs.evolve(given, base_url=base_url)
    if allow_insecure_http or insecure_http_allowed(os.environ):
        given = attrs.evolve(given, allow_insecure_http=True)
    if given.dialect is None:
        given = attrs.evolve(given, dialect=dialect_set(os.environ))
    user = asyncio.run(_checked(given)) if check else None
    place = _place(store)
    for other in stores():
        if other != place:
            other.clear()
    place.save(given)
    write(
        f"logged in as {_name(given, user)} at {given.base_url}" if check else f"kept {_name(given, user)}, unchecked"
    )
    write(f"kept in {place}")
    if UserAccount.of(os.environ) is not None:
        error_line("the environment has credentials too (BESMART_…), and they come first")
    return Exit.OK


def status(*, check: bool = True, json: Flag = False) -> int:
    """Show which account the commands use, where it comes from, and whether it works.

    Exit codes: 0 it works, 2 it cannot be read, 4 it does not work or there is none, 5 service unavailable.

    Parameters
    ----------
    check
        Log in to see whether the account works.
    json
        Print JSON.
    """
    credentials, place = account_in_use()
    works: bool | None = None
    facts: dict[str, object] = {
        "login": credentials.login,
        "service": credentials.base_url,
        "dialect": credentials.dialect or "documented",
        "from": place,
        **{name: getattr(credentials, name) is not None for name in ("password", "api_key", "token")},
    }
    problem: BesmartError | None = None
    if check:
        try:
            token = asyncio.run(_checked(credentials))
            works = True
            facts |= {"user_id": token and token.user_id, "session_until": token and stamp(token.expiration)}
        except AuthenticationError as error:
            problem, works = error, False
        facts["works"] = works
    if json:
        write_json(facts)
    else:
        write_table(("", ""), ((name.replace("_", " "), _shown(value)) for name, value in facts.items()))
    if problem is not None:
        error_line(f"besmart: {explained(problem)}")
    return Exit.AUTHENTICATION if works is False else Exit.OK


def logout() -> int:
    """Delete the saved account."""
    cleared = [str(place) for place in stores() if place.clear()]
    write(f"removed from {' and '.join(cleared)}" if cleared else "there was nothing to forget")
    if UserAccount.of(os.environ) is not None:
        error_line("the environment still has credentials (BESMART_…)")
    return Exit.OK


def _given(*, stdin: bool, from_env: bool, login: str | None) -> UserAccount:
    if stdin and from_env:
        raise UsageError("give --stdin or --from-env, not both")
    if stdin:
        found = UserAccount.of(_lines(sys.stdin.read()))
    elif from_env:
        found = UserAccount.of(os.environ)
    else:
        found = _asked(login)
    if found is not None and login is not None:
        found = attrs.evolve(found, login=login)
    if found is None or (found.token is None and (found.login is None or found.password is None)):
        raise UsageError("give BESMART_LOGIN and BESMART_PASSWORD (and BESMART_API_KEY), or BESMART_TOKEN")
    return found


def _lines(text: str) -> dict[str, str]:
    """Parse NAME=VALUE lines, as `besmart simulate` prints them and .env files have them."""
    found: dict[str, str] = {}
    known = {f"BESMART_{name}" for name in (*NAMES, "BASE_URL", "DIALECT")}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip() in known:
            try:
                found[name.strip()] = "".join(shlex.split(value))
            except ValueError:  # its text would show the value
                raise UsageError(f"standard input, line {number}: a quote is not closed") from None
    return found


def _asked(login: str | None) -> UserAccount:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask on; give --stdin or --from-env")
    try:
        name = login or input("Login: ").strip()
        password = getpass.getpass("Password: ")
        api_key = getpass.getpass("API key (empty for none): ").strip()
    except EOFError:
        raise UsageError("the input ended before everything was asked for; nothing was kept") from None
    base_url = os.environ.get("BESMART_BASE_URL", "").strip()
    given = UserAccount(login=name or None, password=password or None, api_key=api_key or None)
    return attrs.evolve(given, base_url=base_url) if base_url else given


async def _checked(credentials: UserAccount) -> Token | None:
    """Log in, or make a call with the token.

    Raises:
        BesmartError: the credentials do not work.
    """
    async with opened(credentials) as client:
        if credentials.login is not None and credentials.password is not None:
            return await client.users.login()
        await client.signals.types()  # refreshing could replace the token that is saved
        return None


def _place(store: Literal["auto", "keyring", "file"]) -> FileStore | KeyringStore:
    keyring = KeyringStore.of_system() if store != "file" else None
    if store == "keyring" and keyring is None:
        raise UsageError("--store keyring: no usable keyring was found; pip install 'besmart-async[keyring]'")
    return keyring or FileStore.of_user()


def _name(credentials: UserAccount, user: Token | None) -> str:
    name = credentials.login or "the owner of the token"
    return f"{name} (user {user.user_id})" if user is not None and user.user_id is not None else name


def _shown(value: object) -> object:
    return {True: "yes", False: "no", None: "-"}.get(value, value) if isinstance(value, bool | None) else value
