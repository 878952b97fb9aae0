"""The tables `runs` and `hooks_loaded`. Every statement uses an index."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime

import aiosqlite

from engine.imports import begins
from engine.landing import LandedFile, Landing, Outcome
from engine.runs import Run, run_of, unknown_run, why_not_rerun
from engine.sqlite.server.changes import end
from engine.sqlite.server.keeping import Keeping
from engine.sqlite.server.landing import KEPT, OF_TENANT, WITH_FILES, Steps
from engine.sqlite.server.ledger import Inside, Ledger
from ground.moments import Clock, rfc3339, utc_now
from importer.errors import Refused
from importer.model import INTEGER_MAX, ImportState
from importer.queue.notices import Notice
from importer.queue.states import CLAIM, FINISH_RUN, LAND, NEVER_RUN, REQUEUE
from importer.worker.retention import FailedRun

ONE = "tenant = ? AND id = ?"
LAST = "(SELECT coalesce(max(sequence), 0) + 1 FROM runs)"
SAME = f"{ONE} AND uploaded_at = ?"
"""The run itself, not a later one of the same id: its tenant may have been removed and added again."""

# The partial index of waiting runs is used only if the condition has exactly this text; the same holds below.
WAITS = "state IN ('arriving', 'queued', 'running')"

LANDED = f"UPDATE runs SET state = 'queued', sequence = {LAST} WHERE {ONE} AND {begins(LAND)}"  # noqa: S608
CLAIMED = (
    "UPDATE runs SET state = 'running', started_at = ?, attempts = attempts + 1, sha256 = ?, message = NULL"  # noqa: S608
    f" WHERE {ONE} AND {begins(CLAIM)} AND NOT EXISTS (SELECT 1 FROM runs AS other WHERE other.tenant = runs.tenant"
    " AND other.hook = runs.hook AND other.state = 'running') RETURNING *"
)
REQUEUED = (
    "UPDATE runs SET state = 'queued', started_at = NULL, message = ?, error = ?, not_before = ?,"  # noqa: S608
    f" attempts = attempts - ? WHERE {SAME} AND {begins(REQUEUE)}"
)
EXPLAINED = "UPDATE runs SET message = ? WHERE tenant = ? AND hook = ? AND state = 'queued'"
ENDED = "UPDATE runs SET state = ?, message = ?, error = ?, finished_at = ?, outcome = ?, published = ?"
RERUN = (
    f"UPDATE runs SET state = 'queued', sequence = {LAST}, attempts = 0, not_before = 0, started_at = NULL,"  # noqa: S608
    f" finished_at = NULL, message = NULL, outcome = NULL WHERE {ONE} RETURNING *"
)

# One index lookup for each hook of each tenant that has queued runs, however many are queued.
HEADS = (
    "WITH RECURSIVE head (place) AS (SELECT (SELECT rowid FROM runs WHERE state = 'queued'"
    " ORDER BY tenant, hook, sequence LIMIT 1) UNION ALL SELECT (SELECT next.rowid FROM runs AS next"
    " WHERE next.state = 'queued' AND (next.tenant, next.hook) > (runs.tenant, runs.hook)"
    " ORDER BY next.tenant, next.hook, next.sequence LIMIT 1) FROM head JOIN runs ON runs.rowid = head.place)"
    " SELECT runs.* FROM head JOIN runs ON runs.rowid = head.place WHERE NOT EXISTS (SELECT 1 FROM runs AS other"
    " WHERE other.tenant = runs.tenant AND other.hook = runs.hook AND other.state = 'running')"
)

MOVED = "INSERT INTO moves (tenant, import_id, run_id) VALUES (?, 0, ?)"
COPIES_NEEDED = "SELECT id, size FROM runs WHERE tenant = ? AND state IN ('queued', 'running')"
COUNTS = (
    "SELECT tenant, hook, count(*) FROM runs WHERE state = 'queued' GROUP BY tenant, hook"
    " UNION ALL SELECT tenant, hook, 1 FROM runs WHERE state = 'running'"  # at most one a hook of a tenant
)


class SqliteRunStore:
    """An `engine.runs.RunStore` of headcount.db."""

    def __init__(self, ledger: Ledger, clock: Clock = utc_now) -> None:
        self._ledger = ledger
        self._clock = clock
        self.keeping = Keeping(ledger)
        self.changed = asyncio.Event()

    async def arriving(self, tenant: str, hook: str, path: str, *, size: int, uploaded_at: datetime) -> int:
        return await self._ledger.at_once(lambda db: _promise(db, tenant, hook, path, size, uploaded_at))

    async def landed(self, tenant: str, run_id: int) -> None:
        await self._ledger.at_once(lambda db: _queue(db, tenant, run_id))
        self.changed.set()

    async def land(self, landing: Landing) -> Outcome:
        """See `engine.landing.Land`. It takes one step of the event loop."""
        facts = (landing.hook, landing.path, landing.size, landing.uploaded_at)
        steps = Steps(
            landing,
            lambda db: _promise(db, landing.tenant, *facts, queued=True),
            lambda db, run_id: _delete(db, landing.tenant, run_id, landing.uploaded_at),
        )
        stored = await self.keeping.land(steps)
        self.changed.set()
        return Outcome(steps.run_id, stored)

    async def with_landed_files(self) -> set[str]:
        return {row[0] for row in await self._ledger.read(WITH_FILES)}

    async def landed_files(self, tenant: str) -> list[LandedFile]:
        return [LandedFile(*row) for row in await self._ledger.read(OF_TENANT, tenant)]

    async def files_kept(self, files: Iterable[LandedFile]) -> None:
        keys = [(file.tenant, file.run_id) for file in files]
        await self._ledger.at_once(lambda db: db.executemany(KEPT, keys))

    async def end_upload(self, run: Run, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        NEVER_RUN.to(run.state)
        return await self._end(run, f"{SAME} AND {begins(NEVER_RUN)}", published, notices)

    async def claim(self, tenant: str, run_id: int, *, sha256: str | None) -> Run | None:
        values = (rfc3339(self._clock()), sha256, tenant, run_id)
        found = await self._ledger.at_once(lambda db: db.execute(CLAIMED, values).fetchall(), on_disk=False)
        return _run(found[0]) if found else None

    async def requeue(
        self, run: Run, *, message: str | None, error: str | None, not_before: float, counted: bool = True
    ) -> bool:
        return await self._ledger.change(
            REQUEUED, message, error, not_before, 0 if counted else 1, *run.key, run.uploaded_at
        )

    def holding(self, tenant: str) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def finish(self, run: Run, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        FINISH_RUN.to(run.state)
        return await self._end(run, f"{SAME} AND {begins(FINISH_RUN)}", published, notices)

    async def rerun(self, tenant: str, run_id: int) -> Run:
        def queued_again(db: Inside) -> Run:
            found = db.execute(f"SELECT * FROM runs WHERE {ONE}", (tenant, run_id)).fetchall()  # noqa: S608
            if not found:
                raise unknown_run(tenant, run_id)
            if why_not := why_not_rerun(_run(found[0])):
                raise why_not
            return _run(db.execute(RERUN, (tenant, run_id)).fetchall()[0])

        if run_id > INTEGER_MAX:
            raise unknown_run(tenant, run_id)
        run = await self._ledger.at_once(queued_again)
        self.changed.set()
        return run

    async def explain(self, tenant: str, hook: str, message: str | None) -> None:
        values = (message, tenant, hook)
        await self._ledger.at_once(lambda db: db.execute(EXPLAINED, values).fetchall(), on_disk=False)

    async def published(self, run: Run) -> None:
        await self._ledger.change(f"UPDATE runs SET published = ? WHERE {SAME}", run.state, *run.key, run.uploaded_at)  # noqa: S608

    async def delete(self, tenant: str, runs: Iterable[int]) -> None:
        await self._ledger.change(
            f"DELETE FROM runs WHERE tenant = ? AND id IN (SELECT value FROM json_each(?)) AND NOT {WAITS}",  # noqa: S608
            *(tenant, json.dumps(list(runs))),
        )

    async def get(self, tenant: str, run_id: int) -> Run | None:
        if run_id > INTEGER_MAX:
            return None
        return next(iter(await self._runs(ONE, tenant, run_id)), None)

    async def require(self, tenant: str, run_id: int) -> Run:
        run = await self.get(tenant, run_id)
        if run is None:
            raise unknown_run(tenant, run_id)
        return run

    async def page(
        self,
        tenant: str,
        *,
        hook: str | None = None,
        state: ImportState | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> list[Run]:
        filters = {"hook = ?": hook, "state = ?": state}
        asked = {condition: value for condition, value in filters.items() if value is not None}
        arrived = [] if state else ["state <> 'arriving'"]
        only = " AND ".join(["tenant = ?", *asked, *arrived, "id < ?"])
        most = INTEGER_MAX if before is None else before
        return await self._runs(f"{only} ORDER BY id DESC LIMIT ?", tenant, *asked.values(), most, limit)

    async def heads(self) -> list[Run]:
        found = [_run(row) for row in await self._ledger.read(HEADS)]
        return sorted((run for run in found if run.key not in self.keeping.undone), key=lambda run: run.sequence)

    async def cut_off(self) -> list[Run]:
        return await self._runs(f"{WAITS} AND state <> 'queued' ORDER BY sequence")

    async def at_work_here(self) -> list[Run]:
        return await self.cut_off()  # no other server can be at work

    async def copies_needed(self, tenant: str) -> list[tuple[int, int]]:
        return [(row[0], row[1]) for row in await self._ledger.read(COPIES_NEEDED, tenant)]

    async def failed(self, tenant: str) -> list[FailedRun]:
        found = await self._ledger.read(
            "SELECT id, finished_at, sequence FROM runs WHERE tenant = ? AND state = 'failed'", tenant
        )
        return [FailedRun(row[0], row[1]) for row in sorted(found, key=lambda row: row[2])]

    async def newest_published(self, tenant: str, hook: str, limit: int) -> list[int]:
        found = await self._ledger.read(
            "SELECT id FROM runs WHERE tenant = ? AND hook = ? AND published IS NOT NULL ORDER BY id DESC LIMIT ?",
            *(tenant, hook, limit),
        )
        return [row[0] for row in found]

    async def unpublished(self, tenant: str | None = None, *, without: Collection[str] = ()) -> list[Run]:
        owed = "published IS NOT state AND state NOT IN ('arriving', 'queued', 'running')"
        if tenant is None:
            others = "tenant NOT IN (SELECT value FROM json_each(?))"
            return await self._runs(f"{owed} AND {others} ORDER BY sequence LIMIT 100", json.dumps([*without]))
        # The + keeps the index of owed reports: few of all tenants, while a tenant may have many runs.
        return await self._runs(f"{owed} AND +tenant = ? ORDER BY sequence", tenant)

    async def ended_before(self, tenant: str, before: str) -> list[tuple[int, str]]:
        found = await self._ledger.read(
            "SELECT id, hook FROM runs WHERE tenant = ? AND finished_at IS NOT NULL AND finished_at < ?"
            " ORDER BY finished_at",
            *(tenant, before),
        )
        return [(row[0], row[1]) for row in found]

    async def first_end(self, tenant: str, since: str = "") -> str | None:
        found = await self._ledger.read(
            "SELECT min(finished_at) FROM runs WHERE tenant = ? AND finished_at IS NOT NULL AND finished_at >= ?",
            *(tenant, since),
        )
        return found[0][0] if found else None

    async def failed_bytes(self, tenant: str) -> int:
        found = await self._ledger.read(
            "SELECT coalesce(sum(size), 0) FROM runs WHERE tenant = ? AND state = 'failed'", tenant
        )
        return int(found[0][0])

    async def newest_failures(self, limit: int) -> list[Run]:
        return await self._runs("state = 'failed' ORDER BY sequence DESC LIMIT ?", limit)

    async def counts(self) -> dict[tuple[str, str], int]:
        found = Counter[tuple[str, str]]()
        for tenant, hook, count in await self._ledger.read(COUNTS):
            found[tenant, hook] += count
        return dict(found)

    async def remember(self, module: str, hooks: Iterable[tuple[str, str]]) -> None:
        rows = [(module, name, path) for name, path in hooks]

        def write(db: Inside) -> None:
            db.execute("DELETE FROM hooks_loaded WHERE module = ?", (module,))
            db.executemany("INSERT OR IGNORE INTO hooks_loaded (module, name, path) VALUES (?, ?, ?)", rows)

        await self._ledger.at_once(write)

    async def remembered(self, module: str) -> list[tuple[str, str]]:
        found = await self._ledger.read(
            "SELECT name, path FROM hooks_loaded WHERE module = ? ORDER BY name, path", module
        )
        return [(row[0], row[1]) for row in found]

    async def _end(self, run: Run, which: str, published: bool, notices: Iterable[Notice]) -> bool:
        outcome = json.dumps(run.outcome.to_json()) if run.outcome else None
        return await end(
            self._ledger,
            notices,
            rfc3339(self._clock()),
            f"{ENDED} WHERE {which}",
            *(run.state, run.message, run.error, run.finished_at or rfc3339(self._clock()), outcome),
            *(run.state if published else None, *run.key, run.uploaded_at),
        )

    async def _runs(self, which: str, *values: object) -> list[Run]:
        return [_run(row) for row in await self._ledger.read(f"SELECT * FROM runs WHERE {which}", *values)]  # noqa: S608


def _promise(
    db: Inside, tenant: str, hook: str, path: str, size: int, uploaded_at: datetime, *, queued: bool = False
) -> int:
    found = db.execute(
        "UPDATE tenants SET last_run_id = last_run_id + 1 WHERE name = ? RETURNING last_run_id", (tenant,)
    ).fetchall()
    if not found:
        raise Refused("unknown_tenant", f"the tenant {tenant} no longer exists")
    db.execute(
        "INSERT INTO runs (tenant, id, hook, path, state, sequence, size, uploaded_at)"  # noqa: S608
        f" VALUES (?, ?, ?, ?, ?, {LAST}, ?, ?)",
        (tenant, found[0][0], hook, path, "queued" if queued else "arriving", size, rfc3339(uploaded_at)),
    )
    if queued:
        db.execute(MOVED, (tenant, found[0][0]))  # the trigger of the table sees only changes of a state
    return int(found[0][0])


def _queue(db: Inside, tenant: str, run_id: int) -> None:
    if not db.execute(LANDED, (tenant, run_id)).rowcount:
        raise unknown_run(tenant, run_id)


def _delete(db: Inside, tenant: str, run_id: int, uploaded_at: datetime) -> None:
    db.execute(f"DELETE FROM runs WHERE {SAME}", (tenant, run_id, rfc3339(uploaded_at)))  # noqa: S608


def _run(row: aiosqlite.Row) -> Run:
    return run_of(row, json.loads(row["outcome"]) if row["outcome"] else None)
