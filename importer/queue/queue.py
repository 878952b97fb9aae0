"""The queue of all imports: every change of state is one short, durable transaction, here.

    arriving -> queued -> running -> an end, or held
    arriving -> aborted, ignored          queued, held -> superseded
    running  -> queued (tried again)      held -> queued (approved, proven whole), discarded
    applied  -> queued (to be undone) -> running -> undone, or as it was

Each change names the states it may start from, so that of two deciders (the server, the command line) one wins and
the other is told. Which import runs next is decided in order.py, which decisions one allows in allowed.py; what else
happens at an end is in closing.py; how imports are looked at is in listing.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from importer.model import Written
from importer.queue.checksums import Checksums
from importer.queue.entry import Entry, Waiting
from importer.queue.listing import Listing
from importer.queue.notices import Notice
from importer.requests import Trial


class Queue(Listing, Protocol):
    """All imports, shared by whoever is here.

    Every method is one transaction, but for those that only look. It raises TryAgain when the disk is full or the
    database busy; then nothing was changed.
    """

    checksums: Checksums
    changed: asyncio.Event
    """Set when this process made something wait. Others' doing is seen by looking again."""

    # From an upload to a queued import

    async def arriving(
        self,
        tenant: str,
        path: str,
        *,
        size: int,
        written: Written | None,
        uploaded_at: datetime,
        dry_run: bool,
        trial: Trial | None = None,
    ) -> int:
        """Promise an import for a file whose bytes are safe but not yet visible; return its id (per tenant, from 1).

        With `trial` it never will be visible: its copy is all there is of it.

        Raises Refused for a tenant that does not exist (any more).
        """

    async def landed(self, tenant: str, import_id: int) -> bool:
        """The file is visible and its copy safe: the import is queued, last; whether others of the tenant are.

        Raises Refused if nothing is promised under that id (any more): the file must be taken back.
        """

    async def end_upload(self, entry: Entry, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        """An upload became no import, as `entry` (made by `Entry.never_ran`) describes; its `notices` are written."""

    # From queued to an end

    async def set_correction(self, waiting: Waiting) -> None:
        """Remember of `waiting` whether its header makes the file an errors.csv sent back."""

    async def claim(self, tenant: str, import_id: int, *, correction: bool | None = None) -> Entry | None:
        """Start the import: `running`, one more attempt. None if it does not wait any more.

        `correction`, if it is not None, is remembered as by `set_correction`. None of it waits for the disk: after a
        power cut the import is queued, and that is what a start makes of one that is running.
        """

    async def progress(self, tenant: str, import_id: int, fraction: float) -> None:
        """Remember how far a running import is, 0 to 1: nothing that has to outlast a power cut."""

    async def say(self, entry: Entry, message: str) -> None:
        """A queued import says why it still waits."""

    async def put_back(
        self,
        tenant: str,
        import_id: int,
        *,
        message: str | None = None,
        not_before: float = 0.0,
        counted: bool = False,
    ) -> bool:
        """A running import waits again, in its old place; `counted` says whether the start counts against it."""

    async def finish(self, entry: Entry, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        """Write the end that `entry` (made by `Entry.ended`) describes, and `notices` into the outbox with it.

        An import that was applied gets its number among those of its tenant here: while it ran, no other did.
        False if there is nothing to end any more. `published` says whether /results shows this end already.
        """

    async def supersede(self, entry: Entry, *, published: bool) -> bool:
        """Write that a newer import took this one's place, as `entry` (made by `Entry.superseded`) describes."""

    # From held to queued again, or discarded

    async def approve(
        self, tenant: str, import_id: int, *, by: str, users: frozenset[int], held_at: str | None = None
    ) -> Entry:
        """Queue a held import again, its reasons waived; `users` are those who were shown as losing access.

        `held_at` is the `finished_at` it had when that list was read: held again since, it has another one. Raises
        Refused then, and unless it is a real import that is held now.
        """

    async def discard(self, tenant: str, import_id: int, *, by: str) -> Entry:
        """A held import will never run. Raises Refused unless it is a real import that is held now."""

    async def checksum_landed(self, tenant: str, sha256: str, *, dry_run: bool) -> None:
        """Remember a check-sum, and queue the held imports again that it proves whole: the guard looks anew."""

    # Undo

    async def undo(self, tenant: str, import_id: int | None, *, by: str) -> Entry:
        """Let the server undo an applied import; without an id the newest one that changed anybody.

        Raises Refused if it is not that one, or while another import waits or runs.
        """

    # Afterwards

    async def forget(self, tenant: str, imports: Iterable[int]) -> None:
        """Remove these imports from memory, unless somebody or something waits for them."""

    async def published(self, entry: Entry) -> None:
        """/results shows this state now."""

    async def moved(self, entry: Entry) -> None:
        """Something of this import is new, though not its state: whoever watches looks again."""
