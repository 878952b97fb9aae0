"""A draft on a node without a data folder: its bytes are in the node's scratch folder until they are published."""

from __future__ import annotations

import time

from engine.shared.files import Contents, DraftStore, Taken
from ground.moments import rfc3339, utc_now
from server.files.disk import Disk
from server.files.drafts import Draft
from server.files.files import Limits
from server.files.limits import Usage, check_length
from server.files.paths import ClientPath
from server.files.reports import NotLanded

TAKEN_FOR_GONE = "the server did not answer the database for too long. Send the file again"
NOTED_EVERY_S = 5.0
"""How often the database is told how much of an upload to a hook was received."""


class Spooled(Draft):
    """A draft whose start, path and length the database knows, if it is for a hook: another process may report it."""

    __slots__ = ("_noted", "_noted_at", "note")

    def __init__(
        self, path: ClientPath, staging: int, usage: Usage, limits: Limits, disk: Disk, *, new: bool
    ) -> None:
        super().__init__(path, staging, usage, limits, disk, new=new)
        self.note: int | None = None
        """The id of its note in the database; None if there is none."""
        self._noted = 0
        self._noted_at = time.monotonic()

    def check_limits(self, taken: Taken) -> None:
        """Raise OSError (EDQUOT) if the tenant takes more than it may, after the draft was published."""
        Usage(taken.size - self.size, taken.files - self.counted, taken.waiting).reserve(
            self.size, self.counted, self._limits()
        )

    async def copy_content(self, contents: Contents, tenant: str, content: int, size: int) -> None:
        """Copy a content into the empty draft. The bytes are counted before they are copied."""
        check_length(size, self._limits())
        self._usage.reserve(size, 0, self._limits())
        self.size = size
        await contents.fetch(tenant, content, self.fd)

    async def note_path(self, store: DraftStore, tenant_id: int, path: str | None) -> None:
        """Note the hook's path for which the draft is now; None: it is for none."""
        if path is None:
            await self.unnote(store, tenant_id)
        elif self.note is None:
            self.note = await store.add(tenant_id, path, rfc3339(utc_now()))
        else:
            await store.note(tenant_id, self.note, path, self.trace.received, rfc3339(utc_now()))

    async def note_progress(self, store: DraftStore, tenant_id: int) -> None:
        """Note how much was received, unless that was done lately."""
        received, now = self.trace.received, time.monotonic()
        if self.note is not None and received != self._noted and now - self._noted_at >= NOTED_EVERY_S:
            self._noted, self._noted_at = received, now
            await store.note(tenant_id, self.note, str(self.path), received, rfc3339(utc_now()))

    async def require_note(self, store: DraftStore, tenant_id: int) -> None:
        """Remove its note, if it has one. Raises NotLanded if another server has reported the upload already."""
        if self.note is not None and not await store.remove(tenant_id, self.note):
            raise NotLanded(TAKEN_FOR_GONE)

    async def unnote(self, store: DraftStore, tenant_id: int) -> None:
        """Remove its note. The caller sets `note` to None once that is on disk."""
        if self.note is not None:
            await store.remove(tenant_id, self.note)
