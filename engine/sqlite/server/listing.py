"""Reads of the table `imports`. Every statement uses an index."""

from __future__ import annotations

import json
from collections.abc import Collection

import aiosqlite

from engine.imports import entry_of as read_entry
from engine.imports import past_of, waiting_of
from engine.sqlite.effects import changed_a_user
from engine.sqlite.server.ledger import Ledger
from importer.model import INTEGER_MAX, ImportState
from importer.queue.checksum import WAITING_BEGINS
from importer.queue.entry import Entry, Past, Waiting
from importer.queue.listing import Listing
from importer.queue.pause import BEGINNING, Pause, in_the_way

# If a sqlite3 row has two columns of one name, the name gives the first of them.
BRIEF = "json_set(outcome, '$.messages', json('[]')) AS outcome, "

# The partial index is used only if the condition has exactly this text.
APPLIED_OF = (
    "FROM imports WHERE tenant = ? AND applied_number > 0"
    " AND state IN ('completed', 'completed_with_errors', 'unchanged')"
)
LAST_APPLIED_FIRST = "ORDER BY applied_number DESC"

# One index lookup for each tenant, however many imports there are.
LAST_SUCCESSES = (
    f"SELECT name, (SELECT finished_at {APPLIED_OF.replace('?', 'name')} {LAST_APPLIED_FIRST} LIMIT 1) FROM tenants"  # noqa: S608
)
# (SQLite runs a cross join in the order in which it is written.)
NEWEST_OF_ALL = (
    f"SELECT {BRIEF}imports.* FROM tenants CROSS JOIN imports ON imports.tenant = name AND imports.id ="  # noqa: S608
    " (SELECT id FROM imports WHERE tenant = name AND dry_run = 0 AND state NOT IN ('arriving', 'aborted', 'ignored')"
    " ORDER BY id DESC LIMIT 1)"
)

# One index lookup for each tenant, however many imports wait; none while no import waits.
HEADS = (
    "SELECT name, sequence FROM tenants CROSS JOIN imports ON imports.tenant = name"
    " AND imports.id = (SELECT min(id) FROM imports WHERE tenant = name AND state = 'queued')"
    " WHERE EXISTS (SELECT 1 FROM imports INDEXED BY imports_waiting"
    " WHERE state IN ('arriving', 'queued', 'running'))"
    " AND NOT EXISTS (SELECT 1 FROM imports WHERE tenant = name AND state = 'running')"
)
IN_LINE = (
    "SELECT tenant, id, state, sequence, dry_run, correction, undo IS NOT NULL, trial IS NOT NULL,"
    " sha256 IS NOT NULL, not_before, uploaded_at, approval IS NOT NULL, message"
    " FROM imports WHERE tenant = ? AND state = ?"
)
NONE_RUNS = (
    "NOT EXISTS (SELECT 1 FROM imports AS other WHERE other.tenant = imports.tenant AND other.state = 'running')"
)
UNFINISHED = (
    "SELECT * FROM imports WHERE state IN ('arriving', 'queued', 'running') AND state <> 'queued' ORDER BY sequence"
)

NEWEST = (
    "SELECT * FROM imports WHERE tenant = ? AND dry_run = 0"
    " AND state NOT IN ('arriving', 'aborted', 'ignored') ORDER BY id DESC LIMIT 1"
)
# A file is sent after its test, so this reads only the imports after that.
SENT_AS = (
    "SELECT * FROM imports WHERE tenant = ?1 AND id > ?2 AND tested = ?2 AND dry_run = 0"
    " AND state NOT IN ('arriving', 'aborted', 'ignored') ORDER BY id LIMIT 1"
)
NEWEST_APPLIED = f"{APPLIED_OF} {LAST_APPLIED_FIRST} LIMIT 1"

# The imports of one tenant that `importer.queue.allowed.why_not_undone` needs.
NEWEST_CHANGE = f"SELECT * {APPLIED_OF} AND {changed_a_user('state')} {LAST_APPLIED_FIRST} LIMIT 1"
WAITING = (
    "SELECT * FROM imports WHERE tenant = ? AND dry_run = 0 AND state IN ('queued', 'running') ORDER BY sequence"
)
WAITING_FIRST = f"{WAITING} LIMIT 1"

# A held dry run has no copy any more.
COPIES_NEEDED = (
    "SELECT tenant, id, size FROM imports WHERE tenant = ?1 AND state IN ('queued', 'running') AND undo IS NULL"
    " UNION ALL SELECT tenant, id, size FROM imports WHERE tenant = ?1 AND state = 'held' AND dry_run = 0"
)
# The partial indexes of waiting and of held imports are used only if the conditions have exactly this text.
SOME_COPIES_NEEDED = (
    "SELECT tenant, id, size, sequence FROM imports WHERE state IN ('arriving', 'queued', 'running')"
    " AND state <> 'arriving' AND undo IS NULL AND sequence > ?1 UNION ALL"
    " SELECT tenant, id, size, sequence FROM imports WHERE state = 'held' AND dry_run = 0 AND sequence > ?1"
    " ORDER BY sequence LIMIT ?2"
)
HELD_SINCE = (
    "SELECT tenant, min(finished_at) FROM imports INDEXED BY imports_held WHERE state = 'held' AND dry_run = 0"
    " GROUP BY tenant"
)
LENGTH_POSTPONED = (
    "SELECT count(*) FROM imports WHERE state IN ('arriving', 'queued', 'running')"
    " AND state = 'queued' AND dry_run = 0 AND (message GLOB ?1 OR tenant IN ("
    "SELECT tenant FROM imports WHERE state IN ('arriving', 'queued', 'running')"
    " AND state = 'queued' AND dry_run = 0 AND message GLOB ?2))"
)
LATELY_MOVED = "SELECT DISTINCT tenant FROM moves WHERE id > (SELECT max(id) FROM moves) - ?"

_PUBLISHED = (
    "SELECT * FROM (SELECT dry_run, id FROM imports WHERE tenant = ? AND dry_run = ? AND published IS NOT NULL"
    " ORDER BY id DESC LIMIT ?)"
)
NEWEST_PUBLISHED = f"{_PUBLISHED} UNION ALL {_PUBLISHED}"


class SqliteListing(Listing):
    """A `Listing` of headcount.db."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def get(self, tenant: str, import_id: int) -> Entry | None:
        if import_id > INTEGER_MAX:
            return None
        return await self._one("SELECT * FROM imports WHERE tenant = ? AND id = ?", tenant, import_id)

    async def newest(self, tenant: str) -> Entry | None:
        return await self._one(NEWEST, tenant)

    async def sent_as(self, tenant: str, tested: int) -> Entry | None:
        return await self._one(SENT_AS, tenant, tested)

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
        brief = "" if messages else BRIEF
        filters = {"state = ?": state, "dry_run = ?": dry_run, "sha256 = ?": sha256, "uploaded_at >= ?": since}
        asked = {condition: value for condition, value in filters.items() if value is not None}
        arrived = [] if state else ["state <> 'arriving'"]
        only = " AND ".join(["tenant = ?", *asked, *arrived, "id < ?"])
        return await self._entries(
            f"SELECT {brief}* FROM imports WHERE {only} ORDER BY id DESC LIMIT ?",  # noqa: S608 - constants
            *(tenant, *asked.values(), INTEGER_MAX if before is None else before, limit),
        )

    async def applied(self, tenant: str, limit: int) -> list[Entry]:
        query = f"SELECT {BRIEF}* {APPLIED_OF} {LAST_APPLIED_FIRST} LIMIT ?"
        return await self._entries(query, tenant, limit)

    async def newest_change(self, tenant: str) -> Entry | None:
        return await self._one(NEWEST_CHANGE, tenant)

    async def waiting_first(self, tenant: str, pause: Pause | None = None) -> Entry | None:
        found = await self._entries(WAITING if pause else WAITING_FIRST, tenant)
        return next((each for each in found if in_the_way(pause, each)), None)

    async def newest_move(self) -> int:
        found = await self._ledger.read("SELECT coalesce(max(id), 0) FROM moves")
        return int(found[0][0])

    async def under_way(self, tenant: str) -> list[Entry]:
        found = await self._entries(
            f"SELECT {BRIEF}* FROM imports WHERE tenant = ? AND state IN ('arriving', 'queued', 'running')",  # noqa: S608
            tenant,
        )
        return sorted(found, key=lambda each: each.sequence)

    async def all_under_way(self, limit: int) -> list[Entry]:
        return await self._entries(
            f"SELECT {BRIEF}* FROM imports WHERE state IN ('arriving', 'queued', 'running')"  # noqa: S608 - a constant
            " ORDER BY sequence LIMIT ?",
            limit,
        )

    async def is_busy(self, tenant: str, pause: Pause | None = None) -> bool:
        busy = "SELECT 1 FROM imports WHERE tenant = ? AND state IN ({}) LIMIT 1"
        if pause is None:
            return bool(await self._ledger.read(busy.format("'arriving', 'queued', 'running'"), tenant))
        if await self._ledger.read(busy.format("'arriving', 'running'"), tenant):
            return True
        return any(in_the_way(pause, each) for each in await self.queued(tenant))

    async def cut_off(self) -> list[Entry]:
        return await self._entries(UNFINISHED)

    async def at_work_here(self) -> list[Entry]:
        return await self.cut_off()  # no other server can be at work

    async def heads(self) -> list[tuple[str, int]]:
        return sorted(((row[0], row[1]) for row in await self._ledger.read(HEADS)), key=lambda head: head[1])

    async def first_heads(self, limit: int) -> tuple[list[tuple[str, int]], bool]:
        return await self.heads(), True

    async def queued(self, tenant: str) -> list[Waiting]:
        return await self._in_line(IN_LINE, tenant, "queued")

    async def queued_or_held(self, tenant: str) -> list[Waiting]:
        both = f"{IN_LINE} AND {NONE_RUNS} UNION ALL {IN_LINE} AND {NONE_RUNS} AND dry_run = 0"
        found = await self._in_line(both, tenant, "queued", tenant, "held")
        return sorted(found, key=lambda each: each.held)

    async def queue_length(self) -> int:
        found = await self._ledger.read(
            "SELECT count(*) FROM imports WHERE state IN ('arriving', 'queued', 'running')"
            " AND state = 'queued' AND dry_run = 0"
        )
        return int(found[0][0])

    async def postponed(self) -> int:
        found = await self._ledger.read(LENGTH_POSTPONED, f"{BEGINNING}*", f"{WAITING_BEGINS}*")
        return int(found[0][0])

    async def held_since(self) -> dict[str, str]:
        return {row[0]: row[1] for row in await self._ledger.read(HELD_SINCE) if row[1]}

    async def held(self, tenant: str) -> list[Entry]:
        return await self._entries(
            "SELECT * FROM imports WHERE tenant = ? AND state = 'held' AND dry_run = 0 ORDER BY sequence", tenant
        )

    async def copies_needed(self, tenant: str) -> list[tuple[int, int]]:
        return [(row[1], row[2]) for row in await self._ledger.read(COPIES_NEEDED, tenant)]

    async def some_copies_needed(self, after: int, limit: int) -> tuple[dict[str, list[tuple[int, int]]], int]:
        found: dict[str, list[tuple[int, int]]] = {}
        rows = await self._ledger.read(SOME_COPIES_NEEDED, after, limit)
        for row in rows:
            found.setdefault(row[0], []).append((row[1], row[2]))
        return found, rows[-1][3] if len(rows) == limit else 0

    async def lately_moved(self, count: int) -> set[str]:
        return {row[0] for row in await self._ledger.read(LATELY_MOVED, count)}

    async def newest_published(self, tenant: str, limit: int) -> dict[bool, list[int]]:
        found = await self._ledger.read(NEWEST_PUBLISHED, tenant, True, limit, tenant, False, limit)
        return {dry_run: [row[1] for row in found if bool(row[0]) is dry_run] for dry_run in (True, False)}

    async def failed_before(self, tenant: str, newer: int) -> int | None:
        found = await self._ledger.read(
            "SELECT id FROM imports WHERE tenant = ? AND state = 'failed' AND dry_run = 0"
            " ORDER BY id DESC LIMIT 1 OFFSET ?",
            *(tenant, newer),
        )
        return found[0][0] if found else None

    async def last_successes(self) -> dict[str, str]:
        found = await self._ledger.read(LAST_SUCCESSES)
        return {row[0]: row[1] for row in found if row[1] is not None}

    async def newest_of_all(self) -> dict[str, Entry]:
        return {entry.tenant: entry for entry in await self._entries(NEWEST_OF_ALL)}

    async def past(self, tenant: str) -> list[Past]:
        rows = await self._ledger.read(
            "SELECT id, state, dry_run, finished_at, applied_number, correction FROM imports WHERE tenant = ?", tenant
        )
        return [past_of(row) for row in rows]

    async def kept(self, tenant: str) -> tuple[str | None, int]:
        found = await self._ledger.read(
            "SELECT min(finished_at), coalesce(sum(size), 0) FROM imports WHERE tenant = ?", tenant
        )
        return found[0][0], found[0][1]

    async def unpublished(self, *, without: Collection[str] = ()) -> list[Entry]:
        return await self._entries(
            "SELECT * FROM imports WHERE published IS NOT state AND state NOT IN ('arriving', 'running')"
            " AND (state <> 'queued' OR published IS NOT NULL)"
            " AND tenant NOT IN (SELECT value FROM json_each(?)) ORDER BY sequence LIMIT 100",
            json.dumps([*without]),
        )

    async def _entries(self, statement: str, *values: object) -> list[Entry]:
        return [entry_of(row) for row in await self._ledger.read(statement, *values)]

    async def _in_line(self, statement: str, *values: object) -> list[Waiting]:
        found = [waiting_of(row) for row in await self._ledger.read(statement, *values)]
        return sorted(found, key=lambda each: each.sequence)

    async def _one(self, statement: str, *values: object) -> Entry | None:
        found = await self._entries(statement, *values)
        return found[0] if found else None


def entry_of(row: aiosqlite.Row) -> Entry:
    """Return the import in a row of the table `imports`."""
    return read_entry(row, lambda column: json.loads(row[column]) if row[column] else None)
