"""Which objects belong to a database, and whether it is the only one that uses them.

A database has an id of its own for its objects, in the table `marks`. All keys begin with it. The object ID/database
names the database, so that a copy of the database is found out: it would delete objects that the other one needs.
"""

from __future__ import annotations

import asyncio
import secrets

from engine.objects import Objects
from engine.postgres.database import Database
from importer.errors import DatabaseUnusable

MARK = "files"
"""The name of the mark. Its text is the id."""
LONGEST = 100

MADE = "INSERT INTO marks (name, text) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING"
FOUND = "SELECT text FROM marks WHERE name = %s"
# The number of a cluster of PostgreSQL, and of a database in it. A restored dump has others.
ITSELF = """
    SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()"""
USED = "SELECT (SELECT 1 FROM contents WHERE object IS NOT NULL ORDER BY object LIMIT 1) IS NOT NULL"


class Owner:
    """The place of the objects of a database in `objects`."""

    def __init__(self, database: Database, objects: Objects) -> None:
        self._database = database
        self._objects = objects
        self._place: str | None = None
        self._lock = asyncio.Lock()

    async def place(self) -> str:
        """Return the id with which all keys begin. The first time, as `check`."""
        async with self._lock:
            if self._place is None:
                self._place = await self._found()
            return self._place

    async def key(self) -> str:
        """Return the key of the object that names the database."""
        return f"{await self.place()}/database"

    async def check(self) -> None:
        """Check again that the objects are those of this database, and of no other.

        Raises FilesAway, and DatabaseUnusable with what to do.
        """
        async with self._lock:
            self._place = await self._found()

    async def _found(self) -> str:
        place, itself = await self._id(), await self._itself()
        key = f"{place}/database"
        named = await self._objects.read(key, 0, LONGEST)
        if named is None:
            await self._refuse_others(place)
            await self._objects.put(key, itself.encode())
        elif named.decode("utf-8", "replace") != itself:
            raise DatabaseUnusable(
                f"the files in {self._objects.name} belong to another database, and this one seems to be a copy of "
                "it. Each would delete files of the other. Name a copy of the files in HEADCOUNT_FILES_URL. If the "
                f"other database is never used again, or in that copy, delete the object {key}, and start again"
            )
        return place

    async def _id(self) -> str:
        """Return the id, which is made the first time."""
        for _ in range(2):
            if found := await self._database.read(FOUND, MARK):
                return str(found[0][0])
            await self._database.change(MADE, MARK, secrets.token_hex(8))
        raise AssertionError

    async def _itself(self) -> str:
        return str((await self._database.read(ITSELF))[0][0])

    async def _refuse_others(self, place: str) -> None:
        """Refuse a bucket without the objects that this database has."""
        ((used,),) = await self._database.read(USED)
        if used and not await self._objects.list(place, "", 1):
            raise DatabaseUnusable(
                f"{self._objects.name} does not have the files of this database. Check HEADCOUNT_FILES_URL"
            )


async def require_no_objects(database: Database) -> None:
    """Check that all files are in the database. Raises DatabaseUnusable."""
    ((used,),) = await database.read(USED)
    if used:
        raise DatabaseUnusable(
            "files of this database are in S3-compatible storage. Name it in HEADCOUNT_FILES_URL, as before"
        )
