"""Changes of the table `imports`: each names the states that it may start from, and holds its tenant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from engine.imports import begins
from engine.postgres.database import ON_NO_DISK, Database, Steps
from engine.postgres.rows import stored
from engine.postgres.server.allowing import ONE, held_import, refuse_unless_tested, undoable_import
from engine.postgres.server.changes import HELD, end, held, one
from engine.postgres.server.checksums import PostgresChecksumStore, remember
from engine.postgres.server.listing import BRIEF, IS_APPLIED, OF, WHOLE, PostgresListing, entry_of, one_runs
from engine.postgres.server.node import HERE, KNOWN
from engine.postgres.server.tenants import hold
from ground.afterwards import once_stored
from ground.moments import Clock, rfc3339, utc_now
from importer.errors import Refused
from importer.model import APPLIED, GuardReason, Outcome, Written
from importer.queue.allowed import approval_of
from importer.queue.checksums import Checksums
from importer.queue.entry import Entry, Waiting
from importer.queue.listing import unknown_import
from importer.queue.notices import Notice
from importer.queue.pause import Pause
from importer.queue.queue import Queue
from importer.queue.states import APPROVE, CLAIM, FINISH, LAND, NEVER_RUN, REQUEUE, SUPERSEDE, Step
from importer.requests import DryRunRequest, Sender, Undo

ADDED = (
    "INSERT INTO imports (tenant_id, id, state, dry_run, sequence, path, size, written, uploaded_at, trial, sent_by,"
    " tested, node) VALUES (%s, %s, 'arriving', %s, nextval('import_order'), %s, %s, %s, %s, %s, %s, %s, %s)"
)
QUEUED_BESIDE_OTHERS = (
    "UPDATE imports SET state = 'queued', sequence = nextval('import_order')"  # noqa: S608 - constants
    f" WHERE {one(LAND)} RETURNING EXISTS (SELECT 1 FROM imports AS other"
    " WHERE other.tenant_id = imports.tenant_id AND other.id <> imports.id AND other.state = 'queued')"
)
CLAIMED = (
    "UPDATE imports SET state = 'running', attempts = attempts + 1, progress = 0, message = NULL,"  # noqa: S608
    " started_at = CASE WHEN undo IS NULL THEN %(now)s ELSE started_at END,"
    " correction = coalesce(%(correction)s, correction), node = %(node)s, claim = nextval('claims')"
    f" WHERE {one(CLAIM)} AND {KNOWN} AND NOT {one_runs('imports')} RETURNING {WHOLE}"
)
OTHERS_APPLIED = "FROM imports AS other WHERE other.tenant_id = imports.tenant_id AND other.applied_number > 0"
FINISHED = (
    "UPDATE imports SET state = %(state)s, sha256 = %(sha256)s, rows = %(rows)s, finished_at = %(finished_at)s,"  # noqa: S608
    " message = %(message)s, outcome = %(outcome)s, messages = %(messages)s, published = %(published)s,"
    " decided_by = %(decided_by)s, decided_at = %(decided_at)s, progress = NULL, approval = NULL, undo = NULL,"
    " applied_number = coalesce(applied_number, CASE WHEN %(applied)s THEN"
    f" (SELECT coalesce(max(applied_number), 0) + 1 {OTHERS_APPLIED}) END),"
    f" users_as_of = CASE WHEN dry_run THEN (SELECT id {OTHERS_APPLIED} AND {IS_APPLIED}"
    " ORDER BY applied_number DESC LIMIT 1) END"
    f" WHERE {one(FINISH)} AND claim = %(claim)s"
)
# An import that stores its effects holds its row: the worker does not wait for it.
PROGRESS = (
    "UPDATE imports SET progress = %(progress)s WHERE (tenant_id, id) = (SELECT tenant_id, id FROM imports"  # noqa: S608
    f" WHERE {ONE} AND state = 'running' AND {HERE} FOR NO KEY UPDATE SKIP LOCKED)"
)
# A server that was taken for gone may just be storing the effects of the import: this waits for it, and the next
# statement sees them.
SETTLED = f"SELECT 1 FROM imports WHERE {ONE} FOR UPDATE"  # noqa: S608 - a constant
STORED_ALREADY = (
    "EXISTS (SELECT 1 FROM applied WHERE applied.tenant_id = imports.tenant_id"
    " AND applied.import_id = imports.id AND (imports.undo IS NULL OR applied.undone IS NOT NULL))"
)
REQUEUED = (
    "UPDATE imports SET state = 'queued', started_at = CASE WHEN undo IS NOT NULL THEN started_at END,"  # noqa: S608
    " progress = NULL, message = %(message)s, not_before = %(not_before)s, attempts = attempts - %(uncounted)s"
    f" WHERE {one(REQUEUE)} AND claim = coalesce(%(claim)s, claim) AND NOT {STORED_ALREADY}"
)
AGAIN = "message = NULL, attempts = 0, not_before = 0"
ANEW = f"{AGAIN}, started_at = NULL, finished_at = NULL"


class PostgresQueue(PostgresListing, Queue):
    """A `Queue`."""

    def __init__(self, database: Database, clock: Clock = utc_now, node: int | None = None) -> None:
        super().__init__(database, node)
        self._clock = clock
        self.checksums = Checksums(PostgresChecksumStore(database))
        self.changed = asyncio.Event()

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
        facts = json.dumps(written.to_json()) if written else None
        tried = json.dumps(trial.to_json()) if trial else None
        by, tested = (sender.by, sender.tested) if sender else (None, None)
        async with self._database.transaction() as steps:
            found = await steps.rows(
                "UPDATE tenants SET last_import_id = last_import_id + 1 WHERE name = %s RETURNING id, last_import_id",
                tenant,
            )
            if not found:
                raise Refused("unknown_tenant", f"the tenant {tenant} no longer exists")
            if sender and sender.tested is not None:
                await refuse_unless_tested(steps, tenant, sender.tested, replaces=sender.replaces)
            tenant_id, number = found[0]
            await steps.change(
                ADDED,
                *(tenant_id, number, dry_run, path, size, facts, rfc3339(uploaded_at), tried, by, tested, self._node),
            )
        return int(number)

    async def landed(self, tenant: str, import_id: int, *, checksum: str | None = None) -> bool:
        async with self._database.transaction() as steps:
            # Held before the statement begins, so that it sees what landed while it waited.
            tenant_id = await hold(steps, tenant)
            queued = await steps.rows(QUEUED_BESIDE_OTHERS, tenant=tenant, id=import_id)
            if tenant_id is None or not queued:
                raise unknown_import(tenant, import_id)
            if checksum:
                await remember(steps, tenant_id, checksum, dry_run=False)
        await once_stored(self.changed.set)
        return bool(queued[0][0])

    async def end_upload(self, entry: Entry, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        return await self._end(
            notices,
            "UPDATE imports SET state = %(state)s, message = %(message)s, finished_at = %(finished_at)s,"  # noqa: S608
            f" published = %(published)s WHERE {one(NEVER_RUN)}",
            **_end_of(entry, NEVER_RUN, published),
        )

    async def set_correction(self, waiting: Waiting) -> None:
        await self._set("correction = %(value)s", waiting.key, waiting.correction)

    async def claim(self, tenant: str, import_id: int, *, correction: bool | None = None) -> Entry | None:
        key = {"tenant": tenant, "id": import_id}
        async with self._database.transaction(ON_NO_DISK) as steps:
            # Held before the statement begins, so that it sees an import that was started while it waited.
            await hold(steps, tenant)
            found = await steps.rows(CLAIMED, **key, now=self._now(), correction=correction, node=self._node)
        return entry_of(found[0]) if found else None

    async def progress(self, tenant: str, import_id: int, fraction: float) -> None:
        async with self._database.transaction(ON_NO_DISK) as steps:
            await steps.change(PROGRESS, tenant=tenant, id=import_id, progress=fraction, node=self._node)

    async def say(self, entry: Entry, message: str | None) -> None:
        if entry.message != message:
            await self._set("message = %(value)s", entry.key, stored(message), "state = 'queued'")

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
        again = {"message": stored(message), "not_before": not_before, "uncounted": 0 if counted else 1}
        async with self._database.transaction() as steps:
            await hold(steps, tenant)
            await steps.rows(SETTLED, tenant=tenant, id=import_id)
            return await steps.change(REQUEUED, tenant=tenant, id=import_id, claim=claim, **again) > 0

    def holding(self, tenant: str) -> AbstractAsyncContextManager[None]:
        return held(self._database, tenant)

    async def finish(self, entry: Entry, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        outcome, messages = _outcome(entry.outcome)
        return await self._end(
            notices,
            FINISHED,
            **_end_of(entry, FINISH, published),
            sha256=entry.file.sha256,
            rows=entry.file.rows,
            outcome=outcome,
            messages=messages,
            decided_by=entry.decided_by,
            decided_at=entry.decided_at,
            applied=entry.state in APPLIED and not entry.dry_run,
            claim=entry.claim,
        )

    async def supersede(self, entry: Entry, *, published: bool) -> bool:
        return await self._end(
            (),
            "UPDATE imports SET state = %(state)s, message = %(message)s, finished_at = %(finished_at)s,"  # noqa: S608
            f" published = %(published)s, approval = NULL WHERE {one(SUPERSEDE)}",
            **_end_of(entry, SUPERSEDE, published),
        )

    async def approve(
        self, tenant: str, import_id: int, *, by: str, users: frozenset[int], held_at: str | None = None
    ) -> Entry:
        async with self._database.transaction() as steps:
            entry = await held_import(steps, tenant, import_id, "approved")
            approval = approval_of(entry, by=by, at=self._now(), users=users, held_at=held_at)
            found = await steps.rows(
                f"UPDATE imports SET state = 'queued', approval = %(approval)s, decided_by = %(by)s,"  # noqa: S608
                f" decided_at = %(at)s, {ANEW} WHERE {ONE} RETURNING {WHOLE}",
                **_key(entry),
                approval=json.dumps(approval.to_json()),
                by=by,
                at=approval.at,
            )
        await once_stored(self.changed.set)
        return entry_of(found[0])

    async def discard(self, tenant: str, import_id: int, *, by: str) -> Entry:
        async with self._database.transaction() as steps:
            entry = await held_import(steps, tenant, import_id, "discarded")
            found = await steps.rows(
                "UPDATE imports SET state = 'discarded', decided_by = %(by)s, decided_at = %(at)s"  # noqa: S608
                f" WHERE {ONE} RETURNING {WHOLE}",
                **_key(entry),
                by=by,
                at=self._now(),
            )
        await once_stored(self.changed.set)
        return entry_of(found[0])

    async def checksum_landed(self, tenant: str, sha256: str, *, dry_run: bool) -> None:
        async with self._database.transaction() as steps:
            tenant_id = await hold(steps, tenant)
            if tenant_id is None:
                return
            await remember(steps, tenant_id, sha256, dry_run=dry_run)
            if not dry_run:
                await _prove_complete(steps, tenant, sha256)
        await once_stored(self.changed.set)

    async def undo(self, tenant: str, import_id: int | None, *, by: str, pause: Pause | None = None) -> Entry:
        async with self._database.transaction() as steps:
            entry = await undoable_import(steps, tenant, import_id, pause)
            found = await steps.rows(
                f"UPDATE imports SET state = 'queued', undo = %(undo)s, {AGAIN} WHERE {ONE} RETURNING {WHOLE}",  # noqa: S608
                **_key(entry),
                undo=json.dumps(Undo(by, self._now()).to_json()),
            )
        await once_stored(self.changed.set)
        return entry_of(found[0])

    async def delete(self, tenant: str, imports: Iterable[int]) -> None:
        await self._database.change(
            f"DELETE FROM imports WHERE {HELD} AND id = ANY (%(ids)s)"  # noqa: S608 - constants
            " AND state NOT IN ('arriving', 'queued', 'running', 'held')",
            tenant=tenant,
            ids=list(imports),
        )

    async def published(self, entry: Entry) -> None:
        await self._set("published = %(value)s", entry.key, entry.state)

    async def moved(self, entry: Entry) -> None:
        await self._database.change(
            f"INSERT INTO moves (tenant_id, import_id) SELECT tenant_id, id FROM imports WHERE {ONE}",  # noqa: S608
            **_key(entry),
        )

    def _now(self) -> str:
        return rfc3339(self._clock())

    async def _set(self, what: str, key: tuple[str, int], value: object, only: str = "true") -> None:
        tenant, number = key
        statement = f"UPDATE imports SET {what} WHERE {ONE} AND {only}"  # noqa: S608 - constants
        await self._database.change(statement, tenant=tenant, id=number, value=value)

    async def _end(self, notices: Iterable[Notice], statement: str, **values: object) -> bool:
        return await end(self._database, notices, self._now(), statement, **values)


def _key(entry: Entry) -> dict[str, object]:
    return {"tenant": entry.tenant, "id": entry.id}


def _end_of(entry: Entry, step: Step, published: bool) -> dict[str, object]:
    """Return the values that every end writes, and the key of the row."""
    state = step.to(entry.state)
    what = {"state": state, "message": stored(entry.message), "finished_at": entry.finished_at}
    return {**_key(entry), **what, "published": state if published else None}


def _outcome(outcome: Outcome | None) -> tuple[str | None, str | None]:
    """Return an outcome without its messages, and these, as JSON."""
    if outcome is None:
        return None, None
    told: dict[str, object] = {**outcome.to_json()}
    messages = told.pop("messages")
    return json.dumps(told), json.dumps(messages)


async def _prove_complete(steps: Steps, tenant: str, sha256: str) -> None:
    """Queue the held imports of this file again that may have been cut short."""
    same = f"SELECT {BRIEF} FROM imports WHERE {OF} AND NOT dry_run AND {begins(APPROVE)} AND sha256 = %(sha256)s"  # noqa: S608
    held = map(entry_of, await steps.rows(same, tenant=tenant, sha256=sha256))
    guards = [(each.id, each.outcome.guard) for each in held if each.outcome]
    proven = [number for number, guard in guards if guard and GuardReason.POSSIBLY_TRUNCATED in guard.reasons]
    await steps.change(
        f"UPDATE imports SET state = 'queued', {ANEW} WHERE {OF} AND id = ANY (%(ids)s)",  # noqa: S608 - constants
        tenant=tenant,
        ids=proven,
    )
