"""The previous file in users.db: its facts and the users its lines settled, many lines in one record."""

from __future__ import annotations

from array import array

import aiosqlite

from importer.users.importing.before import FileKept

LINES_AT_ONCE = 1 << 18
"""The number of lines whose users are one record."""


class SqliteLinesBefore:
    """The previous file, over a connection in the transaction of an import."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db
        self._triggers: list[str] = []

    async def file(self, salt: bytes, past: str) -> FileKept | None:
        rows = await self._db.execute_fetchall("SELECT * FROM before WHERE salt = ? AND past <= ?", (salt, past))
        names = ("import_id", "size", "modified_ns", "sha256", "salt", "past")
        return next((FileKept(*(row[name] for name in names)) for row in rows), None)

    async def users(self) -> array[int]:
        users = array("i")
        for row in await self._db.execute_fetchall("SELECT users FROM before_lines ORDER BY part"):
            users.frombytes(row[0])
        return users

    async def touched(self) -> list[int]:
        return [row[0] for row in await self._db.execute_fetchall("SELECT user_id FROM touched")]

    async def stop_recording_touched(self) -> None:
        for (sql,) in await self._db.execute_fetchall("SELECT sql FROM sqlite_schema WHERE name = 'users_touched'"):
            await self._db.execute("DROP TRIGGER users_touched")
            self._triggers.append(sql)

    async def keep(self, file: FileKept | None, users: array[int]) -> None:
        await self._db.execute("DELETE FROM before_lines")
        await self._db.execute("DELETE FROM before")
        await self._db.execute("DELETE FROM touched")
        while self._triggers:
            await self._db.execute(self._triggers.pop())
        if file is None:
            return
        values = (file.import_id, file.size, file.modified_ns, file.sha256, file.salt, file.past)
        await self._db.execute("INSERT INTO before VALUES (1, ?, ?, ?, ?, ?, ?)", values)
        for number, start in enumerate(range(0, len(users), LINES_AT_ONCE)):
            part = users[start : start + LINES_AT_ONCE].tobytes()
            await self._db.execute("INSERT INTO before_lines VALUES (?, ?)", (number, part))
