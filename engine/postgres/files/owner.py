"""Which objects belong to a database, and whether it is the only one that uses them.

A database has an id of its own for its objects, in the table `marks`. All keys begin with it. The object ID/database
names the database, so that a copy of the database is found out: it would delete objects that the other one needs.

A copy of PostgreSQL's own files has the same name. So the object has a token, too, that servers change again and
again. A copy does not have the tokens that were made after it: to it, the objects are those of another database.

1  A token is committed in `marks` before it is put: so the database has each token that the object may have, whatever
   ends between the two, and however often the put is done. The next token is made after the last one was found in
   the object, or when the object is not there. The database keeps the newest `KEPT`.
2  A token is put in place of the state that was read before. So a server that was frozen puts nothing in place of a
   newer one, nor does a request that was lost. In a storage that cannot do that, the object may get an older token,
   which the database still has.
3  A server that has just started changes no token for `WAIT_S`. If another database is used, its servers change the
   token meanwhile. It deletes no object for `SETTLED_S` more: if servers of both were started at the same time, the
   token is changed only now, and one of them finds that. Nor does it delete an object until it has seen the token
   change: a storage that takes no new token hides another database.
4  The object is put only if there is none. So of two databases that are started at once, one finds the other's name.
5  A token is put at the look after the one that made it. So a standby that is a little behind has it, if it takes
   over.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress

from engine.postgres.database import Database
from engine.shared.objects import Objects
from importer.errors import DatabaseFault, DatabaseUnusable, FilesAway, TryAgain

MARK = "files"
"""The name of the mark. Its text is the id."""
TOKENS = "files-tokens"
"""The name of the mark whose text has the tokens, newest first, with spaces between them."""
KEPT = 100
"""So many tokens are kept."""
LONGEST = 100
LOOK_S = 15.0
"""Seconds between two looks at the token."""
CHANGED_S = 45.0
"""A token that is so old is changed: so it changes about each minute."""
WAIT_S = 180.0
"""A server that has just started waits so many seconds. Others of another database change the token meanwhile."""
SETTLED_S = 120.0
"""Then it deletes nothing for so many seconds more: by two looks, one of two databases has changed the token."""

PUTS = 3
"""So often the object is put again as it is: each may fail because a server changes the token."""
REFUSED_MOST = 8
"""So many puts of a token in a row may change nothing. Then the storage refuses it, or its condition."""
NO_CONDITION = "it refuses the condition If-Match, or the put is lost"

MADE = "INSERT INTO marks (name, text) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING"
FOUND = "SELECT text FROM marks WHERE name = %s"
CHANGED = "UPDATE marks SET text = %s WHERE name = %s AND text = %s"
# The number of a cluster of PostgreSQL, and of a database in it. A restored dump has others.
ITSELF = """
    SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()"""
USED = "SELECT (SELECT 1 FROM contents WHERE object IS NOT NULL ORDER BY object LIMIT 1) IS NOT NULL"


class Owner:
    """The place of the objects of a database in `objects`."""

    def __init__(self, database: Database, objects: Objects, wait_s: float = 0) -> None:
        """`wait_s`: how long it changes no token. It deletes nothing for `SETTLED_S` more, if it waits at all."""
        self._database = database
        self._objects = objects
        self._place: str | None = None
        self._lock = asyncio.Lock()
        self._waits_until = time.monotonic() + wait_s
        self._deletes_from = self._waits_until + (SETTLED_S if wait_s else 0)
        self._seen = (b"", time.monotonic())
        """The content of the object at the newest look, and when it was first seen."""
        self._next = ""
        """The token to put at the next look."""
        self._has_changed = not wait_s
        """Whether the token was seen to change. If the storage takes no new one, another database is not noticed."""
        self._refused = 0
        """How many puts in a row have changed nothing."""
        self._why_refused = NO_CONDITION

    async def place(self) -> str:
        """Return the id with which all keys begin. The first time, as `check`."""
        async with self._lock:
            if self._place is None:
                self._place = await self._found()
            return self._place

    async def key(self) -> str:
        """Return the key of the object that names the database."""
        return f"{await self.place()}/database"

    @property
    def may_delete(self) -> bool:
        """Whether another database would have been noticed by now. Ask it after `check`."""
        return self._has_changed and time.monotonic() >= self._deletes_from

    @property
    def why_refused(self) -> str | None:
        """Why the storage takes no new token; None if it does, or if that is not known yet."""
        return self._why_refused if self._refused >= REFUSED_MOST else None

    async def check(self) -> None:
        """Check again that the objects are those of this database, and of no other.

        Raises FilesAway, and DatabaseUnusable with what to do.
        """
        async with self._lock:
            self._place = await self._found()

    async def keep(self, heard: Callable[[Exception | None], None]) -> None:
        """Change the token again and again, until it is canceled.

        `heard` hears why the storage takes no new one, and None when it takes one again.
        """
        told = False
        while True:
            await asyncio.sleep(LOOK_S)
            # The deletion tells of another database, and the pulse tells what is away.
            with suppress(TryAgain, DatabaseUnusable, DatabaseFault):
                await self.look(CHANGED_S)
            if (why := self.why_refused) and not told:
                heard(FilesAway(why))
            elif told and not why:
                heard(None)
            told = bool(why)

    async def why_unchangeable(self) -> str | None:
        """Put the object again as it is, if it is as it was. Return why that is refused; None if it is not.

        Raises FilesAway.
        """
        for _ in range(PUTS):
            found = await self._objects.tagged(await self.key())
            try:
                if found is None or await self._objects.replace(await self.key(), *found):
                    return None
            except FilesAway as error:
                return error.why
        return NO_CONDITION

    async def look(self, changed_s: float) -> None:
        """Look at the token once: if it is `changed_s` old, make the next one, and put it at the next look.

        Raises as `check`.
        """
        key = await self.key()
        found = await self._objects.tagged(key)
        if found is None:  # `check` puts it
            return
        data, tag = found
        if data != self._seen[0]:
            self._has_changed = self._has_changed or bool(self._seen[0])
            self._seen, self._next, self._refused = (data, time.monotonic()), "", 0
        if time.monotonic() < max(self._seen[1] + changed_s, self._waits_until):
            return
        await self.check()
        known, itself = await self._tokens(), await self._itself()
        is_put = not known or data == _named(itself, known[0])
        newest = await self._new_token(known) if is_put else known[0]
        if newest == self._next:
            await self._put(key, _named(itself, newest), tag)
        self._next = newest

    async def _put(self, key: str, data: bytes, tag: str) -> None:
        """Put a token. Whether it is there shows the next look: the answer may be lost, or another one was put."""
        self._refused += 1
        try:
            await self._objects.replace(key, data, tag)
        except FilesAway as error:
            self._why_refused = error.why
            raise
        self._why_refused = NO_CONDITION

    async def _found(self) -> str:
        place, itself = await self._id(), await self._itself()
        key = f"{place}/database"
        named = await self._objects.read(key, 0, LONGEST)
        if named is None:
            await self._refuse_others(place)
            await self._create(key, _named(itself, await self._new_token(await self._tokens())))
            named = await self._objects.read(key, 0, LONGEST)  # another database may have been first
        while named is not None and not await self._is_own(named, itself):
            before, named = named, await self._objects.read(key, 0, LONGEST)
            if named == before:  # else it was changed meanwhile, and the tokens may be newer than what was read
                raise self._of_another(key)
        return place

    async def _create(self, key: str, data: bytes) -> None:
        """Put the object if there is none. A storage that refuses this condition gets it without one."""
        try:
            await self._objects.create(key, data)
        except FilesAway:
            if await self._objects.read(key, 0, LONGEST) is None:
                await self._objects.put(key, data)

    async def _is_own(self, named: bytes, itself: str) -> bool:
        """Return whether this database put this. Without a token, an older Headcount did."""
        name, _, token = named.decode("utf-8", "replace").partition(" ")
        return name == itself and (not token or token in await self._tokens())

    def _of_another(self, key: str) -> DatabaseUnusable:
        return DatabaseUnusable(
            f"the files in {self._objects.name} belong to another database, and this one seems to be a copy or an "
            "older state of it. Each would delete files of the other. Name a copy of the files in "
            "HEADCOUNT_FILES_URL. If the other database is never used again, or in that copy, delete the object "
            f"{key}, and start again"
        )

    async def _id(self) -> str:
        """Return the id, which is made the first time."""
        for _ in range(2):
            if found := await self._database.read(FOUND, MARK):
                return str(found[0][0])
            await self._database.change(MADE, MARK, secrets.token_hex(8))
        raise AssertionError

    async def _itself(self) -> str:
        return str((await self._database.read(ITSELF))[0][0])

    async def _tokens(self) -> list[str]:
        found = await self._database.read(FOUND, TOKENS)
        return str(found[0][0]).split() if found else []

    async def _new_token(self, known: list[str]) -> str:
        """Return a token that is newer than those that are known: another server may have made it. It is on disk."""
        await self._database.change(MADE, TOKENS, "")
        tokens = [secrets.token_hex(8), *known][:KEPT]
        await self._database.change(CHANGED, " ".join(tokens), TOKENS, " ".join(known))
        return (await self._tokens())[0]

    async def _refuse_others(self, place: str) -> None:
        """Refuse a bucket without the objects that this database has."""
        ((used,),) = await self._database.read(USED)
        if used and not await self._objects.list(place, "", 1):
            raise DatabaseUnusable(
                f"{self._objects.name} does not have the files of this database. Check HEADCOUNT_FILES_URL"
            )


def _named(itself: str, token: str) -> bytes:
    return f"{itself} {token}".encode()


async def require_no_objects(database: Database) -> None:
    """Check that all files are in the database. Raises DatabaseUnusable."""
    ((used,),) = await database.read(USED)
    if used:
        raise DatabaseUnusable(
            "files of this database are in S3-compatible storage. Name it in HEADCOUNT_FILES_URL, as before"
        )
