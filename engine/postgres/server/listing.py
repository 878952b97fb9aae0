"""Reads of the table `imports`. Every statement uses an index, also while the planner knows nothing of the tables."""

from __future__ import annotations

from collections.abc import Collection

from engine.imports import entry_of as read_entry
from engine.imports import past_of, waiting_of
from engine.postgres.database import Database
from engine.postgres.effects import changed_a_user
from engine.postgres.rows import Row
from engine.postgres.server.hints import NEWEST as NEWEST_MOVE
from engine.postgres.server.node import GONE, HERE
from importer.model import APPLIED, INTEGER_MAX, ImportState
from importer.queue.checksum import WAITING_BEGINS
from importer.queue.entry import Entry, Past, Waiting
from importer.queue.listing import Listing
from importer.queue.pause import BEGINNING, Pause, in_the_way


def one_runs(beside: str) -> str:
    """Return SQL: an import of the same tenant as the row `beside` runs."""
    return (
        f"EXISTS (SELECT 1 FROM imports AS other WHERE other.tenant_id = {beside}.tenant_id"  # noqa: S608 - constants
        " AND other.state = 'running')"
    )


NAME = "(SELECT name FROM tenants WHERE tenants.id = tenant_id) AS tenant"
"""SQL: the name of a row's tenant."""
OF = "tenant_id = (SELECT id FROM tenants WHERE name = %(tenant)s)"
"""SQL: a row is of this tenant."""

COLUMNS = (
    f"{NAME}, id, state, dry_run, sequence, path, size, sha256, rows, written, correction, uploaded_at, started_at,"
    " finished_at, attempts, not_before, progress, message, outcome, approval, undo, trial, decided_by, decided_at,"
    " sent_by, tested, users_as_of, claim"
)
WHOLE = f"{COLUMNS}, messages"
BRIEF = f"{COLUMNS}, '[]'::json AS messages"
"""SQL: the columns of an entry, with its messages or without."""

# The partial indexes are used only if a condition implies theirs.
WAITS = "state IN ('arriving', 'queued', 'running')"
AT_WORK = "state IN ('arriving', 'running')"
BECAME_AN_IMPORT = "state NOT IN ('arriving', 'aborted', 'ignored')"

# Without statistics, PostgreSQL expects few rows of one of some states, and would read and sort all applied imports
# of a tenant. It expects most rows in none of the other states, and so reads the newest of the index.
IS_APPLIED = f"state NOT IN ({', '.join(sorted(repr(each.value) for each in ImportState if each not in APPLIED))})"
APPLIED_OF = f"FROM imports WHERE {OF} AND applied_number > 0 AND {IS_APPLIED}"
LAST_APPLIED_FIRST = "ORDER BY applied_number DESC"

# One index lookup for each tenant, however many imports there are.
LAST_SUCCESSES = (
    f"SELECT name, (SELECT finished_at {APPLIED_OF.replace(OF, 'tenant_id = tenants.id')}"  # noqa: S608 - constants
    f" {LAST_APPLIED_FIRST} LIMIT 1) FROM tenants"
)
NEWEST_OF_ALL = (
    f"SELECT newest.* FROM tenants CROSS JOIN LATERAL (SELECT {BRIEF} FROM imports"  # noqa: S608 - constants
    f" WHERE tenant_id = tenants.id AND NOT dry_run AND {BECAME_AN_IMPORT} ORDER BY id DESC LIMIT 1) AS newest"
)

# Two index lookups for each tenant whose imports are queued, however many they are.
HEADS = (
    "WITH RECURSIVE head AS ((SELECT tenant_id, sequence FROM imports WHERE state = 'queued'"  # noqa: S608 - constants
    " ORDER BY tenant_id, id LIMIT 1) UNION ALL SELECT next.* FROM head CROSS JOIN LATERAL"
    " (SELECT tenant_id, sequence FROM imports WHERE state = 'queued' AND tenant_id > head.tenant_id"
    " ORDER BY tenant_id, id LIMIT 1) AS next)"
    f" SELECT {NAME}, sequence FROM head WHERE NOT {one_runs('head')}"
)
FIRST_HEADS = (
    f"SELECT {NAME}, sequence, {one_runs('first')}"  # noqa: S608 - constants
    f" FROM (SELECT tenant_id, sequence FROM imports WHERE {WAITS} AND state = 'queued'"
    " ORDER BY sequence LIMIT %(most)s) AS first ORDER BY sequence"
)
IN_ORDER = dict.fromkeys(("enable_seqscan", "enable_bitmapscan", "enable_sort"), "off")
"""Settings for HEADS: statistics from a time when few waited would make each of its lookups read all that wait."""
IN_LINE = (
    f"SELECT {NAME}, id, state, sequence, dry_run, correction, undo IS NOT NULL, trial IS NOT NULL,"  # noqa: S608
    f" sha256 IS NOT NULL, not_before, uploaded_at, approval IS NOT NULL, message FROM imports WHERE {OF}"
)
QUEUED_OR_HELD = f"{IN_LINE} AND NOT {one_runs('imports')}"

NEWEST = f"SELECT {WHOLE} FROM imports WHERE {OF} AND NOT dry_run AND {BECAME_AN_IMPORT} ORDER BY id DESC LIMIT 1"  # noqa: S608
# A file is sent after its test, so this reads only the imports after that.
SENT_AS = (
    f"SELECT {WHOLE} FROM imports WHERE {OF} AND id > %(tested)s AND tested = %(tested)s"  # noqa: S608 - constants
    f" AND NOT dry_run AND {BECAME_AN_IMPORT} ORDER BY id LIMIT 1"
)
NEWEST_APPLIED = f"SELECT {WHOLE} {APPLIED_OF} {LAST_APPLIED_FIRST} LIMIT 1"

# The imports of one tenant that `importer.queue.allowed.why_not_undone` needs.
NEWEST_CHANGE = f"SELECT {WHOLE} {APPLIED_OF} AND {changed_a_user('state')} {LAST_APPLIED_FIRST} LIMIT 1"
WAITING = (
    f"SELECT {WHOLE} FROM imports WHERE {OF} AND NOT dry_run AND state IN ('queued', 'running') ORDER BY sequence"  # noqa: S608
)
WAITING_FIRST = f"{WAITING} LIMIT 1"

# A held dry run has no copy any more.
COPIES_NEEDED = (
    f"SELECT id, size FROM imports WHERE {OF} AND state IN ('queued', 'running') AND undo IS NULL"  # noqa: S608
    f" UNION ALL SELECT id, size FROM imports WHERE {OF} AND state = 'held' AND NOT dry_run"
)
SOME_COPIES_NEEDED = " UNION ALL ".join(
    f"(SELECT {NAME}, id, size, sequence FROM imports WHERE {which} AND sequence > %(after)s"  # noqa: S608 - constants
    " ORDER BY sequence LIMIT %(most)s)"
    for which in (f"{WAITS} AND state <> 'arriving' AND undo IS NULL", "state = 'held' AND NOT dry_run")
)
HELD_SINCE = (
    "SELECT (SELECT name FROM tenants WHERE tenants.id = tenant_id), min(finished_at) FROM imports"
    " WHERE state = 'held' AND NOT dry_run GROUP BY tenant_id"
)
POSTPONED = (
    f"SELECT count(*) FROM imports WHERE {WAITS} AND state = 'queued' AND NOT dry_run"  # noqa: S608 - constants
    " AND (starts_with(message, %(paused)s) OR tenant_id = ANY (ARRAY("
    f"SELECT tenant_id FROM imports WHERE {WAITS} AND state = 'queued' AND NOT dry_run"
    " AND starts_with(message, %(unproven)s))))"
)
LATELY_MOVED = (
    "SELECT (SELECT name FROM tenants WHERE tenants.id = tenant_id) FROM (SELECT DISTINCT tenant_id FROM moves"
    " WHERE id > (SELECT max(id) FROM moves) - %s) AS lately"
)


class PostgresListing(Listing):
    """A `Listing`."""

    def __init__(self, database: Database, node: int | None = None) -> None:
        self._database = database
        self._node = node

    async def get(self, tenant: str, import_id: int) -> Entry | None:
        if import_id > INTEGER_MAX:
            return None
        return await self._one(f"SELECT {WHOLE} FROM imports WHERE {OF} AND id = %(id)s", tenant, id=import_id)  # noqa: S608

    async def newest(self, tenant: str) -> Entry | None:
        return await self._one(NEWEST, tenant)

    async def sent_as(self, tenant: str, tested: int) -> Entry | None:
        return await self._one(SENT_AS, tenant, tested=tested)

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
        filters = {"state": state, "dry_run": dry_run, "sha256": sha256}
        asked = {name: value for name, value in {**filters, "uploaded_at": since}.items() if value is not None}
        only = [f"{name} {'>=' if name == 'uploaded_at' else '='} %({name})s" for name in asked]
        arrived = [] if state else ["state <> 'arriving'"]
        which = " AND ".join([OF, *only, *arrived, "id < %(before)s"])
        return await self._entries(
            f"SELECT {WHOLE if messages else BRIEF} FROM imports WHERE {which} ORDER BY id DESC LIMIT %(most)s",  # noqa: S608
            **{**asked, "tenant": tenant, "before": INTEGER_MAX if before is None else before, "most": limit},
        )

    async def applied(self, tenant: str, limit: int) -> list[Entry]:
        query = f"SELECT {BRIEF} {APPLIED_OF} {LAST_APPLIED_FIRST} LIMIT %(most)s"
        return await self._entries(query, tenant=tenant, most=limit)

    async def newest_change(self, tenant: str) -> Entry | None:
        return await self._one(NEWEST_CHANGE, tenant)

    async def waiting_first(self, tenant: str, pause: Pause | None = None) -> Entry | None:
        found = await self._entries(WAITING if pause else WAITING_FIRST, tenant=tenant)
        return next((each for each in found if in_the_way(pause, each)), None)

    async def newest_move(self) -> int:
        ((number,),) = await self._database.read(NEWEST_MOVE)
        return int(number)

    async def under_way(self, tenant: str) -> list[Entry]:
        found = await self._entries(f"SELECT {BRIEF} FROM imports WHERE {OF} AND {WAITS}", tenant=tenant)  # noqa: S608
        return sorted(found, key=lambda each: each.sequence)

    async def all_under_way(self, limit: int) -> list[Entry]:
        return await self._entries(
            f"SELECT {BRIEF} FROM imports WHERE {WAITS} ORDER BY sequence LIMIT %(most)s",  # noqa: S608 - constants
            most=limit,
        )

    async def is_busy(self, tenant: str, pause: Pause | None = None) -> bool:
        states = WAITS if pause is None else "state IN ('arriving', 'running')"
        busy = f"SELECT 1 FROM imports WHERE {OF} AND {states} LIMIT 1"  # noqa: S608 - constants
        if await self._database.read(busy, tenant=tenant):
            return True
        return pause is not None and any(in_the_way(pause, each) for each in await self.queued(tenant))

    async def cut_off(self) -> list[Entry]:
        return await self._entries(
            f"SELECT {WHOLE} FROM imports WHERE {AT_WORK} AND {GONE} ORDER BY sequence"  # noqa: S608 - constants
        )

    async def at_work_here(self) -> list[Entry]:
        return await self._entries(
            f"SELECT {WHOLE} FROM imports WHERE {AT_WORK} AND {HERE} ORDER BY sequence",  # noqa: S608 - constants
            node=self._node,
        )

    async def heads(self) -> list[tuple[str, int]]:
        async with self._database.transaction(IN_ORDER) as steps:
            found = await steps.rows(HEADS)
        return sorted(((row[0], row[1]) for row in found), key=lambda head: head[1])

    async def first_heads(self, limit: int) -> tuple[list[tuple[str, int]], bool]:
        async with self._database.transaction(IN_ORDER) as steps:
            found = await steps.rows(FIRST_HEADS, most=limit)
        heads: dict[str, int] = {}
        for tenant, sequence, runs in found:
            if not runs:
                heads.setdefault(tenant, sequence)
        return [*heads.items()], len(found) < limit

    async def queued(self, tenant: str) -> list[Waiting]:
        return await self._in_line(f"{IN_LINE} AND state = 'queued'", tenant)

    async def queued_or_held(self, tenant: str) -> list[Waiting]:
        both = f"{QUEUED_OR_HELD} AND state = 'queued' UNION ALL {QUEUED_OR_HELD} AND state = 'held' AND NOT dry_run"
        return sorted(await self._in_line(both, tenant), key=lambda each: each.held)

    async def queue_length(self) -> int:
        ((number,),) = await self._database.read(
            "SELECT count(*) FROM imports WHERE state = 'queued' AND NOT dry_run"
        )
        return int(number)

    async def postponed(self) -> int:
        ((number,),) = await self._database.read(POSTPONED, paused=BEGINNING, unproven=WAITING_BEGINS)
        return int(number)

    async def held_since(self) -> dict[str, str]:
        return {row[0]: row[1] for row in await self._database.read(HELD_SINCE) if row[0] and row[1]}

    async def held(self, tenant: str) -> list[Entry]:
        return await self._entries(
            f"SELECT {WHOLE} FROM imports WHERE {OF} AND state = 'held' AND NOT dry_run ORDER BY sequence",  # noqa: S608
            tenant=tenant,
        )

    async def copies_needed(self, tenant: str) -> list[tuple[int, int]]:
        return [(row[0], row[1]) for row in await self._database.read(COPIES_NEEDED, tenant=tenant)]

    async def some_copies_needed(self, after: int, limit: int) -> tuple[dict[str, list[tuple[int, int]]], int]:
        found: dict[str, list[tuple[int, int]]] = {}
        rows = await self._database.read(
            f"{SOME_COPIES_NEEDED} ORDER BY sequence LIMIT %(most)s", after=after, most=limit
        )
        for row in rows:
            found.setdefault(row[0], []).append((row[1], row[2]))
        return found, rows[-1][3] if len(rows) == limit else 0

    async def lately_moved(self, count: int) -> set[str]:
        return {row[0] for row in await self._database.read(LATELY_MOVED, count) if row[0] is not None}

    async def newest_published(self, tenant: str, limit: int) -> dict[bool, list[int]]:
        published = (
            f"SELECT id FROM imports WHERE {OF} AND dry_run = %(dry_run)s AND published IS NOT NULL"  # noqa: S608
            " ORDER BY id DESC LIMIT %(most)s"
        )
        found = dict[bool, list[int]]()
        for dry_run in (True, False):
            rows = await self._database.read(published, tenant=tenant, dry_run=dry_run, most=limit)
            found[dry_run] = [row[0] for row in rows]
        return found

    async def failed_before(self, tenant: str, newer: int) -> int | None:
        found = await self._database.read(
            f"SELECT id FROM imports WHERE {OF} AND state = 'failed' AND NOT dry_run"  # noqa: S608 - a constant
            " ORDER BY id DESC LIMIT 1 OFFSET %(newer)s",
            tenant=tenant,
            newer=newer,
        )
        return found[0][0] if found else None

    async def last_successes(self) -> dict[str, str]:
        found = await self._database.read(LAST_SUCCESSES)
        return {row[0]: row[1] for row in found if row[1] is not None}

    async def newest_of_all(self) -> dict[str, Entry]:
        return {entry.tenant: entry for entry in await self._entries(NEWEST_OF_ALL)}

    async def past(self, tenant: str) -> list[Past]:
        rows = await self._database.read(
            f"SELECT id, state, dry_run, finished_at, applied_number, correction FROM imports WHERE {OF} ORDER BY id",  # noqa: S608
            tenant=tenant,
        )
        return [past_of(row) for row in rows]

    async def kept(self, tenant: str) -> tuple[str | None, int]:
        ((first, size),) = await self._database.read(
            f"SELECT min(finished_at), coalesce(sum(size), 0)::bigint FROM imports WHERE {OF}",  # noqa: S608
            tenant=tenant,
        )
        return first, size

    async def unpublished(self, *, without: Collection[str] = ()) -> list[Entry]:
        return await self._entries(
            f"SELECT {WHOLE} FROM imports WHERE published IS DISTINCT FROM state"  # noqa: S608 - constants
            " AND state NOT IN ('arriving', 'running') AND (state <> 'queued' OR published IS NOT NULL)"
            " AND tenant_id <> ALL (ARRAY(SELECT id FROM tenants WHERE name = ANY (%(without)s)))"
            " ORDER BY sequence LIMIT 100",
            without=[*without],
        )

    async def _entries(self, statement: str, **values: object) -> list[Entry]:
        return [entry_of(row) for row in await self._database.read(statement, **values)]

    async def _in_line(self, statement: str, tenant: str) -> list[Waiting]:
        found = [waiting_of(row) for row in await self._database.read(statement, tenant=tenant)]
        return sorted(found, key=lambda each: each.sequence)

    async def _one(self, statement: str, tenant: str, **values: object) -> Entry | None:
        found = await self._entries(statement, tenant=tenant, **values)
        return found[0] if found else None


def entry_of(row: Row) -> Entry:
    """Return the import in a row of the columns WHOLE or BRIEF."""

    def json_in(column: str) -> object:
        stored = row[column]
        return {**stored, "messages": row["messages"]} if column == "outcome" and stored else stored

    return read_entry(row, json_in, row["claim"])
