"""Keeps secrets out of what is shown: credentials and tokens are blotted out of the service's own words."""

from __future__ import annotations

from collections import deque

import attrs

from besmart_async.errors import ApiError, DecodeError, Response

_BLOT = "***"
_SHORTEST = 4
"""Shorter credentials would blot out half of every message; they protect nothing anyway."""


class Secrets:
    """The secrets a client knows: its credentials for good, and its latest tokens."""

    def __init__(self, *credentials: str | None) -> None:
        self._credentials = [secret for secret in credentials if secret]
        self._tokens: deque[str] = deque(maxlen=8)

    def add_token(self, token: str) -> None:
        """Remember a token; old ones are forgotten once eight newer ones are known."""
        self._tokens.append(token)

    def hide(self, text: str) -> str:
        """Return `text` without any secret."""
        for secret in (*self._credentials, *self._tokens):
            if len(secret) >= _SHORTEST:
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
            error.response = self._hidden(error.response)

    def _hidden(self, response: Response) -> Response:
        content = response.content
        for secret in (*self._credentials, *self._tokens):
            if len(secret) >= _SHORTEST:
                content = content.replace(secret.encode(), _BLOT.encode())
        headers = {name: self.hide(value) for name, value in response.headers.items()}
        return attrs.evolve(response, headers=headers, content=content)

    def __repr__(self) -> str:
        return "Secrets(***)"
