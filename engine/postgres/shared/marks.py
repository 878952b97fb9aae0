"""The table `marks`, and the settings that are marks with SQLite."""

from __future__ import annotations

from engine.postgres.database import Database


class PostgresMarkStore:
    """An `engine.marks.MarksAndPauses`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def has(self, name: str) -> bool:
        return await self.find(name) is not None

    async def find(self, name: str) -> str | None:
        rows = await self._database.read("SELECT text FROM marks WHERE name = %s", name)
        return rows[0][0] if rows else None

    async def put(self, name: str, text: str) -> None:
        await self._database.change(
            "INSERT INTO marks (name, text) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET text = excluded.text",
            *(name, text),
        )

    async def add(self, name: str, text: str) -> bool:
        added = await self._database.change(
            "INSERT INTO marks (name, text) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING", name, text
        )
        return added > 0

    async def swap(self, name: str, old: str, new: str | None) -> bool:
        if new is None:
            return await self._database.change("DELETE FROM marks WHERE name = %s AND text = %s", name, old) > 0
        swapped = "UPDATE marks SET text = %s WHERE name = %s AND text = %s"
        return await self._database.change(swapped, new, name, old) > 0

    async def paused(self) -> set[str]:
        rows = await self._database.read(
            "SELECT name FROM settings JOIN tenants ON id = tenant_id WHERE key = 'paused_until' AND value <> 'null'"
        )
        return {row[0] for row in rows}

    async def drop(self, name: str) -> None:
        await self._database.change("DELETE FROM marks WHERE name = %s", name)
