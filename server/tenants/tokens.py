"""Access tokens: random, shown once, kept as SHA-256 only; and what one of them allows."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import aiosqlite

from ground.moments import rfc3339, utc_now
from importer.database import transaction
from keys.errors import KeyRefused
from keys.ring import end_of
from server.tenants.settings import TenantRefused

PREFIX = "hc_"  # so that a scanner for leaked secrets can know one
COMMENT_MAX = 100


class Role(StrEnum):
    OWNER = "owner"
    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; not the token. The operator's has no tenant. Times are RFC 3339 in UTC."""

    id: int
    tenant: str | None
    role: Role
    created_at: str
    expires_at: str | None
    comment: str = ""

    @property
    def bearer(self) -> str:
        """Who has it, as it is written down beside what they decide: `Ann (owner, token 3)`."""
        number = f"token {self.id}"
        return f"{self.comment} ({self.role.value}, {number})" if self.comment else f"{self.role.value}, {number}"

    def lives(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < datetime.fromisoformat(self.expires_at)

    def to_json(self) -> dict[str, object]:
        return {
            "id": self.id,
            "tenant": self.tenant,
            "role": self.role.value,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "comment": self.comment,
        }


class Tokens:
    """The tokens in headcount.db, open as `db`."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self.db = db

    async def create(
        self, tenant: str | None, role: Role, expires: str | None = None, comment: str = ""
    ) -> tuple[Token, str]:
        """A new token, and its text, which nobody can ever show again.

        `expires` is a date (through the end of that day, UTC) or an RFC 3339 time; `comment` is one line that tells
        people whose it is. Raises TenantRefused.
        """
        comment = _checked(comment)
        now = utc_now()
        until = _expiry(expires, now)
        text = PREFIX + secrets.token_urlsafe(32)
        row = (secret_hash(text), tenant, role.value, rfc3339(now), until, comment)
        async with transaction(self.db):
            if tenant is not None and not await self._knows(tenant):
                raise TenantRefused("no_tenant", f"there is no tenant {tenant}; see: headcount tenant list")
            done = await self.db.execute(
                "INSERT INTO tokens (hash, tenant, role, created_at, expires_at, comment) VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        return Token(int(done.lastrowid or 0), tenant, role, row[3], until, comment), text

    async def list(self) -> list[Token]:
        """All of them, oldest first."""
        rows = await self.db.execute_fetchall("SELECT * FROM tokens ORDER BY id")
        return [read_token(row) for row in rows]

    async def revoke(self, number: int) -> Token:
        """Forget the token with this id; it opens nothing afterwards. Raises TenantRefused if there is none."""
        async with transaction(self.db):
            rows = list(await self.db.execute_fetchall("DELETE FROM tokens WHERE id = ? RETURNING *", (number,)))
        if not rows:
            raise TenantRefused("no_token", f"there is no token {number}; see: headcount token list")
        return read_token(rows[0])

    async def find(self, text: str, now: datetime) -> Token | None:
        """What the token `text` allows at `now`; None if it was never made, is revoked or has expired."""
        rows = await self.db.execute_fetchall("SELECT * FROM tokens WHERE hash = ?", (secret_hash(text),))
        return next((token for token in map(read_token, rows) if token.lives(now)), None)

    async def _knows(self, tenant: str) -> bool:
        return bool(list(await self.db.execute_fetchall("SELECT 1 FROM tenants WHERE name = ?", (tenant,))))


def _expiry(expires: str | None, now: datetime) -> str | None:
    if expires is None:
        return None
    try:
        end = end_of(expires)
    except KeyRefused as error:
        raise TenantRefused("bad_expiry", error.message) from None
    if end <= now:
        raise TenantRefused("bad_expiry", f"the expiry {expires} is already past")
    return rfc3339(end)


def _checked(comment: str) -> str:
    """Raises TenantRefused for what would not be one line."""
    comment = comment.strip()
    if len(comment) > COMMENT_MAX or not comment.isprintable():
        raise TenantRefused("bad_comment", f"a comment is one line of at most {COMMENT_MAX} characters")
    return comment


def read_token(row: aiosqlite.Row) -> Token:
    """A row of the table `tokens`, without what nobody needs to know."""
    return Token(row["id"], row["tenant"], Role(row["role"]), row["created_at"], row["expires_at"], row["comment"])


def secret_hash(text: str) -> bytes:
    """What is kept of a secret that is too random to be guessed."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
