"""The tables `runs` and `hooks_loaded`. Every statement uses an index."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from engine.landing import LandedFile
from engine.postgres.database import ON_NO_DISK, Database
from engine.postgres.rows import Row, stored
from engine.postgres.server.changes import HELD, end, held, one
from engine.postgres.server.listing import AT_WORK, IN_ORDER, NAME, OF, WAITS
from engine.postgres.server.node import GONE, HERE, KNOWN
from engine.postgres.server.tenants import hold
from engine.runs import Run, run_of, unknown_run, why_not_rerun
from ground.afterwards import once_stored
from ground.moments import Clock, rfc3339, utc_now
from importer.errors import Refused
from importer.model import INTEGER_MAX, ImportState
from importer.queue.notices import Notice
from importer.queue.states import CLAIM, FINISH_RUN, LAND, NEVER_RUN, REQUEUE, Step
from importer.worker.retention import FailedRun

WHOLE = f"{NAME}, runs.*"
LAST = "nextval('run_order')"
SAME = "uploaded_at = %(uploaded_at)s AND claim = %(claim)s"
"""The run itself, not a later one of the same id: its tenant may have been removed and added again."""

ADDED = (
    "INSERT INTO runs (tenant_id, id, hook, path, state, sequence, size, uploaded_at, node)"  # noqa: S608 - constants
    f" VALUES (%s, %s, %s, %s, 'arriving', {LAST}, %s, %s, %s)"
)
LANDED = f"UPDATE runs SET state = 'queued', sequence = {LAST} WHERE {one(LAND)}"  # noqa: S608 - constants
CLAIMED = (
    "UPDATE runs SET state = 'running', started_at = %(now)s, attempts = attempts + 1, sha256 = %(sha256)s,"  # noqa: S608
    " message = NULL, node = %(node)s, claim = nextval('claims')"
    f" WHERE {one(CLAIM)} AND {KNOWN} AND NOT EXISTS (SELECT 1 FROM runs AS other"
    " WHERE other.tenant_id = runs.tenant_id AND other.hook = runs.hook AND other.state = 'running')"
    f" RETURNING {WHOLE}"
)
REQUEUED = (
    "UPDATE runs SET state = 'queued', started_at = NULL, message = %(message)s, error = %(error)s,"  # noqa: S608
    " not_before = %(not_before)s, attempts = attempts - %(uncounted)s"
    f" WHERE {one(REQUEUE)} AND {SAME}"
)
EXPLAINED = f"UPDATE runs SET message = %(message)s WHERE {OF} AND hook = %(hook)s AND state = 'queued'"  # noqa: S608
ENDED = (
    "UPDATE runs SET state = %(state)s, message = %(message)s, error = %(error)s, finished_at = %(finished_at)s,"
    " outcome = %(outcome)s, published = %(published)s"
)
RERUN = (
    f"UPDATE runs SET state = 'queued', sequence = {LAST}, attempts = 0, not_before = 0, started_at = NULL,"  # noqa: S608
    f" finished_at = NULL, message = NULL, outcome = NULL WHERE {OF} AND id = %(id)s RETURNING {WHOLE}"
)

# Some index lookups for each hook of each tenant that has queued runs, however many are queued.
HEADS = (
    "WITH RECURSIVE head AS ((SELECT tenant_id, hook, id FROM runs WHERE state = 'queued'"  # noqa: S608 - constants
    " ORDER BY tenant_id, hook, sequence LIMIT 1) UNION ALL SELECT next.* FROM head CROSS JOIN LATERAL"
    " (SELECT tenant_id, hook, id FROM runs WHERE state = 'queued'"
    " AND (tenant_id, hook) > (head.tenant_id, head.hook) ORDER BY tenant_id, hook, sequence LIMIT 1) AS next)"
    f" SELECT first.* FROM head CROSS JOIN LATERAL (SELECT {WHOLE} FROM runs"
    " WHERE runs.tenant_id = head.tenant_id AND runs.id = head.id LIMIT 1) AS first"
    " WHERE NOT EXISTS (SELECT 1 FROM runs AS other WHERE other.tenant_id = first.tenant_id"
    " AND other.hook = first.hook AND other.state = 'running')"
)
COPIES_NEEDED = f"SELECT id, size FROM runs WHERE {OF} AND state IN ('queued', 'running')"  # noqa: S608 - a constant


class PostgresRunStore:
    """An `engine.runs.RunStore`."""

    land = None

    def __init__(self, database: Database, clock: Clock = utc_now, node: int | None = None) -> None:
        self._database = database
        self._clock = clock
        self._node = node
        self.changed = asyncio.Event()

    async def arriving(self, tenant: str, hook: str, path: str, *, size: int, uploaded_at: datetime) -> int:
        async with self._database.transaction() as steps:
            found = await steps.rows(
                "UPDATE tenants SET last_run_id = last_run_id + 1 WHERE name = %s RETURNING id, last_run_id", tenant
            )
            if not found:
                raise Refused("unknown_tenant", f"the tenant {tenant} no longer exists")
            await steps.change(ADDED, *found[0], hook, path, size, rfc3339(uploaded_at), self._node)
        return int(found[0][1])

    async def landed(self, tenant: str, run_id: int) -> None:
        if not await self._database.change(LANDED, tenant=tenant, id=run_id):
            raise unknown_run(tenant, run_id)
        await once_stored(self.changed.set)

    async def end_upload(self, run: Run, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        return await self._end(run, NEVER_RUN, published, notices)

    async def claim(self, tenant: str, run_id: int, *, sha256: str | None) -> Run | None:
        async with self._database.transaction(ON_NO_DISK) as steps:
            # Held before the statement begins, so that it sees a run that was started while it waited.
            await hold(steps, tenant)
            facts = {"now": rfc3339(self._clock()), "sha256": sha256, "node": self._node}
            found = await steps.rows(CLAIMED, tenant=tenant, id=run_id, **facts)
        return _run(found[0]) if found else None

    async def requeue(
        self, run: Run, *, message: str | None, error: str | None, not_before: float, counted: bool = True
    ) -> bool:
        changed = await self._database.change(
            REQUEUED,
            **_same(run),
            message=stored(message),
            error=stored(error),
            not_before=not_before,
            uncounted=0 if counted else 1,
        )
        return changed > 0

    def holding(self, tenant: str) -> AbstractAsyncContextManager[None]:
        return held(self._database, tenant)

    async def finish(self, run: Run, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        return await self._end(run, FINISH_RUN, published, notices)

    async def rerun(self, tenant: str, run_id: int) -> Run:
        if run_id > INTEGER_MAX:
            raise unknown_run(tenant, run_id)
        async with self._database.transaction() as steps:
            await hold(steps, tenant)
            found = await steps.rows(
                f"SELECT {WHOLE} FROM runs WHERE {OF} AND id = %(id)s",  # noqa: S608 - constants
                tenant=tenant,
                id=run_id,
            )
            if not found:
                raise unknown_run(tenant, run_id)
            if why_not := why_not_rerun(_run(found[0])):
                raise why_not
            (row,) = await steps.rows(RERUN, tenant=tenant, id=run_id)
        await once_stored(self.changed.set)
        return _run(row)

    async def explain(self, tenant: str, hook: str, message: str | None) -> None:
        async with self._database.transaction(ON_NO_DISK) as steps:
            await steps.change(EXPLAINED, tenant=tenant, hook=hook, message=stored(message))

    async def published(self, run: Run) -> None:
        await self._database.change(
            f"UPDATE runs SET published = %(state)s WHERE {OF} AND id = %(id)s AND {SAME}",  # noqa: S608 - constants
            **_same(run),
            state=run.state,
        )

    async def delete(self, tenant: str, runs: Iterable[int]) -> None:
        await self._database.change(
            f"DELETE FROM runs WHERE {HELD} AND id = ANY (%(ids)s) AND NOT ({WAITS})",  # noqa: S608 - constants
            tenant=tenant,
            ids=list(runs),
        )

    async def get(self, tenant: str, run_id: int) -> Run | None:
        if run_id > INTEGER_MAX:
            return None
        return next(iter(await self._runs(f"{OF} AND id = %(id)s", tenant=tenant, id=run_id)), None)

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
        asked = {name: value for name, value in {"hook": hook, "state": state}.items() if value is not None}
        arrived = [] if state else ["state <> 'arriving'"]
        only = " AND ".join([OF, *(f"{name} = %({name})s" for name in asked), *arrived, "id < %(before)s"])
        most = INTEGER_MAX if before is None else before
        return await self._runs(
            f"{only} ORDER BY id DESC LIMIT %(most)s", **{**asked, "tenant": tenant, "before": most, "most": limit}
        )

    async def heads(self) -> list[Run]:
        async with self._database.transaction(IN_ORDER) as steps:
            found = await steps.rows(HEADS)
        return sorted(map(_run, found), key=lambda run: run.sequence)

    async def cut_off(self) -> list[Run]:
        return await self._runs(f"{AT_WORK} AND {GONE} ORDER BY sequence")

    async def at_work_here(self) -> list[Run]:
        return await self._runs(f"{AT_WORK} AND {HERE} ORDER BY sequence", node=self._node)

    async def with_landed_files(self) -> set[str]:
        return set()

    async def landed_files(self, tenant: str) -> list[LandedFile]:
        return []  # the transaction that queues a run has its file

    async def files_kept(self, files: Iterable[LandedFile]) -> None:
        return None

    async def copies_needed(self, tenant: str) -> list[tuple[int, int]]:
        found = await self._database.read(COPIES_NEEDED, tenant=tenant)
        return [(row[0], row[1]) for row in found]

    async def failed(self, tenant: str) -> list[FailedRun]:
        found = await self._of(tenant, "id, finished_at, sequence", "state = 'failed'")
        return [FailedRun(row[0], row[1]) for row in sorted(found, key=lambda row: int(row[2]))]

    async def newest_published(self, tenant: str, hook: str, limit: int) -> list[int]:
        which = "hook = %(hook)s AND published IS NOT NULL ORDER BY id DESC LIMIT %(most)s"
        return [row[0] for row in await self._of(tenant, "id", which, hook=hook, most=limit)]

    async def unpublished(self, tenant: str | None = None, *, without: Collection[str] = ()) -> list[Run]:
        owed = "published IS DISTINCT FROM state AND state NOT IN ('arriving', 'queued', 'running')"
        if tenant is None:
            others = "tenant_id <> ALL (ARRAY(SELECT id FROM tenants WHERE name = ANY (%(without)s)))"
            return await self._runs(f"{owed} AND {others} ORDER BY sequence LIMIT 100", without=[*without])
        return await self._runs(f"{owed} AND {OF} ORDER BY sequence", tenant=tenant)

    async def ended_before(self, tenant: str, before: str) -> list[tuple[int, str]]:
        found = await self._of(tenant, "id, hook", "finished_at < %(before)s ORDER BY finished_at", before=before)
        return [(row[0], row[1]) for row in found]

    async def first_end(self, tenant: str, since: str = "") -> str | None:
        found = await self._of(
            tenant, "finished_at", "finished_at >= %(since)s ORDER BY finished_at LIMIT 1", since=since
        )
        return found[0][0] if found else None

    async def failed_bytes(self, tenant: str) -> int:
        ((size,),) = await self._of(tenant, "coalesce(sum(size), 0)::bigint", "state = 'failed'")
        return int(size)

    async def newest_failures(self, limit: int) -> list[Run]:
        return await self._runs("state = 'failed' ORDER BY sequence DESC LIMIT %(most)s", most=limit)

    async def counts(self) -> dict[tuple[str, str], int]:
        found = await self._database.read(
            f"SELECT {NAME}, hook, number FROM (SELECT tenant_id, hook, count(*) AS number FROM runs"  # noqa: S608
            f" WHERE {WAITS} AND state <> 'arriving' GROUP BY tenant_id, hook) AS counted"
        )
        return {(row[0], row[1]): row[2] for row in found}

    async def remember(self, module: str, hooks: Iterable[tuple[str, str]]) -> None:
        async with self._database.transaction() as steps:
            await steps.change("DELETE FROM hooks_loaded WHERE module = %s", module)
            await steps.change_each(
                "INSERT INTO hooks_loaded (module, name, path) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [(module, name, path) for name, path in sorted(hooks)],
            )

    async def remembered(self, module: str) -> list[tuple[str, str]]:
        found = await self._database.read(
            "SELECT name, path FROM hooks_loaded WHERE module = %s ORDER BY name, path", module
        )
        return [(row[0], row[1]) for row in found]

    async def _end(self, run: Run, step: Step, published: bool, notices: Iterable[Notice]) -> bool:
        now, state = rfc3339(self._clock()), step.to(run.state)
        return await end(
            self._database,
            notices,
            now,
            f"{ENDED} WHERE {one(step)} AND {SAME}",
            **_same(run),
            state=state,
            message=stored(run.message),
            error=stored(run.error),
            finished_at=run.finished_at or now,
            outcome=json.dumps(run.outcome.to_json()) if run.outcome else None,
            published=state if published else None,
        )

    async def _runs(self, which: str, **values: object) -> list[Run]:
        return [_run(row) for row in await self._database.read(f"SELECT {WHOLE} FROM runs WHERE {which}", **values)]  # noqa: S608

    async def _of(self, tenant: str, what: str, which: str, **values: object) -> list[Row]:
        statement = f"SELECT {what} FROM runs WHERE {OF} AND {which}"  # noqa: S608 - constants
        return await self._database.read(statement, tenant=tenant, **values)


def _same(run: Run) -> dict[str, object]:
    return {"tenant": run.tenant, "id": run.id, "uploaded_at": run.uploaded_at, "claim": run.claim}


def _run(row: Row) -> Run:
    return run_of(row, row["outcome"], row["claim"])
