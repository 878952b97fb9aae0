"""Who is signed in on the page: a token, shown once, becomes a session that a cookie names.

A session is random, kept as SHA-256 only, and ends at its time, at sign-out, and with its token: when that is revoked
or has expired, or its tenant is removed.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from engine.sqlite.server.tokens import read_token
from engine.tokens import Token
from ground.moments import rfc3339
from importer.queue.ledger import Ledger
from server.tenants.tokens import secret_hash

SESSION_S = 12 * 3600
"""A working day; then the token is asked for again."""

LIVES = "expires_at > ? AND expires_at <= ?"
"""Whether a session is not over: it ends after now, and no later than one that is opened now.

One that would end later was opened before the clock stepped back: it must not last for the days of the step.
"""


class SignIns:
    """The sessions in headcount.db. Everything raises TryAgain when the disk is full or the database busy.

    Reads through `looking`, if there is one, so that no request waits for a write.
    """

    def __init__(self, ledger: Ledger, *, looking: Ledger | None = None) -> None:
        self._looking = looking or ledger
        self._ledger = ledger

    async def open(self, token: Token, now: datetime) -> str:
        """Sign the bearer of `token` in; the text for the cookie. Sessions that are over are forgotten."""
        text = secrets.token_urlsafe(32)
        until = _end_of_one_opened(now)
        async with self._ledger.transaction():
            await self._ledger.db.execute(f"DELETE FROM sessions WHERE NOT ({LIVES})", (rfc3339(now), until))  # noqa: S608
            await self._ledger.db.execute(
                "INSERT INTO sessions (hash, token_id, created_at, expires_at) VALUES (?, ?, ?, ?)",
                (secret_hash(text), token.id, rfc3339(now), until),
            )
        return text

    async def find(self, text: str, now: datetime) -> Token | None:
        """The token behind the session `text`; None if it is over."""
        rows = await self._looking.read(
            f"SELECT * FROM tokens WHERE id = (SELECT token_id FROM sessions WHERE hash = ? AND {LIVES})",  # noqa: S608
            *(secret_hash(text), rfc3339(now), _end_of_one_opened(now)),
        )
        return next((token for token in map(read_token, rows) if token.lives(now)), None)

    async def close(self, text: str) -> None:
        """End the session, if there is one."""
        await self._ledger.change("DELETE FROM sessions WHERE hash = ?", secret_hash(text))


def _end_of_one_opened(now: datetime) -> str:
    return rfc3339(now + timedelta(seconds=SESSION_S))
