"""Session tokens."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from besmart_async.models.values import JsonValue


@attrs.frozen(kw_only=True)
class Token:
    """The answer of `POST` and `GET /users/token`. The token itself is never shown in a repr.

    Attributes:
        token: the bearer token.
        expiration: when it expires, UTC unix milliseconds; None if the answer has none.
        user_id: the account.
    """

    token: str = attrs.field(repr=False)
    expiration: float | None = None
    user_id: int | None = None
    extra: Mapping[str, JsonValue] = attrs.field(factory=dict[str, JsonValue], repr=False)
