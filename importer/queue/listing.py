"""Read access to the imports of all tenants, for people and for the server: nothing is changed here.

queue.py changes the states.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from importer.errors import Refused
from importer.model import ImportState
from importer.queue.allowed import first_in_the_way, why_not_sent, why_not_undone
from importer.queue.entry import Entry, Past, Waiting
from importer.queue.pause import Pause


class Listing(Protocol):
    """All imports. Every method raises TryAgain if nothing can be read now."""

    async def get(self, tenant: str, import_id: int) -> Entry | None:
        """Return the import with this id; None if there is none."""

    async def require(self, tenant: str, import_id: int) -> Entry:
        """Return the import with this id. Raises Refused (`unknown_import`) if there is none."""
        entry = await self.get(tenant, import_id)
        if entry is None:
            raise unknown_import(tenant, import_id)
        return entry

    async def still_runs(self, entry: Entry) -> bool:
        """Return whether `entry`, which was claimed, is the import of this id that runs now.

        False if its tenant was removed, even if a tenant of the same name exists again; and if another server has
        taken it up, because it took this one for gone.
        """
        now = await self.get(*entry.key)
        same = now is not None and (now.uploaded_at, now.claim) == (entry.uploaded_at, entry.claim)
        return same and now is not None and now.state is ImportState.RUNNING

    async def newest(self, tenant: str) -> Entry | None:
        """Return the newest real import: not a dry run, and not an upload that became no import."""

    async def sent_as(self, tenant: str, tested: int) -> Entry | None:
        """Return the real import of the file of the dry run `tested`; None if that file was not sent."""

    async def page(
        self,
        tenant: str,
        *,
        state: ImportState | None = None,
        limit: int = 50,
        before: int | None = None,
        messages: bool = True,
        dry_run: bool | None = None,
        sha256: str | None = None,
        since: str | None = None,
    ) -> list[Entry]:
        """Return the imports of a tenant, newest first: with `state` only those in it, with `before` only those of a
        lower id.

        With `dry_run` only dry runs, or none; with `sha256` only those of a file with this checksum (lower-case hex);
        with `since` (RFC 3339) only those uploaded at this time or later.

        Without `messages` the outcomes have no messages, which is faster for a list that does not show them.
        """

    async def applied(self, tenant: str, limit: int) -> list[Entry]:
        """Return the newest applied imports of a tenant, newest first, without messages.

        The order is that in which they were applied.
        """

    async def newest_change(self, tenant: str) -> Entry | None:
        """Return the newest applied import of a tenant that changed a user."""

    async def waiting_first(self, tenant: str, pause: Pause | None = None) -> Entry | None:
        """Return the oldest real import of a tenant that runs, or is queued and does not wait because of `pause`."""

    async def why_not_undone(self, entry: Entry, pause: Pause | None = None) -> Refused | None:
        """Return why `undo` would refuse `entry` now, during `pause`; None if it would not."""
        waiting = await self.waiting_first(entry.tenant, pause)
        return why_not_undone(entry, await self.newest_change(entry.tenant), waiting)

    async def why_not_sent(self, tested: Entry, *, replaces: bool) -> Refused | None:
        """Return why the file of the dry run `tested` cannot be sent now; None if it can, as far as imports say.

        `replaces`: the file is a complete list, and supersedes those that wait.
        """
        applied = await self.applied(tested.tenant, 1)
        sent, newest = await self.sent_as(*tested.key), await self.newest(tested.tenant)
        waiting = [each for each in await self.under_way(tested.tenant) if each.state is not ImportState.ARRIVING]
        first = first_in_the_way([each for each in waiting if not each.dry_run], replaces=replaces)
        return why_not_sent(tested, sent, newest, applied[0] if applied else None, first)

    async def newest_move(self) -> int:
        """Return the number of the newest change of an import's state; `server.web.live` follows these numbers.

        Later reads show every change up to it, and may show newer ones.
        """

    async def under_way(self, tenant: str) -> list[Entry]:
        """Return the imports of a tenant that arrive, are queued or run, oldest first, without messages."""

    async def all_under_way(self, limit: int) -> list[Entry]:
        """Return the first `limit` imports of all tenants that arrive, are queued or run, oldest first, without
        messages.
        """

    async def is_busy(self, tenant: str, pause: Pause | None = None) -> bool:
        """Return whether an import of the tenant arrives, runs, or is queued and does not wait because of `pause`."""

    async def cut_off(self) -> list[Entry]:
        """Return the imports of all tenants that arrive or run, and whose server has gone, oldest first.

        A server that shares the store with no other calls this at its start, when no other can run.
        """

    async def at_work_here(self) -> list[Entry]:
        """Return the imports of all tenants that arrive or run on this server, oldest first."""

    async def heads(self) -> list[tuple[str, int]]:
        """Return the tenants that have queued imports and none running, each with the sequence of its first, oldest
        first.

        "First" is the one with the lowest id: an upload and a test that arrive at the same moment may have it the
        other way round.
        """

    async def first_heads(self, limit: int) -> tuple[list[tuple[str, int]], bool]:
        """Return the heads among the first `limit` queued imports, and whether there are no others.

        It reads no more than these, however many wait.
        """

    async def queued(self, tenant: str) -> list[Waiting]:
        """Return the queued imports of a tenant, oldest first."""

    async def queued_or_held(self, tenant: str) -> list[Waiting]:
        """Return the queued imports of a tenant, oldest first, and after them its held real imports.

        None if one of its imports runs: it may be queued again, before all others.
        """

    async def queue_length(self) -> int:
        """Return how many real imports of all tenants are queued."""

    async def postponed(self) -> int:
        """Return how many of these wait for the end of a pause, for a checksum, or behind one that waits for it.

        Their messages say so: those of a pause begin with `BEGINNING`, that of a checksum with `WAITING_BEGINS`.
        """

    async def held_since(self) -> dict[str, str]:
        """Return when the oldest held real import of each tenant that has one was held (RFC 3339)."""

    async def held(self, tenant: str) -> list[Entry]:
        """Return the held real imports of a tenant."""

    async def copies_needed(self, tenant: str) -> list[tuple[int, int]]:
        """Return the imports of a tenant that still have to read their copies: id, and bytes of the file."""

    async def some_copies_needed(self, after: int, limit: int) -> tuple[dict[str, list[tuple[int, int]]], int]:
        """Return the same for all tenants, by name, for the first `limit` imports whose sequence is above `after`.

        The second value is the `after` of the next call; 0 if there are no more.
        """

    async def lately_moved(self, count: int) -> set[str]:
        """Return the tenants of the newest `count` changes of an import's state."""

    async def newest_published(self, tenant: str, limit: int) -> dict[bool, list[int]]:
        """Return the ids of the newest dry runs (True) and imports (False) with a report in /results."""

    async def failed_before(self, tenant: str, newer: int) -> int | None:
        """Return the id of the newest failed import that `newer` failed ones follow; None if there is none."""

    async def last_successes(self) -> dict[str, str]:
        """Return when the newest applied import of each tenant ended."""

    async def newest_of_all(self) -> dict[str, Entry]:
        """Return the newest real import of each tenant (as `newest`), without messages."""

    async def past(self, tenant: str) -> list[Past]:
        """Return all imports of a tenant, with the facts that retention needs."""

    async def kept(self, tenant: str) -> tuple[str | None, int]:
        """Return when the oldest import of a tenant ended (RFC 3339; None: none has), and the bytes of its files."""

    async def unpublished(self, *, without: Collection[str] = ()) -> list[Entry]:
        """Return the imports, but of the tenants `without`, whose report is behind their state: at most 100."""


def unknown_import(tenant: str, import_id: int) -> Refused:
    return Refused("unknown_import", f"there is no import {import_id} of {tenant}")
