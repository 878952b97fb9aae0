"""The stored data of applied imports in users.db, and how it is deleted: in short transactions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import aiosqlite

from engine.sqlite.database import transaction
from engine.sqlite.effects import OUTCOME_STATE, changed_a_user
from engine.sqlite.faults import fetch, translating
from importer.users.memory import PastEffect

EFFECTS = f"""
    SELECT import_id, number, applied_at,
        undone IS NULL AND {changed_a_user(OUTCOME_STATE)} AS changed,
        undone IS NOT NULL AS undone, compared FROM applied"""  # noqa: S608 - a constant
# One index lookup for each import that has history, however long that is.
WITH_HISTORY = """
    WITH RECURSIVE found (id) AS (
        SELECT min(import_id) FROM changes
        UNION ALL
        SELECT (SELECT min(import_id) FROM changes WHERE import_id > found.id) FROM found WHERE id IS NOT NULL
    ) SELECT id FROM found WHERE id IS NOT NULL"""


class SqliteMemory:
    """Deletes over an open connection to users.db."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db

    async def prune_effects(self, choose: Callable[[Sequence[PastEffect]], Collection[int]]) -> set[int]:
        with translating():
            async with transaction(self._db):
                rows = await fetch(self._db, EFFECTS)
                effects = [PastEffect(*row[:3], *map(bool, row[3:])) for row in rows]
                going = choose(effects)
                await self._db.executemany("DELETE FROM applied WHERE import_id = ?", [(each,) for each in going])
        return {each.id for each in effects} - set(going)

    async def imports_with_history(self) -> list[int]:
        return [row[0] for row in await fetch(self._db, WITH_HISTORY)]

    async def prune_changes(self, import_id: int, most: int) -> bool:
        with translating():
            async with transaction(self._db):
                done = await self._db.execute(
                    "DELETE FROM changes WHERE id IN (SELECT id FROM changes WHERE import_id = ? LIMIT ?)"
                    " AND import_id NOT IN (SELECT import_id FROM applied)",
                    (import_id, most),
                )
        return done.rowcount > 0
