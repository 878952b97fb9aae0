"""The previous file in PostgreSQL: its facts and the users its lines settled, many lines in one record."""

from __future__ import annotations

import sys
from array import array

from engine.postgres.importing.work import Work
from importer.users.importing.before import FileKept

LINES_AT_ONCE = 1 << 18
"""The number of lines whose users are one record."""


class PostgresLinesBefore:
    """The previous file, inside the transaction of an import."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def file(self, salt: bytes, past: str) -> FileKept | None:
        rows = await self._work.rows(
            "SELECT import_id, size, modified_ns, sha256, salt, past FROM before"
            " WHERE tenant_id = %(tenant)s AND salt = %(salt)s AND past <= %(past)s",
            salt=salt,
            past=past,
        )
        return next((FileKept(*row) for row in rows), None)

    async def users(self) -> array[int]:
        users = array("i")
        parts = await self._work.rows("SELECT part FROM before_lines WHERE tenant_id = %(tenant)s ORDER BY part")
        for (part,) in parts:
            ((lines,),) = await self._work.rows(
                "SELECT users FROM before_lines WHERE tenant_id = %(tenant)s AND part = %(part)s", part=part
            )
            users.frombytes(lines)
        return _lowest_first(users)

    async def touched(self) -> list[int]:
        return [row[0] for row in await self._work.rows("SELECT user_id FROM touched WHERE tenant_id = %(tenant)s")]

    async def stop_recording_touched(self) -> None:
        await self._work.change("SET LOCAL headcount.import = 'settles'")

    async def keep(self, file: FileKept | None, users: array[int]) -> None:
        await self._work.change("SET LOCAL headcount.import = 'adds'")
        for table in ("before_lines", "before", "touched"):
            await self._work.change(f"DELETE FROM {table} WHERE tenant_id = %(tenant)s")  # noqa: S608
        if file is None:
            return
        await self._work.change(
            "INSERT INTO before (tenant_id, import_id, size, modified_ns, sha256, salt, past)"
            " VALUES (%(tenant)s, %(of)s, %(size)s, %(modified_ns)s, %(sha256)s, %(salt)s, %(past)s)",
            of=file.import_id,
            size=file.size,
            modified_ns=file.modified_ns,
            sha256=file.sha256,
            salt=file.salt,
            past=file.past,
        )
        for part, start in enumerate(range(0, len(users), LINES_AT_ONCE)):
            await self._work.change(
                "INSERT INTO before_lines VALUES (%(tenant)s, %(part)s, %(lines)b)",
                part=part,
                lines=_lowest_first(users[start : start + LINES_AT_ONCE]).tobytes(),
            )


def _lowest_first(users: array[int]) -> array[int]:
    """Return these with the lowest byte first, or back: nodes of several kinds may share the database."""
    if sys.byteorder == "big":
        users.byteswap()
    return users
