"""Contents whose bytes are objects outside of the database.

Theory. A content is never without its object, and an object is never deleted that a content needs:

1  The row of the content is committed before its object is put: not sealed, so nothing can refer to it. Its key is
   new, and cannot be guessed.
2  The object is put whole, its length is asked for, and then the row is sealed, with the SHA-256 of each chunk. Only
   now a name or a kept file can refer to it. A server that is killed before leaves a row that is deleted as one that
   nothing refers to.
3  A content is deleted as in `engine.postgres.files.contents`. A trigger notes its object in the same transaction,
   and the object is deleted after that is on disk (`engine.postgres.files.ended`). A row that is gone cannot be
   sealed: so an object that arrives later has no content, and gets none.

An object is never changed, and each read compares the SHA-256 of what it got. Contents that are in chunks stay there.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

from engine.postgres.database import ATTEMPTS, ON_NO_DISK, Database
from engine.postgres.files.contents import (
    AT_ONCE,
    ONE,
    SIZE,
    PostgresContents,
    gone,
    id_of,
    new_id,
    read_all,
    write_all,
)
from engine.postgres.files.ended import STRAY_S, EndedObjects
from engine.postgres.files.owner import Owner
from engine.shared.files import CHUNK, UNNEEDED_S
from engine.shared.objects import BLOCK, MOST_BLOCKS, Objects
from importer.errors import DatabaseAway, FilesAway, TryAgain

T = TypeVar("T")

SUM = 32
"""The bytes of a SHA-256."""
UPLOADS = 4
"""So many long files are put at once. Each has a few blocks in memory."""
KEPT_EVERY_S = 300.0
"""How often the deletion of a content is put off whose object is being put."""

Keep = Callable[[], Awaitable[object]]

BEGUN = (
    "INSERT INTO contents (tenant_id, id, size, object)"
    " SELECT id, %(new)s, %(size)s, %(place)s || '/' || id || '/' || %(random)s FROM tenants WHERE name = %(tenant)s"
    " RETURNING id, object"
)
SEALED = f"UPDATE contents SET sealed = true, sums = %(sums)b WHERE {ONE} AND object = %(object)s"  # noqa: S608 - constants
FACTS = (
    f"SELECT size, object, substring(sums FROM %(first)s::integer * {SUM} + 1 FOR %(count)s::integer * {SUM})"  # noqa: S608
    f" FROM contents WHERE {ONE} AND sealed"
)


@dataclass(frozen=True, slots=True)
class _Part:
    """Chunks of an object of `size` bytes: from `start` to `end`, each with its SHA-256."""

    key: str
    size: int
    start: int
    end: int
    sums: bytes


class ObjectContents:
    """An `engine.shared.files.Contents` that stores in `objects`.

    Rows of new contents are written through `rows`, so that callers that hold all connections of `database` in blocks
    of `together` do not wait for each other.
    """

    def __init__(
        self,
        database: Database,
        objects: Objects,
        unneeded_s: float = UNNEEDED_S,
        stray_s: float = STRAY_S,
        *,
        rows: Database | None = None,
        owner: Owner | None = None,
        doubt: Callable[[], None] = lambda: None,
    ) -> None:
        """`owner`: one that was asked already. `doubt` is called when an object cannot be put."""
        self._doubt = doubt
        self._database = database
        self._rows = rows or database
        self._objects = objects
        self._chunks = PostgresContents(database, unneeded_s)
        self._owner = owner or Owner(database, objects)
        self._ended = EndedObjects(database, objects, stray_s)
        self._uploads = asyncio.Semaphore(UPLOADS)

    async def check(self) -> None:
        """Check that the objects can be read, and are those of this database. Raises FilesAway, DatabaseUnusable."""
        await self._owner.check()

    @property
    def most_bytes(self) -> int:
        return MOST_BLOCKS * BLOCK

    async def store(self, tenant: str, fd: int, size: int) -> int:
        # In a task of its own, so that the row is committed before the object is put, also in a block of `together`.
        return await asyncio.create_task(self._store(tenant, fd, size), name="storing a file")

    async def _store(self, tenant: str, fd: int, size: int) -> int:
        if size > self.most_bytes:
            raise OSError(errno.EFBIG, f"the storage of files takes at most {self.most_bytes:,} bytes a file")
        place = await self._owner.place()
        async with self._uploads if size > BLOCK else nullcontext():
            return await self._stored(tenant, fd, size, place)

    async def _stored(self, tenant: str, fd: int, size: int, place: str) -> int:
        content, key = await _again(lambda: self._begin(tenant, size, place))
        try:
            sums = await self._put(key, fd, size, lambda: self.keep_for_reader(tenant, content))
        except FilesAway:
            self._doubt()
            raise
        if (stored := await self._objects.size(key)) != size:
            raise FilesAway(f"it has {stored or 0:,} of {size:,} bytes of the object {key}")
        await _again(lambda: self._seal(tenant, content, key, sums))
        return content

    async def read(self, tenant: str, content: int, offset: int, size: int) -> bytes:
        if size <= 0:
            return b""
        found = await self._part(tenant, content, offset, size)
        if found is None:
            return await self._chunks.read(tenant, content, offset, size)
        data = await self._read(tenant, content, found)
        return data[offset - found.start : offset - found.start + size]

    async def fetch(self, tenant: str, content: int, fd: int) -> int:
        offset = 0
        while found := await self._part(tenant, content, offset, AT_ONCE * CHUNK):
            await asyncio.to_thread(write_all, fd, await self._read(tenant, content, found), offset)
            offset = found.end
            if offset >= found.size:
                return offset
        return await self._chunks.fetch(tenant, content, fd)

    async def keep_for_reader(self, tenant: str, content: int) -> bool:
        return await self._chunks.keep_for_reader(tenant, content)

    async def collect(self, limit: int) -> int:
        await self._owner.check()  # a copy of the database deletes nothing, nor does one whose copy has taken over
        place = await self._owner.place()
        deleted = await self._chunks.collect(limit)
        if self._owner.may_delete:
            await self._ended.delete(place, limit)
        await self._ended.look_for_strays(place)
        return deleted

    # Storing

    async def _begin(self, tenant: str, size: int, place: str) -> tuple[int, str]:
        """Write the row of a new content; return its id and the key of its object."""
        values = {"new": new_id(), "size": size, "place": place, "random": secrets.token_hex(16), "tenant": tenant}
        async with self._rows.transaction(ON_NO_DISK) as steps:
            found = await steps.rows(BEGUN, **values)
        return id_of(found, tenant), found[0]["object"]

    async def _put(self, key: str, fd: int, size: int, keep: Keep) -> bytes:
        """Put the first `size` bytes of an open file; return the SHA-256 of each chunk.

        `keep` puts off the deletion of the content, if it takes long.
        """
        if size <= BLOCK:
            data, summed = await asyncio.to_thread(_read_summed, fd, size, 0)
            await self._objects.put(key, data)
            return summed
        sums: list[bytes] = []
        await self._objects.put_blocks(key, _blocks(fd, size, sums, keep))
        return b"".join(sums)

    async def _seal(self, tenant: str, content: int, key: str, sums: bytes) -> None:
        async with self._rows.transaction(ON_NO_DISK) as steps:
            # On disk with the transaction that first refers to it: PostgreSQL keeps the order of commits.
            if not await steps.change(SEALED, tenant=tenant, content=content, object=key, sums=sums):
                raise gone(content)  # the tenant was removed meanwhile, or storing took too long

    # Reading

    async def _part(self, tenant: str, content: int, offset: int, size: int) -> _Part | None:
        """Return where these bytes are, with the rest of their chunks; None if the content is in chunks."""
        first, count = offset // CHUNK, (offset + size - 1) // CHUNK - offset // CHUNK + 1
        found = await self._database.blobs(FACTS, tenant=tenant, content=content, first=first, count=count)
        if not found:
            raise gone(content)
        length, key, sums = found[0]
        if key is None:
            return None
        start = min(first * CHUNK, length)
        return _Part(key, length, start, min((first + count) * CHUNK, length), bytes(sums))

    async def _read(self, tenant: str, content: int, part: _Part) -> bytes:
        found = []
        for start in range(part.start, part.end, AT_ONCE * CHUNK):
            end = min(start + AT_ONCE * CHUNK, part.end)
            sums = part.sums[(start - part.start) // CHUNK * SUM :]
            found.append(await self._checked(tenant, content, replace(part, start=start, end=end, sums=sums)))
        return b"".join(found)

    async def _checked(self, tenant: str, content: int, part: _Part) -> bytes:
        """Return the bytes of a part. They are asked for once more if they are not what was stored."""
        data: bytes | None = None
        for _ in range(2):
            data = await self._objects.read(part.key, part.start, part.end)
            if data is None:
                break
            if len(data) == part.end - part.start:
                summed = await asyncio.to_thread(_sums, data) if len(data) > CHUNK else _sums(data)
                if summed == part.sums[: len(summed)]:
                    return data
        if not await self._database.read(SIZE, tenant=tenant, content=content):
            raise gone(content)
        fault = "is missing" if data is None else "is damaged: its SHA-256 differs"
        raise TryAgain(
            "disk_error", "a stored file cannot be read", f"the object {part.key} in {self._objects.name} {fault}"
        )


async def _blocks(fd: int, size: int, sums: list[bytes], keep: Keep) -> AsyncIterator[bytes]:
    """Yield the first `size` bytes of an open file in blocks, and add the SHA-256 of their chunks to `sums`."""
    kept_at = time.monotonic()
    for start in range(0, size, BLOCK):
        if time.monotonic() - kept_at >= KEPT_EVERY_S:
            kept_at = time.monotonic()
            await keep()
        data, summed = await asyncio.to_thread(_read_summed, fd, min(BLOCK, size - start), start)
        sums.append(summed)
        yield data


def _read_summed(fd: int, size: int, start: int) -> tuple[bytes, bytes]:
    data = read_all(fd, size, start)
    return data, _sums(data)


def _sums(data: bytes) -> bytes:
    view = memoryview(data)
    return b"".join(hashlib.sha256(view[at : at + CHUNK]).digest() for at in range(0, len(data), CHUNK))


async def _again(act: Callable[[], Awaitable[T]]) -> T:
    """Return what `act` returns. It is done again if the database is lost: nothing refers to the content yet."""
    for left in reversed(range(ATTEMPTS)):
        try:
            return await act()
        except DatabaseAway:
            if not left:
                raise
    raise AssertionError
