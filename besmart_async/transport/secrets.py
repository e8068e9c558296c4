"""Keeps secrets out of what is shown: credentials and tokens are taken out of the service's own words."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections import deque
from urllib.parse import quote, quote_plus

import attrs
import orjson

from besmart_async.errors import ApiError, DecodeError, Response

_BLOT = "***"
_SHORTEST = 4
"""Shorter credentials would blot out half of every message; they protect nothing anyway."""


@attrs.frozen
class CredentialHeader:
    """A header with a credential in it. Where local variables are shown, its value is not."""

    name: str
    value: str = attrs.field(repr=False)


class Secrets:
    """The secrets a client knows: its credentials, and its latest tokens."""

    def __init__(self, *credentials: str | None) -> None:
        self._credentials = {form for secret in credentials if secret for form in _forms(secret)}
        self._tokens: deque[frozenset[str]] = deque(maxlen=8)
        self._longest_first: list[str] = []
        self._sort()

    def add(self, credential: str) -> None:
        """Remember a credential."""
        self._credentials |= _forms(credential)
        self._sort()

    def add_all(self, *credentials: str | None) -> None:
        """Remember credentials that may be new."""
        forms = {form for credential in credentials if credential for form in _forms(credential)}
        if not forms <= self._credentials:
            self._credentials |= forms
            self._sort()

    def add_token(self, token: str) -> None:
        """Remember a token; old ones are forgotten once eight newer ones are known."""
        self._tokens.append(_forms(token))
        self._sort()

    def hide(self, text: str) -> str:
        """Return `text` without any secret."""
        for secret in self._longest_first:
            text = text.replace(secret, _BLOT)
        return text

    def hide_in(self, error: ApiError | DecodeError) -> None:
        """Take the secrets out of an error that an answer led to, and out of the answer it carries."""
        if isinstance(error, ApiError):
            error.message = self.hide(error.message)
            error.args = tuple(self.hide(part) if isinstance(part, str) else part for part in error.args)
        else:
            error.problem = self.hide(error.problem)
            error.args = (error.problem,)
        if error.response is not None:
            error.response = self.hidden(error.response)

    def hidden(self, response: Response) -> Response:
        """Return an answer without any secret; the same one if there is none in it."""
        content = response.content
        for secret in self._longest_first:
            content = content.replace(secret.encode(), _BLOT.encode())
        headers = {name: self.hide(value) for name, value in response.headers.items()}
        if content == response.content and headers == response.headers:
            return response
        return attrs.evolve(response, headers=headers, content=content)

    def _sort(self) -> None:
        """Put the longest first: one may contain another."""
        self._longest_first = sorted(self._credentials.union(*self._tokens), key=len, reverse=True)

    def __repr__(self) -> str:
        return "Secrets(***)"


def basic_auth(user: str, password: str) -> str:
    """Return user and password as `Basic` authentication sends them."""
    return b64encode(f"{user}:{password}".encode()).decode()


def _forms(secret: str) -> frozenset[str]:
    """Return a secret as it may be sent back: as it is, inside JSON, a URL, a page, or in base64."""
    quoted = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    forms = {
        secret,
        *quoted,
        *(re.sub("%..", lambda escape: escape[0].lower(), text) for text in quoted),
        orjson.dumps(secret).decode()[1:-1],
        orjson.dumps(secret).decode()[1:-1].replace("/", "\\/"),
        json.dumps(secret)[1:-1],
        html.escape(secret),
        b64encode(secret.encode()).decode().rstrip("="),
    }
    return frozenset(form for form in forms if len(form) >= _SHORTEST)
