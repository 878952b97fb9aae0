"""The table `tokens`."""

from __future__ import annotations

import aiosqlite

from engine.sqlite.server.ledger import Ledger
from engine.tokens import Role, Token


class SqliteTokenStore:
    """An `engine.tokens.TokenStore`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def add(
        self,
        secret_hash: bytes,
        tenant: str | None,
        role: Role,
        *,
        created_at: str,
        expires_at: str | None,
        comment: str,
    ) -> Token | None:
        async with self._ledger.transaction():
            if tenant is not None and not await self._knows(tenant):
                return None
            done = await self._ledger.db.execute(
                "INSERT INTO tokens (hash, tenant, role, created_at, expires_at, comment) VALUES (?, ?, ?, ?, ?, ?)",
                (secret_hash, tenant, role.value, created_at, expires_at, comment),
            )
        return Token(int(done.lastrowid or 0), tenant, role, created_at, expires_at, comment)

    async def list(self) -> list[Token]:
        return [read_token(row) for row in await self._ledger.rows("SELECT * FROM tokens ORDER BY id")]

    async def remove(self, number: int) -> Token | None:
        async with self._ledger.transaction():
            rows = await self._ledger.rows("DELETE FROM tokens WHERE id = ? RETURNING *", number)
        return next(map(read_token, rows), None)

    async def find(self, secret_hash: bytes) -> Token | None:
        rows = await self._ledger.rows("SELECT * FROM tokens WHERE hash = ?", secret_hash)
        return next(map(read_token, rows), None)

    async def _knows(self, tenant: str) -> bool:
        return bool(await self._ledger.rows("SELECT 1 FROM tenants WHERE name = ?", tenant))


def read_token(row: aiosqlite.Row) -> Token:
    """Return the token in a row of the table, without its hash."""
    return Token(row["id"], row["tenant"], Role(row["role"]), row["created_at"], row["expires_at"], row["comment"])
