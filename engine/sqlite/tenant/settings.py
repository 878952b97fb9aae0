"""The settings of a tenant in users.db, so that they move with its folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import aiosqlite

from engine.sqlite.database import check_version, newest_version, transaction
from engine.sqlite.faults import fetch, translated_read, translating
from engine.sqlite.tenant.switching import switch_identity
from importer.errors import TryAgain
from importer.users.settled import SettingChange, Settled, Texts

SELECT = "SELECT key, value FROM settings"


async def texts_in(db: aiosqlite.Connection) -> Texts:
    """Return the settings in the open users.db `db`."""
    return {row[0]: row[1] for row in await fetch(db, SELECT)}


async def change(db: aiosqlite.Connection, decide: Callable[[Texts], Settled]) -> Settled:
    """Store what `decide` returns, in the transaction in which it is called. Raises what it raises, and Refused."""
    with translating():
        async with transaction(db):
            settled = decide(await texts_in(db))
            if settled.identity:
                await switch_identity(db, settled.identity)
            await db.execute("DELETE FROM settings")
            await db.executemany("INSERT INTO settings (key, value) VALUES (?, ?)", list(settled.kept.items()))
            await db.executemany(
                "INSERT INTO settings_changes (changed_at, changed_by, key, old, new) VALUES (?, ?, ?, ?, ?)",
                [(each.changed_at, each.changed_by, each.key, each.old, each.new) for each in settled.changes],
            )
            if settled.means_otherwise:
                await db.execute("UPDATE meta SET revision = revision + 1")
    return settled


async def page_of_changes(
    db: aiosqlite.Connection, limit: int, before: int
) -> tuple[list[SettingChange], int | None]:
    """Return up to `limit` changes older than `before`, newest first, and the `before` of the next page."""
    query = (
        "SELECT id, changed_at, changed_by, key, old, new FROM settings_changes WHERE id < ? ORDER BY id DESC LIMIT ?"
    )
    found = await fetch(db, query, (before, limit + 1))
    rows = found[:limit]
    return [SettingChange(*row[1:]) for row in rows], rows[-1]["id"] if len(found) > limit else None


def read(database: Path, timeout_s: float) -> tuple[Texts, bool]:
    """Return the settings in the users.db at `database`, and whether its schema is of an older Headcount."""
    try:
        return _read(database, "mode=ro", timeout_s)
    except TryAgain as meant:
        # On a full or read-only disk SQLite cannot create the files beside it. Without them there is no other writer.
        if meant.code == "database_busy" or not _at_rest(database):
            raise
    return _read(database, "mode=ro&immutable=1", timeout_s)


def _read(database: Path, options: str, timeout_s: float) -> tuple[Texts, bool]:
    where = f"{database.absolute().as_uri()}?{options}"
    try:
        with closing(sqlite3.connect(where, uri=True, timeout=timeout_s)) as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            check_version(database, "tenant", version)
            return dict(db.execute(SELECT)), version < newest_version("tenant")
    except sqlite3.DatabaseError as error:
        raise translated_read(error, database) from error


def _at_rest(database: Path) -> bool:
    """Return whether all of the database is in its own file."""
    try:
        return database.with_name(f"{database.name}-wal").stat().st_size == 0
    except FileNotFoundError:
        return True
