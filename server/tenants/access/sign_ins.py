"""Page sessions: signing in with a token opens a session, which a cookie names.

A session is random and stored only as SHA-256. It ends after `SESSION_S`, at sign-out, and with its token: when the
token is revoked or expires, or its tenant is removed. It also ends when the address of its token changes, but for
that of the browser in which it is changed.

A link opens a session without the token, once. It is as secret as the token, but ends after `LINK_S`.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from engine.sign_ins import SignInStore
from engine.tokens import Token
from ground.moments import CLOCKS_S, rfc3339
from server.tenants.access.tokens import secret_hash

LINK_S = 600
"""The seconds for which a link in a mail works."""

SESSION_S = 12 * 3600
"""A working day; then the page asks for the token again."""


class SignIns:
    """The sessions in `store`. Every method raises TryAgain if it cannot be read or written now.

    A session that ends much later than one opened now was opened before the clock stepped back. It counts as ended,
    or the step would extend it. One that ends a little later is of a server whose clock is ahead, or of a request
    that came a moment later.
    """

    def __init__(self, store: SignInStore) -> None:
        self._store = store

    async def open(self, token: Token, now: datetime) -> str | None:
        """Open a session for the bearer of `token`, and delete ended ones. Return the text of the cookie.

        Return None if the token was revoked meanwhile.
        """
        text = secrets.token_urlsafe(32)
        opened = await self._store.open(secret_hash(text), token, **_session(now))
        return text if opened else None

    async def find(self, text: str, now: datetime) -> Token | None:
        """Return the token of the session `text`; None if the session has ended."""
        token = await self._store.find(secret_hash(text), now=rfc3339(now), latest=_after(now, SESSION_S + CLOCKS_S))
        return token if token and token.is_valid(now) else None

    async def make_link(self, token: Token, now: datetime) -> str | None:
        """Return the secret of a new link for `token`; ended links go.

        None if the token was revoked or got another address meanwhile.
        """
        text = secrets.token_urlsafe(32)
        made = await self._store.add_link(
            secret_hash(text),
            token,
            now=rfc3339(now),
            ends=_after(now, LINK_S),
            latest=_after(now, LINK_S + CLOCKS_S),
        )
        return text if made else None

    async def find_link(self, text: str, now: datetime) -> Token | None:
        """Return the token of the link `text`; None if it was used or has ended, or the token is not valid."""
        token = await self._store.find_link(
            secret_hash(text), now=rfc3339(now), latest=_after(now, LINK_S + CLOCKS_S)
        )
        return token if token and token.is_valid(now) else None

    async def open_by_link(self, link: str, now: datetime) -> str | None:
        """Use up the text of a link, and open a session of its token: both or neither. Return the text of the cookie.

        Return None if `find_link` finds nothing: one of several callers at most gets a session.
        """
        text = secrets.token_urlsafe(32)
        token = await self._store.open_by_link(
            secret_hash(link), secret_hash(text), link_latest=_after(now, LINK_S + CLOCKS_S), **_session(now)
        )
        return text if token and token.is_valid(now) else None

    async def close(self, text: str) -> None:
        """End the session if it exists."""
        await self._store.close(secret_hash(text))


def _session(now: datetime) -> dict[str, str]:
    """Return the times of a session that is opened now."""
    ends, latest = _after(now, SESSION_S), _after(now, SESSION_S + CLOCKS_S)
    return {"now": rfc3339(now), "ends": ends, "latest": latest}


def _after(now: datetime, seconds: int) -> str:
    return rfc3339(now + timedelta(seconds=seconds))
