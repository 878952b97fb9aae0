"""The tables `names` and `usage`. Every statement uses an index, and names the tenant."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager

from engine.postgres.database import Database
from engine.postgres.files.kept import keep
from engine.postgres.rows import Row
from engine.postgres.server.listing import COPIES_NEEDED
from engine.postgres.server.runs import COPIES_NEEDED as RUN_COPIES_NEEDED
from engine.shared.files import ROOT, ContentGone, Entry, Place, Taken, TenantGone
from importer.model import Written

OF = "tenant_id = %(id)s"
COLUMNS = "id, folder_id, name, content_id, size, accessed, modified, written"

HELD = "SELECT id FROM tenants WHERE id = %s AND name = %s FOR NO KEY UPDATE"
# Row by row from "/" down to the last component that exists. The last row is the answer.
WALK = (
    "WITH RECURSIVE walk AS ("  # noqa: S608 - constants
    " SELECT 0 AS depth, 0::bigint AS id, 0::bigint AS folder_id, ''::bytea AS name, NULL::bigint AS content_id,"
    " 0::bigint AS size, 0::bigint AS accessed, 0::bigint AS modified, NULL::json AS written"
    f" UNION ALL SELECT walk.depth + 1, next.* FROM walk CROSS JOIN LATERAL (SELECT {COLUMNS} FROM names"
    f" WHERE {OF} AND folder_id = walk.id AND name = (%(parts)s::bytea[])[walk.depth + 1] LIMIT 1) AS next"
    " WHERE walk.content_id IS NULL AND walk.depth < cardinality(%(parts)s::bytea[]))"
    f" SELECT depth, {COLUMNS} FROM walk ORDER BY depth DESC LIMIT 1"
)
ROOT_TIME = f"SELECT modified FROM usage WHERE {OF}"  # noqa: S608 - a constant
PAGE = (
    f"SELECT {COLUMNS} FROM names WHERE {OF} AND folder_id = %(folder)s AND name > %(after)s"  # noqa: S608 - constants
    " ORDER BY name LIMIT %(most)s"
)
PUT = (
    "INSERT INTO names (tenant_id, folder_id, name, content_id, size, accessed, modified, written, counts)"  # noqa: S608
    " SELECT tenant_id, %(folder)s, %(name)s, id, size, %(accessed)s, %(modified)s, %(written)s, %(counts)s"
    f" FROM contents WHERE {OF} AND id = %(content)s AND size = %(size)s AND sealed FOR KEY SHARE"
    " ON CONFLICT (tenant_id, folder_id, name) DO UPDATE SET content_id = excluded.content_id, size = excluded.size,"
    " accessed = excluded.accessed, modified = excluded.modified, written = excluded.written,"
    " counts = excluded.counts"
)
MOVED = f"UPDATE names SET folder_id = %(folder)s, name = %(name)s WHERE {OF} AND id = %(entry)s"  # noqa: S608
DELETED = f"DELETE FROM names WHERE {OF} AND id = %(entry)s"  # noqa: S608 - a constant
FOLDER_MADE = (
    "INSERT INTO names (tenant_id, folder_id, name, accessed, modified, counts)"
    " VALUES (%(id)s, %(folder)s, %(name)s, %(now)s, %(now)s, %(counts)s)"
)
COUNTED = f"UPDATE names SET counts = %(counts)s WHERE {OF} AND id = %(entry)s AND counts <> %(counts)s"  # noqa: S608
TIMES_SET = f"UPDATE names SET accessed = %(accessed)s, modified = %(modified)s WHERE {OF} AND id = %(entry)s"  # noqa: S608
TOUCHED = f"UPDATE names SET modified = %(now)s WHERE {OF} AND id = %(folder)s"  # noqa: S608 - a constant
ROOT_TOUCHED = (
    "INSERT INTO usage (tenant_id, modified) VALUES (%(id)s, %(now)s)"
    " ON CONFLICT (tenant_id) DO UPDATE SET modified = excluded.modified"
)
UNCOUNTED = f"SELECT {COLUMNS} FROM names WHERE {OF} AND content_id IS NULL AND NOT counts ORDER BY id"  # noqa: S608
DEPTH = (
    "WITH RECURSIVE tree AS ("  # noqa: S608 - constants
    f" SELECT 1 AS depth, id, content_id FROM names WHERE {OF} AND folder_id = %(folder)s"
    " UNION ALL SELECT tree.depth + 1, below.id, below.content_id FROM tree CROSS JOIN LATERAL"
    f" (SELECT id, content_id FROM names WHERE {OF} AND folder_id = tree.id) AS below WHERE tree.content_id IS NULL)"
    " SELECT coalesce(max(depth), 0) FROM tree"
)
# As `TenantFolder.copy` and `run_copy` name them. Copies of one content count once.
COPIES = (
    f"SELECT coalesce(sum(size), 0)::bigint FROM (SELECT kept.content_id, kept.size FROM"  # noqa: S608 - constants
    f" (SELECT 'uploads/' || id || '.csv' AS name FROM ({COPIES_NEEDED}) AS imports"
    f" UNION ALL SELECT 'runs/' || id || '.file' FROM ({RUN_COPIES_NEEDED}) AS runs) AS copy"
    f" CROSS JOIN LATERAL (SELECT content_id, size FROM kept_files WHERE {OF} AND kept_files.name = copy.name"
    " LIMIT 1) AS kept"
    f" UNION SELECT id, size FROM contents WHERE {OF} AND id = ANY(%(offered)s::bigint[])) AS copies"
    f" WHERE NOT EXISTS (SELECT 1 FROM names WHERE {OF} AND content_id = copies.content_id)"
)
FEW_COPIES = 16
MANY_WAIT = (
    f"SELECT count(*) > {FEW_COPIES} FROM (({COPIES_NEEDED}) UNION ALL ({RUN_COPIES_NEEDED})"  # noqa: S608 - constants
    f" LIMIT {FEW_COPIES + 1}) AS first"
)
TAKEN = (
    "SELECT visible.bytes, visible.files, CASE WHEN %(size)s::bigint IS NOT NULL"  # noqa: S608 - constants
    f" AND ({MANY_WAIT}) THEN %(waiting)s::bigint + greatest(0, %(size)s::bigint - visible.bytes) ELSE ({COPIES}) END"
    f" FROM (SELECT coalesce((SELECT bytes FROM usage WHERE {OF}), 0) AS bytes,"
    f" coalesce((SELECT files FROM usage WHERE {OF}), 0) AS files) AS visible"
)


class PostgresAllNames:
    """An `engine.shared.files.AllNames`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, tenant: str) -> PostgresNames:
        found = await self._database.read("SELECT id FROM tenants WHERE name = %s", tenant)
        if not found:
            raise TenantGone(tenant)
        return self.of(tenant, found[0][0])

    def of(self, tenant: str, tenant_id: int) -> PostgresNames:
        return PostgresNames(self._database, tenant, tenant_id)


class PostgresNames:
    """An `engine.shared.files.Names`."""

    def __init__(self, database: Database, tenant: str, tenant_id: int) -> None:
        self._database = database
        self._tenant = tenant
        self.tenant_id = tenant_id

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        async with self._database.together():
            yield

    async def hold(self) -> None:
        if not await self._database.read(HELD, self.tenant_id, self._tenant):
            raise TenantGone(self._tenant)

    async def taken(self, offered: Collection[int] = (), before: Taken | None = None) -> Taken:
        known = {"size": before.size, "waiting": before.waiting} if before else {"size": None, "waiting": None}
        ((size, files, waiting),) = await self._read(TAKEN, tenant=self._tenant, offered=[*offered], **known)
        return Taken(size, files, waiting)

    async def keep(self, files: Iterable[tuple[str, int]]) -> None:
        await keep(self._database.step, self.tenant_id, files)

    async def look(self, parts: Sequence[bytes]) -> Place:
        (row,) = await self._read(WALK, parts=list(parts))
        depth, entry = row[0], _entry(row)
        if depth == len(parts):
            return Place(entry.folder, entry if parts else await self._root())
        if entry.content is not None:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if depth < len(parts) - 1:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return Place(entry.id, None)

    async def page(self, folder: int, after: bytes, limit: int) -> list[Entry]:
        return [_entry(row) for row in await self._read(PAGE, folder=folder, after=after, most=limit)]

    async def put(
        self,
        place: Place,
        name: bytes,
        content: int,
        size: int,
        times: tuple[int, int],
        written: Written | None,
        *,
        counts: bool = True,
    ) -> None:
        done = await self._change(
            PUT,
            folder=place.folder,
            name=name,
            content=content,
            size=size,
            accessed=times[0],
            modified=times[1],
            written=json.dumps(written.to_json()) if written else None,
            counts=counts,
        )
        if not done:
            raise ContentGone(f"the content {content} is no longer stored")
        if place.entry is None:
            await self._touch(place.folder)

    async def move(self, entry: Entry, place: Place, name: bytes) -> None:
        if place.entry is not None and place.entry.id != entry.id:
            await self._change(DELETED, entry=place.entry.id)
        await self._change(MOVED, entry=entry.id, folder=place.folder, name=name)
        for folder in {entry.folder, place.folder}:
            await self._touch(folder)

    async def delete(self, entry: Entry) -> None:
        await self._change(DELETED, entry=entry.id)
        await self._touch(entry.folder)

    async def make_folder(self, folder: int, name: bytes, *, counts: bool = True) -> None:
        await self._change(FOLDER_MADE, folder=folder, name=name, counts=counts, now=time.time_ns())
        await self._touch(folder)

    async def let_count(self, entry: Entry, *, counts: bool) -> None:
        await self._change(COUNTED, entry=entry.id, counts=counts)

    async def uncounted(self) -> list[Entry]:
        return [_entry(row) for row in await self._read(UNCOUNTED)]

    async def depth(self, folder: int) -> int:
        ((depth,),) = await self._read(DEPTH, folder=folder)
        return int(depth)

    async def set_times(self, entry: Entry, times: tuple[int, int]) -> None:
        await self._change(TIMES_SET, entry=entry.id, accessed=times[0], modified=times[1])

    async def _root(self) -> Entry:
        found = await self._read(ROOT_TIME)
        modified = found[0][0] if found else 0
        return Entry(ROOT, ROOT, b"/", None, 0, modified, modified)

    async def _touch(self, folder: int) -> None:
        await self._change(TOUCHED if folder else ROOT_TOUCHED, folder=folder, now=time.time_ns())

    async def _read(self, statement: str, **values: object) -> list[Row]:
        return await self._database.read(statement, id=self.tenant_id, **values)

    async def _change(self, statement: str, **values: object) -> int:
        return await self._database.step(statement, id=self.tenant_id, **values)


def _entry(row: Row) -> Entry:
    written = row["written"]
    return Entry(
        id=row["id"],
        folder=row["folder_id"],
        name=bytes(row["name"]),
        content=row["content_id"],
        size=row["size"],
        accessed=row["accessed"],
        modified=row["modified"],
        written=Written.from_json(written) if written else None,
    )
