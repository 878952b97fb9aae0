"""The stored data of applied imports in PostgreSQL, and how it is deleted: in short transactions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from engine.postgres.effects import OUTCOME_STATE, changed_a_user
from engine.postgres.tenant.reading import Reads
from engine.postgres.tenant.writing import Writes
from importer.users.memory import PastEffect

EFFECTS = f"""
    SELECT import_id, number, applied_at, undone IS NULL AND {changed_a_user(OUTCOME_STATE)}, undone IS NOT NULL,
        compared
    FROM applied WHERE tenant_id = %(tenant)s ORDER BY import_id"""  # noqa: S608 - a constant
# One index lookup for each import that has history, however long that is.
WITH_HISTORY = """
    WITH RECURSIVE found (id) AS (
        SELECT min(import_id) FROM changes WHERE tenant_id + 0 = %(tenant)s
        UNION ALL
        SELECT (SELECT min(import_id) FROM changes WHERE tenant_id + 0 = %(tenant)s AND import_id > found.id)
        FROM found WHERE id IS NOT NULL
    ) SELECT id FROM found WHERE id IS NOT NULL"""
PRUNE = """
    DELETE FROM changes WHERE tenant_id = %(tenant)s AND id = ANY (ARRAY(
        SELECT id FROM changes WHERE tenant_id + 0 = %(tenant)s AND import_id = %(import_id)s
        ORDER BY id LIMIT %(most)s))
        AND NOT EXISTS (SELECT 1 FROM applied WHERE tenant_id = %(tenant)s AND import_id = %(import_id)s)"""


class PostgresMemory:
    """An `importer.users.memory.Memory`."""

    def __init__(self, reads: Reads, writes: Writes) -> None:
        self._reads = reads
        self._writes = writes

    async def prune_effects(self, choose: Callable[[Sequence[PastEffect]], Collection[int]]) -> set[int]:
        async with self._writes() as (steps, tenant):
            effects = [PastEffect(*row) for row in await steps.rows(EFFECTS, tenant=tenant)]
            going = choose(effects)
            await steps.change(
                "DELETE FROM applied WHERE tenant_id = %s AND import_id = ANY (%s)", tenant, list(going)
            )
        return {each.id for each in effects} - set(going)

    async def imports_with_history(self) -> list[int]:
        return [row[0] for row in await self._reads.rows(WITH_HISTORY)]

    async def prune_changes(self, import_id: int, most: int) -> bool:
        async with self._writes() as (steps, tenant):
            return await steps.change(PRUNE, tenant=tenant, import_id=import_id, most=most) > 0
