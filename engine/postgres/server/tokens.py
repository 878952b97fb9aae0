"""The table `tokens`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.postgres.database import Database, Steps
from engine.postgres.rows import Row
from engine.postgres.server.tenants import hold
from engine.tokens import Check, Edit, Role, Token, TooMany, accept

TOKENS = "SELECT tokens.*, tenants.name AS tenant FROM tokens LEFT JOIN tenants ON tenants.id = tenant_id"
"""SQL: tokens with the names of their tenants; conditions follow."""

OPERATORS_LOCK = 0x68634F50
"""The advisory lock of the operator's tokens, which have no tenant to lock."""


class PostgresTokenStore:
    """An `engine.tokens.TokenStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, database: Database, looking: Database | None = None) -> None:
        self._database = database
        self._looking = looking or database

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
        async with self._database.transaction() as steps:
            tenant_id = await _hold(steps, tenant)
            if tenant is not None and tenant_id is None:
                return None
            if most is not None and len(await steps.rows(*_of(tenant))) >= most:
                raise TooMany
            ((number,),) = await steps.rows(
                "INSERT INTO tokens (hash, tenant_id, role, created_at, expires_at, comment, email)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
                *(secret_hash, tenant_id, role.value, created_at, expires_at, comment, email),
            )
        return Token(number, tenant, role, created_at, expires_at, comment, email)

    async def find(self, secret_hash: bytes) -> Token | None:
        rows = await self._looking.read(f"{TOKENS} WHERE hash = %s", secret_hash)
        return next(map(read_token, rows), None)

    async def of(self, tenant: str | None) -> list[Token]:
        return _read(await self._looking.read(*_of(tenant)))

    async def with_email(self, email: str) -> list[Token]:
        return _read(await self._looking.read(f"{TOKENS} WHERE email = %s ORDER BY tokens.id", email))

    async def edit(self, number: int, edit: Edit, *, kept: bytes | None = None) -> Token | None:
        async with self._database.transaction() as steps:
            token, others = await _with_siblings(steps, number)
            if token is None:
                return None
            edited = edit(token, others)
            await steps.change(
                "UPDATE tokens SET comment = %s, role = %s, email = %s WHERE id = %s",
                *(edited.comment, edited.role.value, edited.email, number),
            )
            if edited.email != token.email:
                # First the links: one that is used just now has opened its session then, or finds that it is gone.
                await steps.change("DELETE FROM sign_in_links WHERE token_id = %s", number)
                ended = "DELETE FROM sessions WHERE token_id = %s AND hash IS DISTINCT FROM %s"
                await steps.change(ended, number, kept)
        return edited

    async def remove(self, number: int, check: Check = accept) -> Token | None:
        async with self._database.transaction() as steps:
            token, others = await _with_siblings(steps, number)
            if token is not None:
                check(token, others)
                await steps.change("DELETE FROM tokens WHERE id = %s", number)
        return token

    async def list(self) -> list[Token]:
        return _read(await self._looking.read(f"{TOKENS} ORDER BY tokens.id"))


async def _with_siblings(steps: Steps, number: int) -> tuple[Token | None, Sequence[Token]]:
    """Return the token with this id, and the other tokens of the same tenant: all are held."""
    tenants = await steps.rows(f"{TOKENS} WHERE tokens.id = %s", number)
    if not tenants:
        return None, []
    tenant = tenants[0]["tenant"]
    await _hold(steps, tenant)
    found = _read(await steps.rows(*_of(tenant)))
    token = next((each for each in found if each.id == number), None)
    return token, [each for each in found if each is not token]


async def _hold(steps: Steps, tenant: str | None) -> int | None:
    """Hold the tokens of a tenant, or with None those of operators; return the tenant's id."""
    if tenant is None:
        await steps.rows("SELECT pg_advisory_xact_lock(%s)", OPERATORS_LOCK)
        return None
    return await hold(steps, tenant)


def _of(tenant: str | None) -> tuple[str, *tuple[object, ...]]:
    """Return the statement and values for the tokens of a tenant, or with None of those of operators."""
    if tenant is None:
        return (f"{TOKENS} WHERE tenant_id IS NULL ORDER BY tokens.id",)
    return f"{TOKENS} WHERE tenants.name = %s ORDER BY tokens.id", tenant


def _read(rows: Iterable[Row]) -> list[Token]:
    return [read_token(row) for row in rows]


def read_token(row: Row) -> Token:
    """Return the token in a row of TOKENS, without its hash."""
    facts = row["created_at"], row["expires_at"], row["comment"], row["email"]
    return Token(row["id"], row["tenant"], Role(row["role"]), *facts)
