"""The tables `sessions` and `sign_in_links`.

A transaction locks the token before its sessions and links, as one does that removes or changes the token: else
each could wait for the other one. So the rows that are over are removed last.
"""

from __future__ import annotations

from engine.postgres.database import Database, Steps
from engine.postgres.server.tokens import TOKENS, read_token
from engine.tokens import Token

LIVES = "hash = %s AND expires_at > %s AND expires_at <= %s"
OF_SESSION = f"{TOKENS} WHERE tokens.id = (SELECT token_id FROM sessions WHERE {LIVES})"  # noqa: S608 - constants
OF_LINK = f"{TOKENS} WHERE tokens.id = (SELECT token_id FROM sign_in_links WHERE {LIVES})"  # noqa: S608 - constants

# Rows that another transaction removes now are left to it.
REMOVE_OVER = """
    DELETE FROM {table} WHERE hash = ANY (ARRAY(
        SELECT hash FROM {table} WHERE expires_at <= %s OR expires_at > %s FOR UPDATE SKIP LOCKED))"""
SESSIONS_OVER, LINKS_OVER = (REMOVE_OVER.format(table=table) for table in ("sessions", "sign_in_links"))

ADD_SESSION = """
    INSERT INTO sessions (hash, token_id, created_at, expires_at)
    SELECT %s, id, %s, %s FROM tokens WHERE id = %s FOR KEY SHARE"""
# The lock keeps the address: a transaction that changes it waits, and then finds this link and removes it.
ADD_LINK = """
    INSERT INTO sign_in_links (hash, token_id, expires_at)
    SELECT %s, id, %s FROM tokens WHERE id = %s AND email IS NOT DISTINCT FROM %s FOR SHARE"""


class PostgresSignInStore:
    """An `engine.sign_ins.SignInStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, database: Database, looking: Database | None = None) -> None:
        self._database = database
        self._looking = looking or database

    async def open(self, secret_hash: bytes, token: Token, *, now: str, ends: str, latest: str) -> bool:
        async with self._database.transaction() as steps:
            return await _open(steps, secret_hash, token.id, now, ends, latest)

    async def find(self, secret_hash: bytes, *, now: str, latest: str) -> Token | None:
        return next(map(read_token, await self._looking.read(OF_SESSION, secret_hash, now, latest)), None)

    async def close(self, secret_hash: bytes) -> None:
        await self._database.change("DELETE FROM sessions WHERE hash = %s", secret_hash)

    async def add_link(self, secret_hash: bytes, token: Token, *, now: str, ends: str, latest: str) -> bool:
        async with self._database.transaction() as steps:
            added = await steps.change(ADD_LINK, secret_hash, ends, token.id, token.email) > 0
            await steps.change(LINKS_OVER, now, latest)
        return added

    async def find_link(self, secret_hash: bytes, *, now: str, latest: str) -> Token | None:
        return next(map(read_token, await self._looking.read(OF_LINK, secret_hash, now, latest)), None)

    async def open_by_link(
        self, link_hash: bytes, secret_hash: bytes, *, now: str, link_latest: str, ends: str, latest: str
    ) -> Token | None:
        async with self._database.transaction() as steps:
            rows = await steps.rows(f"{OF_LINK} FOR KEY SHARE OF tokens", link_hash, now, link_latest)
            if not rows or not await steps.change("DELETE FROM sign_in_links WHERE hash = %s", link_hash):
                return None
            token = read_token(rows[0])
            await _open(steps, secret_hash, token.id, now, ends, latest)
        return token


async def _open(steps: Steps, secret_hash: bytes, number: int, now: str, ends: str, latest: str) -> bool:
    """Store a session if the token with this id exists; return whether it does."""
    opened = await steps.change(ADD_SESSION, secret_hash, now, ends, number) > 0
    await steps.change(SESSIONS_OVER, now, latest)
    return opened
