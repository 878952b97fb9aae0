"""The table `bans`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from engine.bans import Ban
from engine.postgres.database import Database

# In one order, so that no two processes wait for each other.
AS_ROWS = "(SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS new (source, until, reason) ORDER BY 1)"
ADD = f"""
    INSERT INTO bans (source, until, reason) SELECT * FROM {AS_ROWS} AS new
    ON CONFLICT (source) DO UPDATE SET until = excluded.until, reason = excluded.reason"""  # noqa: S608 - a constant
CHANGE = f"""
    UPDATE bans SET until = new.until, reason = new.reason FROM {AS_ROWS} AS new
    WHERE bans.source = new.source RETURNING bans.source"""  # noqa: S608 - a constant


class PostgresBanStore:
    """An `engine.bans.BanStore`. It reads through `looking`, so that no request waits for a write."""

    def __init__(self, database: Database, looking: Database | None = None) -> None:
        self._database = database
        self._looking = looking or database

    async def list(self, *, now: str, latest: str) -> list[Ban]:
        rows = await self._looking.read(
            "SELECT source, least(until, %s), reason FROM bans WHERE until > %s ORDER BY 2 DESC, 1", latest, now
        )
        return [Ban(*row) for row in rows]

    async def sources(self) -> set[str]:
        return {row[0] for row in await self._looking.read("SELECT source FROM bans")}

    async def remove(self, source: str) -> bool:
        return await self._database.change("DELETE FROM bans WHERE source = %s", source) > 0

    async def write(self, bans: Iterable[Ban], over: Iterable[str], *, known: Collection[str]) -> set[str]:
        all_bans = list(bans)
        added = [each for each in all_bans if each.source not in known]
        changed = [each for each in all_bans if each.source in known]
        async with self._database.transaction() as steps:
            await steps.change(ADD, *_columns(added))
            stored = {row[0] for row in await steps.rows(CHANGE, *_columns(changed))}
            await steps.change("DELETE FROM bans WHERE source = ANY (%s)", list(over))
        return {each.source for each in changed} - stored


def _columns(bans: Collection[Ban]) -> tuple[list[str], list[str], list[str]]:
    return [each.source for each in bans], [each.until for each in bans], [each.reason for each in bans]
