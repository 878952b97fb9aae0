"""The imports of all tenants as people and the server look at them: nothing is changed here.

What becomes of an import is the matter of queue.py.
"""

from __future__ import annotations

from typing import Protocol

from importer.errors import Refused
from importer.model import ImportState
from importer.queue.allowed import why_not_undone
from importer.queue.entry import Entry, Past, Waiting


class Listing(Protocol):
    """All imports. Every method raises TryAgain when nothing can be read now."""

    async def get(self, tenant: str, import_id: int) -> Entry | None:
        """The import of this id, None if there is none."""

    async def require(self, tenant: str, import_id: int) -> Entry:
        """The import of this id. Raises Refused (`unknown_import`) if there is none."""
        entry = await self.get(tenant, import_id)
        if entry is None:
            raise unknown_import(tenant, import_id)
        return entry

    async def still_runs(self, entry: Entry) -> bool:
        """Whether `entry`, which was claimed, is the import of this id that runs now.

        Not if its tenant was removed, even if there is a tenant of the same name again.
        """
        now = await self.get(*entry.key)
        return now is not None and now.state is ImportState.RUNNING and now.uploaded_at == entry.uploaded_at

    async def newest(self, tenant: str) -> Entry | None:
        """The newest real import: no dry run, and not an upload that became none."""

    async def page(
        self,
        tenant: str,
        *,
        state: ImportState | None = None,
        limit: int = 50,
        before: int | None = None,
        messages: bool = True,
    ) -> list[Entry]:
        """The imports of a tenant, newest first; only those in `state`, only those with an id below `before`.

        Without `messages` those of the outcomes are left out, which a list that shows none has quicker.
        """

    async def applied(self, tenant: str, limit: int) -> list[Entry]:
        """The applied imports of a tenant, the one that had its effect last first, without what they had to say."""

    async def newest_change(self, tenant: str) -> Entry | None:
        """The newest applied import of a tenant that changed a user."""

    async def waiting_first(self, tenant: str) -> Entry | None:
        """The oldest real import of a tenant that is queued or runs."""

    async def why_not_undone(self, entry: Entry) -> Refused | None:
        """Why `undo` would refuse `entry` now; None if it would not."""
        return why_not_undone(entry, await self.newest_change(entry.tenant), await self.waiting_first(entry.tenant))

    async def last_move(self) -> int:
        """The number of the last change of an import's state, as whoever follows them counts (`server.web.live`)."""

    async def under_way(self, tenant: str) -> list[Entry]:
        """The imports of a tenant that arrive, wait or run, oldest first, without what they had to say."""

    async def is_busy(self, tenant: str) -> bool:
        """Whether an import of the tenant is arriving, queued or running."""

    async def cut_off(self) -> list[Entry]:
        """The imports of all tenants that arrive or run, oldest first: at a start, what the last process left."""

    async def heads(self) -> list[tuple[str, int]]:
        """The tenants of which imports are queued and none runs, each with the sequence of its first, oldest first.

        (Of the one with the lowest id, that is: an upload and a trial that land at once may be the other way round.)
        """

    async def queued(self, tenant: str) -> list[Waiting]:
        """The imports of a tenant that are queued, oldest first."""

    async def queued_or_held(self, tenant: str) -> list[Waiting]:
        """The same, and behind them its real imports that wait for a decision."""

    async def queue_length(self) -> int:
        """How many real imports are queued, of all tenants."""

    async def held(self, tenant: str) -> list[Entry]:
        """The real imports of a tenant that wait for a decision."""

    async def copies_needed(self, tenant: str) -> list[tuple[int, int]]:
        """The imports of a tenant that still have to read their copies: id, and bytes of the file."""

    async def some_copies_needed(self, after: int, limit: int) -> tuple[dict[str, list[tuple[int, int]]], int]:
        """The same of all tenants, by name: those of the first `limit` imports whose sequence is above `after`.

        Beside it is the `after` of the next ones; 0 if there are no more.
        """

    async def lately_moved(self, count: int) -> set[str]:
        """The tenants of the last `count` changes of an import's state."""

    async def newest_published(self, tenant: str, limit: int) -> dict[bool, list[int]]:
        """The ids of the newest dry runs (True) and imports (False) of a tenant that have a report in /results."""

    async def failed_before(self, tenant: str, newer: int) -> int | None:
        """The id of the failed import that `newer` failed ones came after."""

    async def last_successes(self) -> dict[str, str]:
        """When each tenant's newest applied import ended."""

    async def newest_of_all(self) -> dict[str, Entry]:
        """Each tenant's newest real import (as `newest`), without what it had to say."""

    async def past(self, tenant: str) -> list[Past]:
        """All imports of a tenant, as far as their age matters."""

    async def kept(self, tenant: str) -> tuple[str | None, int]:
        """When the oldest import of a tenant ended (RFC 3339; None: none has), and the bytes of all its files."""

    async def unpublished(self) -> list[Entry]:
        """The imports whose report in /results is behind their state."""


def unknown_import(tenant: str, import_id: int) -> Refused:
    return Refused("unknown_import", f"there is no import {import_id} of {tenant}")
