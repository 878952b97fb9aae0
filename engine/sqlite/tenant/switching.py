"""The change of the identifier: `external_id`, by which imports find users, is filled in the same transaction."""

from __future__ import annotations

import json

import aiosqlite

from importer.rules.identity import Identity
from importer.users.switching import missing, shared, switched

WHO = "first_name || ' ' || last_name || ifnull(' (' || email || ')', '')"


async def refuse_switched(db: aiosqlite.Connection, identity: Identity) -> None:
    """Raise TryAgain if the users' identifier is no longer `identity`."""
    rows = list(await db.execute_fetchall("SELECT value FROM settings WHERE key = 'identifier'"))
    if (json.loads(rows[0][0]) if rows else "email") != identity.setting:
        raise switched()


async def switch_identity(db: aiosqlite.Connection, after: Identity) -> None:
    """Make `after` the identifier of the users in `db`, in the caller's transaction.

    Raises Refused; then roll back.
    """
    await db.execute("UPDATE users SET external_id = NULL WHERE external_id IS NOT NULL")
    field = after.setting
    value = after.column if after.by_address else f"CAST(json_extract(custom, '$.{field}') AS TEXT)"
    await _refuse_without(db, field, value)
    if not after.by_address:
        await _refuse_shared(db, field, value)
        await db.execute(f"UPDATE users SET external_id = {value} WHERE known = 1 AND {value} IS NOT NULL")  # noqa: S608
        # One user whose creation was undone may keep the value: the record is theirs again if a file names them.
        await db.execute(
            f"UPDATE OR IGNORE users SET external_id = {value} WHERE known = 0 AND {value} IS NOT NULL"  # noqa: S608
        )


async def _refuse_without(db: aiosqlite.Connection, field: str, value: str) -> None:
    rows = await db.execute_fetchall(
        f"SELECT {WHO} FROM users WHERE state = 'active' AND {value} IS NULL ORDER BY id"  # noqa: S608
    )
    if names := [row[0] for row in rows]:
        raise missing(field, names)


async def _refuse_shared(db: aiosqlite.Connection, field: str, value: str) -> None:
    rows = await db.execute_fetchall(
        f"SELECT {value} AS value, group_concat({WHO}, ' and ') FROM users WHERE known = 1 AND {value} IS NOT NULL"  # noqa: S608
        " GROUP BY value HAVING count(*) > 1 ORDER BY min(id)"
    )
    if values := [(row[0], row[1]) for row in rows]:
        raise shared(field, values)
