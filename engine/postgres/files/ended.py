"""The table `ended_objects`: objects to delete.

A key gets there in two ways. The deletion of a content notes the key of its object, in the same transaction. And all
objects are listed in turns: one that no content has is noted, to be deleted `STRAY_S` later. A listing alone never
decides. The row of a content is committed before its object is put. So an object that is listed and has no content
has lost it, and never gets one: no row is inserted with a key that was used. The time is for another case: an older
state of the database was restored by mistake, and the newer one is restored in its place within a week.

An object is deleted after the transaction that notes it is on disk. If the deletion fails, or its server is killed,
it is tried again later; to delete an object twice does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.postgres.database import Database
from engine.shared.objects import Objects

STRAY_S = 7 * 86_400.0
"""An object without a content is deleted so many seconds after it was found."""
AGAIN_S = 600.0
"""Seconds until a deletion is tried again that has not ended."""
PAGE = 1000
"""The most objects that are listed at once."""
KEY = re.compile(r"/[0-9]+/[0-9a-f]{32}")
"""How keys of contents end, after the place of the installation."""

# This transaction is on disk when it ends, and with it all that were visible to it.
CLAIMED = """
    UPDATE ended_objects SET tried_at = clock_timestamp() WHERE object IN (
        SELECT object FROM ended_objects WHERE due_at < clock_timestamp()
            AND (tried_at IS NULL OR tried_at < clock_timestamp() - make_interval(secs => %s))
        ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED)
    RETURNING object, (SELECT 1 FROM contents WHERE contents.object = ended_objects.object LIMIT 1) IS NOT NULL"""
OVERDUE = """
    SELECT count(*) FROM ended_objects
    WHERE due_at < clock_timestamp() - make_interval(secs => %s) AND tried_at IS NOT NULL"""
REMOVED = "DELETE FROM ended_objects WHERE object = ANY (%s)"
STRAYS = """
    INSERT INTO ended_objects (object, due_at) SELECT key, clock_timestamp() + make_interval(secs => %(stray)s)
    FROM unnest(%(keys)s::text[]) AS key
    WHERE (SELECT 1 FROM contents WHERE contents.object = key COLLATE "C" LIMIT 1) IS NULL
    ON CONFLICT (object) DO NOTHING"""


class EndedObjects:
    """Deletes objects in `objects`."""

    def __init__(self, database: Database, objects: Objects, stray_s: float) -> None:
        self._database = database
        self._objects = objects
        self._stray_s = stray_s
        self._after = ""
        """The key after which the next listing begins."""

    async def delete(self, place: str, limit: int) -> None:
        """Delete up to `limit` objects that are due."""
        async with self._database.transaction() as steps:
            found = [(str(row[0]), bool(row[1])) for row in await steps.rows(CLAIMED, AGAIN_S, limit)]
        keys = [key for key, is_needed in found if not is_needed and _is_ours(place, key)]
        await self._objects.delete(keys)
        if found:
            await self._database.change(REMOVED, [key for key, _ in found])

    async def look_for_strays(self, place: str) -> None:
        """List some more objects of the installation, and note those that have no content."""
        listed = await self._objects.list(place, self._after, PAGE)
        self._after = listed[-1][0] if len(listed) == PAGE else ""
        await self._note([key for key, _ in listed if _is_ours(place, key)])

    async def _note(self, keys: Sequence[str]) -> None:
        if keys:
            await self._database.change(STRAYS, stray=self._stray_s, keys=keys)


def _is_ours(place: str, key: str) -> bool:
    """Return whether it is the key of a content of this installation."""
    return key.startswith(place) and bool(KEY.fullmatch(key, len(place)))
