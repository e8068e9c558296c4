"""Keeps secrets out of what is shown: credentials and tokens are blotted out of the service's own words."""

from __future__ import annotations

from collections import deque
from urllib.parse import quote

import attrs
import orjson

from besmart_async.errors import ApiError, DecodeError, Response

_BLOT = "***"
_SHORTEST = 4
"""Shorter credentials would blot out half of every message; they protect nothing anyway."""


class Secrets:
    """The secrets a client knows: its credentials for good, and its latest tokens."""

    def __init__(self, *credentials: str | None) -> None:
        self._credentials = [form for secret in credentials if secret for form in _forms(secret)]
        self._tokens: deque[frozenset[str]] = deque(maxlen=8)

    def add(self, credential: str) -> None:
        """Remember a credential for good."""
        self._credentials += _forms(credential)

    def add_token(self, token: str) -> None:
        """Remember a token; old ones are forgotten once eight newer ones are known."""
        self._tokens.append(_forms(token))

    def hide(self, text: str) -> str:
        """Return `text` without any secret."""
        for secret in self._longest_first():
            text = text.replace(secret, _BLOT)
        return text

    def hide_in(self, error: ApiError | DecodeError) -> None:
        """Take the secrets out of an error the service's answer led to, and out of the answer it carries."""
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
        for secret in self._longest_first():
            content = content.replace(secret.encode(), _BLOT.encode())
        headers = {name: self.hide(value) for name, value in response.headers.items()}
        if content == response.content and headers == response.headers:
            return response
        return attrs.evolve(response, headers=headers, content=content)

    def _longest_first(self) -> list[str]:
        """Return all secrets so that none is spoiled by a shorter one that it contains."""
        tokens = (form for forms in self._tokens for form in forms)
        return sorted({*self._credentials, *tokens}, key=len, reverse=True)

    def __repr__(self) -> str:
        return "Secrets(***)"


def _forms(secret: str) -> frozenset[str]:
    """Return a secret as it may be sent back: as it is, inside JSON, inside a URL."""
    forms = {secret, orjson.dumps(secret).decode()[1:-1], quote(secret, safe="")}
    return frozenset(form for form in forms if len(form) >= _SHORTEST)
