"""The names of a tenant's files in the database, to be read and filled as a whole. No server runs meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.postgres.database import Database
from engine.postgres.files.owner import MARK
from engine.shared.files import ROOT

NAMES = (
    "SELECT id, folder_id, name, content_id, size, accessed, modified, written::text FROM names WHERE tenant_id = %s"
)
KEPT = "SELECT name, content_id, size FROM kept_files WHERE tenant_id = %s ORDER BY name"
ROOT_TIME = "SELECT modified FROM usage WHERE tenant_id = %s"
ADDED = (
    "INSERT INTO names (tenant_id, folder_id, name, content_id, size, accessed, modified, written, counts)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
FOLDER = ADDED + " RETURNING id"
KEPT_ADDED = (
    "INSERT INTO kept_files (tenant_id, name, content_id, size) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
OBJECTS = (
    "SELECT text, (SELECT count(*) FROM contents WHERE object IS NOT NULL) + (SELECT count(*) FROM ended_objects)"
    " FROM marks WHERE name = %s"
)
TIMED = (
    "INSERT INTO usage (tenant_id, modified) VALUES (%s, %s)"
    " ON CONFLICT (tenant_id) DO UPDATE SET modified = excluded.modified"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A row of `names`; a folder has no content. `written` is JSON. A row that is new has no id."""

    folder: int
    name: bytes
    content: int | None
    size: int
    accessed: int
    modified: int
    written: str | None
    counts: bool = True
    id: int = ROOT


async def objects_in(database: Database) -> tuple[str, int] | None:
    """Return with what the keys of the objects of this database begin, and how many it knows; None: it knows none."""
    found = await database.read(OBJECTS, MARK)
    return (str(found[0][0]), int(found[0][1])) if found and found[0][1] else None


class NamesToMove:
    """The names of the files of the tenant with this id."""

    def __init__(self, database: Database, tenant: int) -> None:
        self._database = database
        self._tenant = tenant

    async def names(self) -> list[Name]:
        rows = await self._database.read(NAMES, self._tenant)
        return [Name(row[1], bytes(row[2]), row[3], row[4], row[5], row[6], row[7], id=row[0]) for row in rows]

    async def kept(self) -> list[tuple[str, int, int]]:
        """Return name, content and size of each file that clients do not see, by name."""
        return [(row[0], row[1], row[2]) for row in await self._database.read(KEPT, self._tenant)]

    async def root_time(self) -> int:
        """Return when an entry of "/" was last added or removed; 0: never."""
        rows = await self._database.read(ROOT_TIME, self._tenant)
        return int(rows[0][0]) if rows else 0

    async def add_folder(self, folder: Name) -> int:
        """Store a folder that is not there; return its id: it is on disk, as the caller gives the id to names."""
        async with self._database.transaction() as steps:
            return int((await steps.rows(FOLDER, self._tenant, *_values(folder)))[0][0])

    async def add(self, names: Iterable[Name], kept: Iterable[tuple[str, int, int]]) -> None:
        """Store names of files, as far as they are not there: all of them or none. Their contents are sealed."""
        async with self._database.transaction() as steps:
            await steps.change_each(ADDED, [(self._tenant, *_values(each)) for each in names])
            await steps.change_each(KEPT_ADDED, [(self._tenant, *each) for each in kept])

    async def set_root_time(self, modified: int) -> None:
        await self._database.change(TIMED, self._tenant, modified)


def _values(name: Name) -> tuple[object, ...]:
    return (
        *(name.folder, name.name, name.content, name.size),
        *(name.accessed, name.modified, name.written, name.counts),
    )
