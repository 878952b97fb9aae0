"""Bring the schema of the database up to date, when it is opened."""

from __future__ import annotations

from functools import cache
from importlib import resources

from engine.postgres.database import Database, Steps
from importer.errors import DatabaseUnusable, SchemaTooNew

KINDS = ("server", "tenant", "keys", "files")
"""The parts of the schema, in the order in which they are made."""

LOCK = 0x48656164
"""The advisory lock of a migration: two servers that start together take turns."""

VERSIONS = "CREATE TABLE IF NOT EXISTS schema_versions (kind text PRIMARY KEY, version integer NOT NULL)"


async def migrate(database: Database) -> None:
    """Create missing tables, and bring the schema of an older Headcount up to date: completely or not at all.

    Raises SchemaTooNew if a newer Headcount wrote it; DatabaseUnusable if the database is not in UTF-8.
    """
    if await versions(database) == newest():
        return
    async with database.transaction({"lock_timeout": "0"}) as steps:
        await steps.rows("SELECT pg_advisory_xact_lock(%s)", LOCK)
        await _check_encoding(steps)
        await steps.change(VERSIONS)
        found = {row["kind"]: row["version"] for row in await steps.rows("SELECT kind, version FROM schema_versions")}
        for kind in KINDS:
            await _bring_up(steps, kind, found.get(kind, 0))


async def _bring_up(steps: Steps, kind: str, version: int) -> None:
    scripts = migrations(kind)
    if version > len(scripts):
        raise SchemaTooNew(
            f"the database was written by a newer Headcount ({kind} schema {version}); upgrade Headcount"
        )
    for script in scripts[version:]:
        await steps.change(script)
    await steps.change(
        "INSERT INTO schema_versions VALUES (%s, %s) ON CONFLICT (kind) DO UPDATE SET version = excluded.version",
        *(kind, len(scripts)),
    )


async def versions(database: Database) -> dict[str, int]:
    """Return the version of each part of the schema; empty in a new database."""
    (row,) = await database.read("SELECT to_regclass('schema_versions') IS NOT NULL")
    if not row[0]:
        return {}
    return {row["kind"]: row["version"] for row in await database.read("SELECT kind, version FROM schema_versions")}


async def _check_encoding(steps: Steps) -> None:
    (row,) = await steps.rows("SHOW server_encoding")
    if row[0] != "UTF8":
        raise DatabaseUnusable(f"the database is in {row[0]}, not UTF8; create it with ENCODING 'UTF8'")


@cache
def newest() -> dict[str, int]:
    """Return the version of each part of the schema that this Headcount writes."""
    return {kind: len(migrations(kind)) for kind in KINDS}


@cache
def migrations(kind: str) -> list[str]:
    """Return the SQL scripts of `kind` in order: `server-001.sql`, `server-002.sql`, ..."""
    folder = resources.files("engine.postgres.schema")
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.startswith(f"{kind}-"))
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in found]
