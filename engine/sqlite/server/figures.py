"""The table `figures`."""

from __future__ import annotations

from collections.abc import Mapping

from engine.figures import FIGURES, Known, by_columns, known_of
from engine.sqlite.server.ledger import Ledger

ROWS = f"SELECT tenant, seen, sound, pruned_for, prune_at, {', '.join(FIGURES)} FROM figures"  # noqa: S608 - names of columns
MAKE = "INSERT OR IGNORE INTO figures (tenant) SELECT name FROM tenants WHERE name = ?"


class SqliteFigureStore:
    """An `engine.figures.FigureStore`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def read(self) -> dict[str, Known]:
        return {row["tenant"]: known_of(row) for row in await self._ledger.read(ROWS)}

    async def write(self, news: Mapping[str, Known]) -> None:
        async with self._ledger.transaction():
            await self._ledger.db.executemany(MAKE, [(tenant,) for tenant in news])
            for columns, rows in by_columns(news).items():
                those = ", ".join(f"{column} = ?" for column in columns)
                statement = f"UPDATE figures SET {those} WHERE tenant = ?"  # noqa: S608 - names of columns
                await self._ledger.db.executemany(statement, rows)
