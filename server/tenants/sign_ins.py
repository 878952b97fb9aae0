"""Who is signed in on the page: a token, shown once, becomes a session that a cookie names.

A session is random, kept as SHA-256 only, and ends at its time, at sign-out, and with its token: when that is revoked
or has expired, or its tenant is removed.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from engine.sign_ins import SignInStore
from engine.tokens import Token
from ground.moments import rfc3339
from server.tenants.tokens import secret_hash

SESSION_S = 12 * 3600
"""A working day; then the token is asked for again."""


class SignIns:
    """The sessions that are kept in `store`. Everything raises TryAgain when that cannot be read or written now.

    A session that ends later than one that is opened now was opened before the clock stepped back: it is over, for it
    must not last for the days of the step.
    """

    def __init__(self, store: SignInStore) -> None:
        self._store = store

    async def open(self, token: Token, now: datetime) -> str:
        """Sign the bearer of `token` in; the text for the cookie. Sessions that are over are forgotten."""
        text = secrets.token_urlsafe(32)
        await self._store.open(secret_hash(text), token, now=rfc3339(now), latest=_end_of_one_opened(now))
        return text

    async def find(self, text: str, now: datetime) -> Token | None:
        """The token behind the session `text`; None if it is over."""
        token = await self._store.find(secret_hash(text), now=rfc3339(now), latest=_end_of_one_opened(now))
        return token if token and token.lives(now) else None

    async def close(self, text: str) -> None:
        """End the session, if there is one."""
        await self._store.close(secret_hash(text))


def _end_of_one_opened(now: datetime) -> str:
    return rfc3339(now + timedelta(seconds=SESSION_S))
