"""The part of `headcount doctor` that looks at the objects of files outside of the database.

It changes nothing but one thing: if no object names the database, one is put. If there is one, it is put again as it
is, to learn whether the storage takes conditions.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection

from engine.examined import ObjectFacts, StoredFile
from engine.postgres.database import Database
from engine.postgres.files.ended import OVERDUE, PAGE
from engine.postgres.files.owner import Owner
from engine.shared.objects import BLOCK, Objects
from importer.errors import DatabaseUnusable, FilesAway

OVERDUE_S = 86_400.0

NEXT = """
    SELECT object, size, tenant_id, id, unneeded_at IS NULL FROM contents WHERE object > %s AND sealed
    ORDER BY object LIMIT %s"""
# As `engine.postgres.examining` names them.
FILES = """
    WITH bad AS (SELECT * FROM unnest(%(tenants)s::bigint[], %(contents)s::bigint[]) AS bad (tenant_id, id))
    SELECT tenants.name, kept_files.name, content_id, true, object FROM bad
        JOIN contents ON contents.tenant_id = bad.tenant_id AND contents.id = bad.id
        JOIN kept_files ON kept_files.tenant_id = bad.tenant_id AND content_id = bad.id
        JOIN tenants ON tenants.id = bad.tenant_id WHERE tenants.name IS NOT NULL
    UNION ALL SELECT tenants.name, encode(names.name, 'escape'), content_id, false, object FROM bad
        JOIN contents ON contents.tenant_id = bad.tenant_id AND contents.id = bad.id
        JOIN names ON names.tenant_id = bad.tenant_id AND content_id = bad.id
        JOIN tenants ON tenants.id = bad.tenant_id WHERE tenants.name IS NOT NULL
    ORDER BY 1, 2"""


async def examine_objects(database: Database, objects: Objects) -> ObjectFacts:
    """Gather what is wrong with the objects. The schema must be the current one. Raises DatabaseAway."""
    try:
        owner = Owner(database, objects)
        await owner.check()
        refused = await owner.why_unchangeable()
        listed = {key: size async for key, size in _all(objects, await owner.place())}
        bad = [each async for each in _incomplete(database, objects, listed)]
    except FilesAway as error:
        return ObjectFacts(objects.name, error.in_full)
    except DatabaseUnusable as error:
        return ObjectFacts(objects.name, str(error))
    ((overdue,),) = await database.read(OVERDUE, OVERDUE_S)
    return ObjectFacts(objects.name, None, tuple(await _files(database, bad)), overdue, refused)


async def sha256_of(objects: Objects, key: str) -> str | None:
    """Return the SHA-256 of an object; None if there is none. Raises FilesAway."""
    size = await objects.size(key)
    if size is None:
        return None
    summed = hashlib.sha256()
    for start in range(0, size, BLOCK):
        summed.update(await objects.read(key, start, min(start + BLOCK, size)) or b"")
    return summed.hexdigest()


async def _all(objects: Objects, place: str) -> AsyncIterator[tuple[str, int]]:
    after = ""
    while page := await objects.list(place, after, PAGE):
        for each in page:
            yield each
        after = page[-1][0]


async def _incomplete(database: Database, objects: Objects, listed: dict[str, int]) -> AsyncIterator[tuple[int, int]]:
    """Yield the contents whose object is missing or has another length, whatever a listing says."""
    after = ""
    while page := await database.read(NEXT, after, PAGE):
        for key, size, tenant_id, content, is_needed in page:
            if is_needed and listed.get(key) != size and await objects.size(key) != size:
                yield tenant_id, content
        after = page[-1][0]


async def _files(database: Database, bad: Collection[tuple[int, int]]) -> list[StoredFile]:
    """Return the files that refer to these contents."""
    if not bad:
        return []
    tenants, contents = ([each[at] for each in bad] for at in (0, 1))
    return [StoredFile(*row) for row in await database.read(FILES, tenants=tenants, contents=contents)]
