"""Whether the storage of files outside of the database can be used, as it was a moment ago."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from engine.postgres.database import Database
from engine.postgres.files.owner import LONGEST, WAIT_S, Owner
from engine.shared.objects import Objects
from importer.errors import FilesAway

BEAT_S = 5.0
"""Seconds between two questions while there are answers."""
AWAY_BEAT_S = 1.0
"""And while there are none."""

Heard = Callable[[Exception | None], None]
"""Is called when the storage is found to be away, with the reason, and with None when it is back."""


class ObjectsPulse:
    """The newest answer of the storage."""

    def __init__(self, owner: Owner, objects: Objects, heard: Heard) -> None:
        self.owner = owner
        self._objects = objects
        self._heard = heard
        self._why: FilesAway | None = None
        self._doubts = False

    def check(self) -> None:
        """Raise FilesAway if the storage could not be read. Does not wait."""
        if self._why:
            raise self._why.with_traceback(None)

    def doubt(self) -> None:
        """Have the storage asked to store something, too: it could not store a file."""
        self._doubts = True

    async def begin(self) -> None:
        """Ask for the first time. Raises FilesAway, and DatabaseUnusable if the objects are others."""
        await self.owner.check()
        await self._write()

    async def beat(self) -> None:
        """Ask again and again, until it is canceled."""
        while True:
            await asyncio.sleep(AWAY_BEAT_S if self._why else BEAT_S)
            try:
                await self._objects.read(await self.owner.key(), 0, LONGEST)
                if self._doubts:
                    await self._write()
            except FilesAway as error:
                self._tell(error)
            else:
                self._tell(None)

    async def _write(self) -> None:
        await self._objects.put(f"{await self.owner.place()}/pulse", b"")
        self._doubts = False

    def _tell(self, why: FilesAway | None) -> None:
        before, self._why = self._why, why
        if (before is None) != (why is None):
            self._heard(why)


@asynccontextmanager
async def feeling_objects(
    database: Database, objects: Objects | None, heard: Heard, token_heard: Heard
) -> AsyncIterator[ObjectsPulse | None]:
    """Follow whether `objects` can be used, while the block runs. Yields None if there are none.

    `token_heard` hears why they take no new token (`Owner.keep`), and None when they take one again.
    """
    if objects is None:
        yield None
        return
    pulse = ObjectsPulse(Owner(database, objects, WAIT_S), objects, heard)
    await pulse.begin()
    tasks = [
        asyncio.create_task(pulse.beat(), name="pulse of the files"),
        asyncio.create_task(pulse.owner.keep(token_heard), name="token of the files"),
    ]
    try:
        yield pulse
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
