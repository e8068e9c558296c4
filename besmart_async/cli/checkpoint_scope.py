"""Whose checkpoint it is: rows that one account has sent are not done for another one.

An account is known by what identifies it at the service: the user id that a login answers, and the API key of the
workspace; if there is only a token, by that token. Of a secret only a fingerprint is used: a slow hash (scrypt) with
the checkpoint's own random salt, of which only a digest is stored. A new token is another account, unless the user
names the account.
"""

from __future__ import annotations

import hashlib

from besmart_async.cli.credentials import account_in_use
from besmart_async.client import BesmartClient


async def identity_of(client: BesmartClient, salt: bytes, name: str | None) -> tuple[str, ...]:
    """Return what tells an account from all others at the same service; it holds no secret.

    Args:
        client: a client of the account in use. It logs in, unless a token is given.
        salt: the checkpoint's salt.
        name: the name that the user gave the account; it says everything.

    Raises:
        BesmartError: the login failed.
        UsageError: there is no account.
    """
    if name is not None:
        return ("name", name)
    account, _ = account_in_use()
    if account.token:
        return ("token", fingerprint(account.token, salt), (account.login or "").strip())
    token = await client.users.login()
    user = (account.login or "").strip() if token.user_id is None else str(token.user_id)
    return ("user", user, fingerprint(account.api_key, salt) if account.api_key else "")


def fingerprint(secret: str, salt: bytes) -> str:
    """Return a hash that tells whether two secrets are the same; guessing the secret from it takes 50 ms a guess."""
    return hashlib.scrypt(secret.strip().encode(), salt=salt, n=1 << 14, r=8, p=1, dklen=16).hex()
