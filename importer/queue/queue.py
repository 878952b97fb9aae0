"""The queue of all imports. Every change of state is one short, durable transaction of this interface.

states.py has the states in which each change begins. If the server and a command decide at the same time, one wins
and the other gets Refused.

order.py decides which import runs next, and allowed.py which decisions an import allows. Reads are in listing.py.
importer/worker/closing.py does the other steps of an end. The SQL is in server/queue.py of each engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from importer.model import Written
from importer.queue.checksums import Checksums
from importer.queue.entry import Entry, Waiting
from importer.queue.listing import Listing
from importer.queue.notices import Notice
from importer.queue.pause import Pause
from importer.requests import DryRunRequest, Sender


class NotEnded(Exception):  # noqa: N818 - what it is
    """Leaves a block of `holding`: the import or run was not to be ended any more, so nothing is written."""


class Queue(Listing, Protocol):
    """The imports of all tenants, shared by all processes of one installation.

    Every method that writes is one transaction. It raises TryAgain if the disk is full or the database busy; then
    nothing was changed.
    """

    checksums: Checksums
    changed: asyncio.Event
    """Set when this process made an import wait. Changes of other processes are found by polling."""

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
        trial: DryRunRequest | None = None,
        sender: Sender | None = None,
    ) -> int:
        """Create an import for a file whose bytes are safe but not visible yet; return its id (per tenant, from 1).

        With `trial` the file never becomes visible: the copy is its only file. `sender` is None for a file that came
        over SFTP.

        Raises Refused if the tenant does not exist, or no longer exists; and, with the reason of `why_not_sent`, if
        the sender saw a dry run that no longer says what this import does.
        """

    async def landed(self, tenant: str, import_id: int, *, checksum: str | None = None) -> bool:
        """Queue a published file, last in order. Raises Refused if no arriving import has this id.

        The caller has made the file visible and its copy safe. `checksum` is stored as one that arrived with it.
        Returns whether other imports of the tenant are queued. After Refused the caller must withdraw the file.
        """

    async def end_upload(self, entry: Entry, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        """End an upload that became no import, as `entry` describes, and write its `notices`.

        `entry` was made by `Entry.never_ran`.
        """

    # From queued to an end

    async def set_correction(self, waiting: Waiting) -> None:
        """Store for `waiting` whether its header makes the file a correction file."""

    async def claim(self, tenant: str, import_id: int, *, correction: bool | None = None) -> Entry | None:
        """Start the import: `running`, with one more attempt. None if it is no longer queued, or another one runs.

        If `correction` is not None it is stored as by `set_correction`. This write is not flushed to disk: after a
        power cut the import is queued, as a start makes of every running import.
        """

    async def progress(self, tenant: str, import_id: int, fraction: float) -> None:
        """Store how far a running import is, 0 to 1; this need not survive a power cut."""

    async def say(self, entry: Entry, message: str | None) -> None:
        """Set the message of a queued import: why it still waits. None: only for its turn."""

    async def requeue(
        self,
        tenant: str,
        import_id: int,
        *,
        message: str | None = None,
        not_before: float = 0.0,
        counted: bool = False,
        claim: int | None = None,
    ) -> bool:
        """Queue a running import again, at its old place; `counted`: the start counts as a failed attempt.

        With `claim` only that start of it. False if it does not run, or if its effects are stored already.
        """

    def holding(self, tenant: str) -> AbstractAsyncContextManager[None]:
        """Let no other server end an import of the tenant in the block, so that /results and states agree.

        Where several servers share the store, the block is one transaction. Raises TryAgain.
        """

    async def finish(self, entry: Entry, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        """Write the end that `entry` (made by `Entry.ended`) describes, and `notices` into the outbox with it.

        An applied import gets its number among the applied ones of its tenant here: no other import of the tenant ran
        meanwhile. A dry run gets the newest applied import (`users_as_of`). False if the import no longer runs.
        `published`: /results shows this end already.
        """

    async def supersede(self, entry: Entry, *, published: bool) -> bool:
        """Write that a newer import replaced this one, as `entry` (made by `Entry.superseded`) describes."""

    # From held to queued again, or discarded

    async def approve(
        self, tenant: str, import_id: int, *, by: str, users: frozenset[int], held_at: str | None = None
    ) -> Entry:
        """Queue a held import again, with its reasons waived; `users` are those who were shown as to be deactivated.

        `held_at` is the import's `finished_at` when that list was read; an import that is held again has another one.
        Raises Refused in that case, and unless it is a real import that is held now.
        """

    async def discard(self, tenant: str, import_id: int, *, by: str) -> Entry:
        """Discard a held import: it never runs. Raises Refused unless it is a real import that is held now."""

    async def checksum_landed(self, tenant: str, sha256: str, *, dry_run: bool) -> None:
        """Store a checksum, and queue the held imports again that it proves complete: the guard checks them again."""

    # Undo

    async def undo(self, tenant: str, import_id: int | None, *, by: str, pause: Pause | None = None) -> Entry:
        """Queue the undo of an applied import; without an id, of the newest one that changed a user.

        Raises Refused if it is not that one, or while another import is queued or runs. An import that waits only
        because of `pause` refuses no undo.
        """

    # Afterwards

    async def delete(self, tenant: str, imports: Iterable[int]) -> None:
        """Delete the rows of these imports, except those that still wait: for their turn, an end or a decision."""

    async def published(self, entry: Entry) -> None:
        """Store that /results shows this state now."""

    async def moved(self, entry: Entry) -> None:
        """Mark the import as changed although its state is the same: those who follow it read it again."""
