"""The tables `contents` and `chunks`. Every statement uses an index."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator

from engine.postgres.database import ATTEMPTS, ON_NO_DISK, Database, Steps
from engine.postgres.rows import Row
from engine.postgres.server.tenants import ID
from engine.shared.files import CHUNK, UNNEEDED_S, ContentGone
from importer.errors import DatabaseAway, Refused

AT_ONCE = 16
"""The most chunks in one transaction, in one answer, and in the memory of one file."""

ID_BITS = 62
"""An id is random. One that is taken already is refused by the key of the table."""

OF = "tenant_id = (SELECT id FROM tenants WHERE name = %(tenant)s)"
ONE = f"{OF} AND id = %(content)s"

MADE = "INSERT INTO contents (tenant_id, id, size) SELECT id, %s, %s FROM tenants WHERE name = %s RETURNING id"
SHORT = (
    "WITH made AS (INSERT INTO contents (tenant_id, id, size, sealed)"
    " SELECT id, %s, %s, true FROM tenants WHERE name = %s RETURNING tenant_id, id),"
    " written AS (INSERT INTO chunks (tenant_id, content_id, number, bytes) SELECT tenant_id, id, 0, %b FROM made)"
    " SELECT id FROM made"
)
"""SQL: store a content of one chunk in one step."""
WRITTEN = f"INSERT INTO chunks (tenant_id, content_id, number, bytes) VALUES ({ID}, %s, %s, %b)"  # noqa: S608
SEALED = (
    f"UPDATE contents SET sealed = true WHERE {ONE} AND size = (SELECT coalesce(sum(octet_length(bytes)), 0)"  # noqa: S608
    " FROM chunks WHERE chunks.tenant_id = contents.tenant_id AND content_id = contents.id)"
)
SIZE = f"SELECT size FROM contents WHERE {ONE} AND sealed"  # noqa: S608 - constants
PARTS = (
    f"SELECT substring(bytes FROM greatest(%(offset)s - number::bigint * {CHUNK}, 0)::integer + 1"  # noqa: S608
    f" FOR (least(%(end)s - number::bigint * {CHUNK}, {CHUNK})"
    f" - greatest(%(offset)s - number::bigint * {CHUNK}, 0))::integer) FROM chunks"
    f" WHERE {OF} AND content_id = %(content)s AND number BETWEEN %(first)s AND %(last)s ORDER BY number"
)
READ_ON = f"UPDATE contents SET unneeded_at = clock_timestamp() WHERE {ONE} AND unneeded_at IS NOT NULL"  # noqa: S608
UNNEEDED = (
    "SELECT tenant_id, id FROM contents WHERE unneeded_at < clock_timestamp() - make_interval(secs => %s)"
    " ORDER BY unneeded_at LIMIT %s FOR UPDATE SKIP LOCKED"
)
DELETED = "DELETE FROM contents WHERE tenant_id = %s AND id = %s"


class PostgresContents:
    """A `engine.shared.files.Contents`. `collect` deletes what was not needed for `unneeded_s`."""

    def __init__(self, database: Database, unneeded_s: float = UNNEEDED_S) -> None:
        self._database = database
        self._unneeded_s = unneeded_s

    @property
    def most_bytes(self) -> None:
        return None

    async def store(self, tenant: str, fd: int, size: int) -> int:
        for left in reversed(range(ATTEMPTS)):
            try:
                return await self._store(tenant, fd, size)
            except DatabaseAway:  # nothing refers to what was stored so far, so it can be stored once more
                if not left:
                    raise
        raise AssertionError

    async def _store(self, tenant: str, fd: int, size: int) -> int:
        if size <= CHUNK:
            return await self._store_short(tenant, read_all(fd, size, 0))
        content: int | None = None
        number = 0
        async for batch, last in _batches(fd, size):
            # On disk with the transaction that first refers to it: PostgreSQL keeps the order of commits.
            async with self._database.transaction(ON_NO_DISK) as steps:
                if content is None:
                    content = await _made(steps, tenant, size)
                await steps.change_each(
                    WRITTEN, [(tenant, content, number + at, each) for at, each in enumerate(batch)]
                )
                if last:
                    await _seal(steps, tenant, content)
            number += len(batch)
        assert content is not None
        return content

    async def _store_short(self, tenant: str, data: bytes) -> int:
        async with self._database.transaction(ON_NO_DISK) as steps:
            return id_of(await steps.rows(SHORT, new_id(), len(data), tenant, data), tenant)

    async def read(self, tenant: str, content: int, offset: int, size: int) -> bytes:
        data = await self._part(tenant, content, offset, offset + size) if size > 0 else b""
        if len(data) < size and offset + len(data) < await self._size(tenant, content):
            raise gone(content)
        return data

    async def fetch(self, tenant: str, content: int, fd: int) -> int:
        size = await self._size(tenant, content)
        for offset in range(0, size, AT_ONCE * CHUNK):
            end = min(offset + AT_ONCE * CHUNK, size)
            data = await self._part(tenant, content, offset, end)
            if len(data) != end - offset:
                raise gone(content)
            await asyncio.to_thread(write_all, fd, data, offset)
        return size

    async def keep_for_reader(self, tenant: str, content: int) -> bool:
        async with self._database.transaction(ON_NO_DISK) as steps:
            if await steps.change(READ_ON, tenant=tenant, content=content):
                return True
            return bool(await steps.rows(SIZE, tenant=tenant, content=content))

    async def collect(self, limit: int) -> int:
        deleted = 0
        while deleted < limit:
            # One a transaction: a long file has a million rows in PostgreSQL's own tables.
            async with self._database.transaction(ON_NO_DISK) as steps:
                found = await steps.rows(UNNEEDED, self._unneeded_s, 1)
                if not found:
                    break
                await steps.change(DELETED, *found[0])
            deleted += 1
        return deleted

    async def _size(self, tenant: str, content: int) -> int:
        found = await self._database.read(SIZE, tenant=tenant, content=content)
        if not found:
            raise gone(content)
        return int(found[0][0])

    async def _part(self, tenant: str, content: int, offset: int, end: int) -> bytes:
        """Return the bytes from `offset` to `end`, as far as they are there: at least one is asked for."""
        rows = await self._database.blobs(
            PARTS,
            tenant=tenant,
            content=content,
            offset=offset,
            end=end,
            first=offset // CHUNK,
            last=(end - 1) // CHUNK,
        )
        return b"".join(row[0] for row in rows)


async def _made(steps: Steps, tenant: str, size: int) -> int:
    return id_of(await steps.rows(MADE, new_id(), size, tenant), tenant)


def new_id() -> int:
    """Return the id of a new content: one that no other content has had, also none that a crash of PostgreSQL took.

    A sequence gives a number again if the transaction that got it first was not on disk.
    """
    return secrets.randbits(ID_BITS) + 1


def id_of(found: list[Row], tenant: str) -> int:
    """Return the id of a row that was added. Raises Refused if none was: there is no such tenant."""
    if not found:
        raise Refused("unknown_tenant", f"the tenant {tenant} no longer exists")
    return int(found[0][0])


async def _seal(steps: Steps, tenant: str, content: int) -> None:
    if not await steps.change(SEALED, tenant=tenant, content=content):
        raise gone(content)  # the tenant was removed meanwhile


async def _batches(fd: int, size: int) -> AsyncIterator[tuple[list[bytes], bool]]:
    """Yield the chunks of the first `size` bytes of an open file in batches, and whether a batch is the last."""
    most = AT_ONCE * CHUNK
    for start in range(0, max(size, 1), most):
        length = min(most, size - start)
        data = await asyncio.to_thread(read_all, fd, length, start) if length > CHUNK else read_all(fd, length, start)
        yield [data[at : at + CHUNK] for at in range(0, length, CHUNK)], start + length == size


def read_all(fd: int, size: int, offset: int) -> bytes:
    """Return `size` bytes of an open file. Raises OSError if it is shorter."""
    parts = []
    while size > 0:
        part = os.pread(fd, size, offset)
        if not part:
            raise OSError(5, "the file is shorter than it was")
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)


def write_all(fd: int, data: bytes, offset: int) -> None:
    """Write all of `data` to an open file."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def gone(content: int) -> ContentGone:
    """Return the error about a content that is not stored."""
    return ContentGone(f"the content {content} is no longer stored")
