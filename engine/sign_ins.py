"""Who is signed in on the page, as it is kept: a session belongs to a token, and ends with it."""

from __future__ import annotations

from typing import Protocol

from engine.tokens import Token


class SignInStore(Protocol):
    """The sessions of browsers. Times are RFC 3339 in UTC.

    A session that ends after `latest` counts as over: it was opened before the clock stepped back.
    """

    async def open(self, secret_hash: bytes, token: Token, *, now: str, latest: str) -> None:
        """Keep a session of `token` from `now` to `latest`, and remove those that are over: both, or neither."""

    async def find(self, secret_hash: bytes, *, now: str, latest: str) -> Token | None:
        """The token behind a session, whether or not the token has expired. None if the session is over, or none."""

    async def close(self, secret_hash: bytes) -> None:
        """Remove a session, if there is one."""
