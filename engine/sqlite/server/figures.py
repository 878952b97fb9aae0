"""The table `figures`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, fields

import aiosqlite

from engine.figures import Figures, Known, Pruned
from engine.sqlite.server.ledger import Ledger

FIGURES = tuple(field.name for field in fields(Figures))
ROWS = f"SELECT tenant, seen, sound, pruned_for, prune_at, {', '.join(FIGURES)} FROM figures"  # noqa: S608 - names of columns
MAKE = "INSERT OR IGNORE INTO figures (tenant) SELECT name FROM tenants WHERE name = ?"


class SqliteFigureStore:
    """An `engine.figures.FigureStore`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def read(self) -> dict[str, Known]:
        return {row["tenant"]: _known(row) for row in await self._ledger.read(ROWS)}

    async def write(self, news: Mapping[str, Known]) -> None:
        by_columns: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
        for tenant, known in news.items():
            values = _values(known)
            by_columns.setdefault(tuple(values), []).append((*values.values(), tenant))
        async with self._ledger.transaction():
            await self._ledger.db.executemany(MAKE, [(tenant,) for tenant in news])
            for columns, rows in by_columns.items():
                those = ", ".join(f"{column} = ?" for column in columns)
                statement = f"UPDATE figures SET {those} WHERE tenant = ?"  # noqa: S608 - names of columns
                await self._ledger.db.executemany(statement, rows)


def _known(row: aiosqlite.Row) -> Known:
    figures = None
    if row["seen"] and row["active"] is not None:
        values = {name: row[name] for name in FIGURES}
        figures = row["seen"], Figures(**{**values, "inviting": bool(row["inviting"])})
    pruned = Pruned(row["pruned_for"], row["prune_at"]) if row["pruned_for"] else None
    return Known(figures, row["sound"] or None, pruned)


def _values(known: Known) -> dict[str, object]:
    """Return what `known` has, by column."""
    values: dict[str, object] = {}
    if known.figures:
        seen, figures = known.figures
        values |= {"seen": seen, **dict(zip(FIGURES, astuple(figures), strict=True))}
    if known.sound is not None:
        values["sound"] = known.sound
    if known.pruned:
        values |= {"pruned_for": known.pruned.what, "prune_at": known.pruned.again_at}
    return values
