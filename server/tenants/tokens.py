"""Access tokens: random, shown once, stored only as SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from engine.tokens import Role, Token, TokenStore
from ground.moments import rfc3339, utc_now
from keys.errors import KeyRefused
from keys.ring import end_of
from server.tenants.settings import TenantRefused

PREFIX = "hc_"  # lets scanners for leaked secrets recognize a token
COMMENT_MAX = 100


class Tokens:
    """The tokens in `store`. Every method raises TryAgain if it cannot be read or written now."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    async def create(
        self, tenant: str | None, role: Role, expires: str | None = None, comment: str = ""
    ) -> tuple[Token, str]:
        """Create a token; return it and its text, which cannot be shown again.

        `expires` is a date (the token is valid to the end of that day, UTC) or an RFC 3339 time. `comment` is one
        line that names the token's user. Raises TenantRefused.
        """
        comment = _checked(comment)
        now = utc_now()
        until = _expiry(expires, now)
        text = PREFIX + secrets.token_urlsafe(32)
        made = await self._store.add(
            secret_hash(text), tenant, role, created_at=rfc3339(now), expires_at=until, comment=comment
        )
        if made is None:
            raise TenantRefused("no_tenant", f"there is no tenant {tenant}; see: headcount tenant list")
        return made, text

    async def list(self) -> list[Token]:
        """Return all tokens, oldest first."""
        return await self._store.list()

    async def revoke(self, number: int) -> Token:
        """Delete the token with this id, which ends its access. Raises TenantRefused if there is none."""
        revoked = await self._store.remove(number)
        if revoked is None:
            raise TenantRefused("no_token", f"there is no token {number}; see: headcount token list")
        return revoked

    async def find(self, text: str, now: datetime) -> Token | None:
        """Return the token with this text; None if it does not exist, is revoked, or has expired at `now`."""
        token = await self._store.find(secret_hash(text))
        return token if token and token.is_valid(now) else None


def _expiry(expires: str | None, now: datetime) -> str | None:
    if expires is None:
        return None
    try:
        end = end_of(expires)
    except KeyRefused as error:
        raise TenantRefused("bad_expiry", error.message) from None
    if end <= now:
        raise TenantRefused("bad_expiry", f"the expiry {expires} is past. Choose a later one")
    return rfc3339(end)


def _checked(comment: str) -> str:
    """Return the comment without surrounding spaces. Raises TenantRefused if it is not one printable line."""
    comment = comment.strip()
    if len(comment) > COMMENT_MAX or not comment.isprintable():
        raise TenantRefused("bad_comment", f"a comment is one line of at most {COMMENT_MAX} characters")
    return comment


def secret_hash(text: str) -> bytes:
    """Return the hash that is stored of a random secret."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
