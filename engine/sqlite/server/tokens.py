"""The table `tokens`."""

from __future__ import annotations

from collections.abc import Iterable

import aiosqlite

from engine.sqlite.server.ledger import Ledger
from engine.tokens import Check, Role, Token, accept


class SqliteTokenStore:
    """An `engine.tokens.TokenStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, ledger: Ledger, looking: Ledger) -> None:
        self._ledger = ledger
        self._looking = looking

    async def add(
        self,
        secret_hash: bytes,
        tenant: str | None,
        role: Role,
        *,
        created_at: str,
        expires_at: str | None,
        comment: str,
        email: str | None = None,
    ) -> Token | None:
        async with self._ledger.transaction():
            if tenant is not None and not await self._knows(tenant):
                return None
            done = await self._ledger.db.execute(
                "INSERT INTO tokens (hash, tenant, role, created_at, expires_at, comment, email)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (secret_hash, tenant, role.value, created_at, expires_at, comment, email),
            )
        return Token(int(done.lastrowid or 0), tenant, role, created_at, expires_at, comment, email)

    async def find(self, secret_hash: bytes) -> Token | None:
        rows = await self._looking.read("SELECT * FROM tokens WHERE hash = ?", secret_hash)
        return next(map(read_token, rows), None)

    async def of(self, tenant: str | None) -> list[Token]:
        return _read(await self._looking.read("SELECT * FROM tokens WHERE tenant IS ? ORDER BY id", tenant))

    async def with_email(self, email: str) -> list[Token]:
        return _read(await self._looking.read("SELECT * FROM tokens WHERE email = ? ORDER BY id", email))

    async def rename(self, number: int, comment: str, check: Check = accept) -> Token | None:
        return await self._change(number, check, "UPDATE tokens SET comment = ? WHERE id = ? RETURNING *", comment)

    async def remove(self, number: int, check: Check = accept) -> Token | None:
        return await self._change(number, check, "DELETE FROM tokens WHERE id = ? RETURNING *")

    async def list(self) -> list[Token]:
        return _read(await self._looking.read("SELECT * FROM tokens ORDER BY id"))

    async def _change(self, number: int, check: Check, statement: str, *values: object) -> Token | None:
        """Run the statement for one token if `check` accepts it; return its row."""
        async with self._ledger.transaction():
            found = _read(await self._ledger.rows(_SIBLINGS, number))
            token = next((each for each in found if each.id == number), None)
            if token is None:
                return None
            check(token, [each for each in found if each.id != number])
            (changed,) = _read(await self._ledger.rows(statement, *values, number))
        return changed

    async def _knows(self, tenant: str) -> bool:
        return bool(await self._ledger.rows("SELECT 1 FROM tenants WHERE name = ?", tenant))


_SIBLINGS = "SELECT * FROM tokens WHERE tenant IS (SELECT tenant FROM tokens WHERE id = ?) ORDER BY id"
"""The tokens of the same tenant, itself included."""


def _read(rows: Iterable[aiosqlite.Row]) -> list[Token]:
    return [read_token(row) for row in rows]


def read_token(row: aiosqlite.Row) -> Token:
    """Return the token in a row of the table, without its hash."""
    facts = row["created_at"], row["expires_at"], row["comment"], row["email"]
    return Token(row["id"], row["tenant"], Role(row["role"]), *facts)
