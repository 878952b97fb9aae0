"""The table `figures`."""

from __future__ import annotations

from collections.abc import Mapping

from engine.figures import FIGURES, Known, by_columns, known_of
from engine.postgres.database import Database
from engine.postgres.server.tenants import ID

ROWS = (
    "SELECT name AS tenant, seen, sound, pruned_for, prune_at,"  # noqa: S608 - names of columns
    f" {', '.join(FIGURES)} FROM figures JOIN tenants ON tenants.id = tenant_id"
)
# The lock keeps the tenants until the rows are there.
MAKE = """
    INSERT INTO figures (tenant_id) SELECT id FROM tenants WHERE name = ANY (%s) ORDER BY id FOR KEY SHARE
    ON CONFLICT DO NOTHING"""
# In one order, so that no two processes wait for each other.
LOCK = """
    SELECT tenant_id FROM figures WHERE tenant_id = ANY (ARRAY(SELECT id FROM tenants WHERE name = ANY (%s)))
    ORDER BY tenant_id FOR UPDATE"""


class PostgresFigureStore:
    """An `engine.figures.FigureStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> dict[str, Known]:
        return {row["tenant"]: known_of(row) for row in await self._database.read(ROWS)}

    async def write(self, news: Mapping[str, Known]) -> None:
        async with self._database.transaction() as steps:
            await steps.change(MAKE, list(news))
            await steps.rows(LOCK, list(news))
            for columns, rows in by_columns(news).items():
                those = ", ".join(f"{column} = %s" for column in columns)
                statement = f"UPDATE figures SET {those} WHERE tenant_id = {ID}"  # noqa: S608 - names of columns
                await steps.change_each(statement, rows)
