"""`client.users`: session tokens. Source: section Users of the API document."""

from __future__ import annotations

from typing import Protocol

import orjson

from besmart_async.models.tokens import Token
from besmart_async.wire import codec
from besmart_async.wire.dialect import DOCUMENTED, Dialect
from besmart_async.wire.operation import Operation


class TokenKeeper(Protocol):
    """What keeps the client's token; the transport does."""

    async def login(self) -> Token:
        """Log in and keep the new token."""
        ...

    async def refresh(self) -> Token:
        """Refresh the token and keep the new one."""
        ...


def login_operation(login: str, password: str, dialect: Dialect = DOCUMENTED) -> Operation[Token]:
    """Return `POST /users/token`: plain JSON (the quotes in the document are YAML's), in `documented` as text/plain."""
    return dialect.operation(
        "users.login",
        body=orjson.dumps({"login": login, "password": password}),
        replay=True,
        writes=False,
        decode=codec.token,
    )


def refresh_operation(dialect: Dialect = DOCUMENTED) -> Operation[Token]:
    """Return `GET /users/token`."""
    return dialect.operation("users.refresh", replay=True, writes=False, decode=codec.token)


class Users:
    """Session tokens. The client logs in and refreshes by itself; these methods do so on demand."""

    def __init__(self, tokens: TokenKeeper) -> None:
        self._tokens = tokens

    async def login(self) -> Token:
        """Log in with the client's credentials and use the new token from here on (`POST /users/token`).

        Cancelling leaves the login running; its token is used all the same.

        Raises:
            AuthenticationError: the service refuses the credentials (401), or does not know the login (404).
            BesmartConfigError: the client was made without login and password.
        """
        return await self._tokens.login()

    async def refresh(self) -> Token:
        """Refresh the token and use the one in the answer from here on (`GET /users/token`).

        Cancelling leaves the refresh running; its token is used all the same.

        Raises:
            AuthenticationError: the token is not accepted.
        """
        return await self._tokens.refresh()
