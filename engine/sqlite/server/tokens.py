"""The table `tokens`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import aiosqlite

from engine.sqlite.server.ledger import Ledger
from engine.tokens import Check, Edit, Role, Token, TooMany, accept


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
        most: int | None = None,
    ) -> Token | None:
        async with self._ledger.transaction():
            if tenant is not None and not await self._knows(tenant):
                return None
            if most is not None and len(await self._ledger.rows(_OF, tenant)) >= most:
                raise TooMany
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
        return _read(await self._looking.read(_OF, tenant))

    async def with_email(self, email: str) -> list[Token]:
        return _read(await self._looking.read("SELECT * FROM tokens WHERE email = ? ORDER BY id", email))

    async def edit(self, number: int, edit: Edit, *, kept: bytes | None = None) -> Token | None:
        async with self._ledger.transaction():
            token, others = await self._with_siblings(number)
            if token is None:
                return None
            edited = edit(token, others)
            await self._ledger.db.execute(
                "UPDATE tokens SET comment = ?, role = ?, email = ? WHERE id = ?",
                (edited.comment, edited.role.value, edited.email, number),
            )
            if edited.email != token.email:
                await self._ledger.db.execute("DELETE FROM sign_in_links WHERE token_id = ?", (number,))
                ended = "DELETE FROM sessions WHERE token_id = ? AND hash IS NOT ?"
                await self._ledger.db.execute(ended, (number, kept))
        return edited

    async def remove(self, number: int, check: Check = accept) -> Token | None:
        async with self._ledger.transaction():
            token, others = await self._with_siblings(number)
            if token is not None:
                check(token, others)
                await self._ledger.db.execute("DELETE FROM tokens WHERE id = ?", (number,))
        return token

    async def list(self) -> list[Token]:
        return _read(await self._looking.read("SELECT * FROM tokens ORDER BY id"))

    async def _with_siblings(self, number: int) -> tuple[Token | None, Sequence[Token]]:
        """Return the token with this id, and the other tokens of the same tenant."""
        found = _read(await self._ledger.rows(_SIBLINGS, number))
        token = next((each for each in found if each.id == number), None)
        return token, [each for each in found if each is not token]

    async def _knows(self, tenant: str) -> bool:
        return bool(await self._ledger.rows("SELECT 1 FROM tenants WHERE name = ?", tenant))


_OF = "SELECT * FROM tokens WHERE tenant IS ? ORDER BY id"

_SIBLINGS = "SELECT * FROM tokens WHERE tenant IS (SELECT tenant FROM tokens WHERE id = ?) ORDER BY id"
"""The tokens of the same tenant, itself included."""


def _read(rows: Iterable[aiosqlite.Row]) -> list[Token]:
    return [read_token(row) for row in rows]


def read_token(row: aiosqlite.Row) -> Token:
    """Return the token in a row of the table, without its hash."""
    facts = row["created_at"], row["expires_at"], row["comment"], row["email"]
    return Token(row["id"], row["tenant"], Role(row["role"]), *facts)
