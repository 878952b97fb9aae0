"""Changes of the table `imports`: each names the states that it may start from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime

import aiosqlite

from engine.imports import begins
from engine.sqlite.server.changes import end, one
from engine.sqlite.server.checksums import SqliteChecksumStore, remember
from engine.sqlite.server.ledger import Inside, Ledger
from engine.sqlite.server.listing import (
    NEWEST,
    NEWEST_APPLIED,
    NEWEST_CHANGE,
    NONE_RUNS,
    SENT_AS,
    WAITING,
    WAITING_FIRST,
    SqliteListing,
    entry_of,
)
from ground.moments import Clock, rfc3339, utc_now
from importer.errors import Refused
from importer.model import APPLIED, GuardReason, Written
from importer.queue.allowed import approval_of, first_in_the_way, why_not_decided, why_not_sent, why_not_undone
from importer.queue.checksums import Checksums
from importer.queue.entry import Entry, Waiting
from importer.queue.listing import unknown_import
from importer.queue.notices import Notice
from importer.queue.pause import Pause, in_the_way
from importer.queue.queue import Queue
from importer.queue.states import APPROVE, CLAIM, FINISH, LAND, NEVER_RUN, REQUEUE, SUPERSEDE
from importer.requests import DryRunRequest, Sender, Undo

NEXT_APPLIED = "(SELECT coalesce(max(applied_number), 0) + 1 FROM imports WHERE tenant = ? AND applied_number > 0)"
QUEUED_BESIDE_OTHERS = (
    "UPDATE imports SET state = 'queued', sequence = (SELECT max(sequence) + 1 FROM imports)"  # noqa: S608
    f" WHERE {one(LAND)} RETURNING EXISTS (SELECT 1 FROM imports AS other"
    " WHERE other.tenant = imports.tenant AND other.id <> imports.id AND other.state = 'queued')"
)
CLAIMED = (
    "UPDATE imports SET state = 'running', started_at = iif(undo IS NULL, ?, started_at), attempts = attempts + 1,"  # noqa: S608
    " progress = 0, message = NULL, correction = coalesce(?, correction)"
    f" WHERE {one(CLAIM)} AND {NONE_RUNS} RETURNING *"
)
PROGRESS = "UPDATE imports SET progress = ? WHERE tenant = ? AND id = ? AND state = 'running'"


class SqliteQueue(SqliteListing, Queue):
    """A `Queue` in headcount.db."""

    def __init__(self, ledger: Ledger, clock: Clock = utc_now) -> None:
        super().__init__(ledger)
        self._clock = clock
        self.checksums = Checksums(SqliteChecksumStore(ledger))
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

        def promise(db: Inside) -> int:
            found = _rows(
                db,
                "UPDATE tenants SET last_import_id = last_import_id + 1 WHERE name = ? RETURNING last_import_id",
                tenant,
            )
            if not found:
                raise Refused("unknown_tenant", f"the tenant {tenant} no longer exists")
            if sender and sender.tested is not None:
                _refuse_unless_tested(db, tenant, sender.tested, replaces=sender.replaces)
            db.execute(
                "INSERT INTO imports (tenant, id, state, dry_run, sequence, path, size, written, uploaded_at, trial,"
                " sent_by, tested) VALUES (?, ?, 'arriving', ?, (SELECT coalesce(max(sequence), 0) + 1 FROM imports),"
                " ?, ?, ?, ?, ?, ?, ?)",
                (tenant, found[0][0], int(dry_run), path, size, facts, rfc3339(uploaded_at), tried, by, tested),
            )
            return int(found[0][0])

        return await self._ledger.at_once(promise)

    async def landed(self, tenant: str, import_id: int, *, checksum: str | None = None) -> bool:
        def land(db: Inside) -> bool:
            queued = _rows(db, QUEUED_BESIDE_OTHERS, tenant, import_id)
            if not queued:
                raise unknown_import(tenant, import_id)
            if checksum:
                remember(db, tenant, checksum, dry_run=False)
            return bool(queued[0][0])

        beside_others = await self._ledger.at_once(land)
        self.changed.set()
        return beside_others

    async def end_upload(self, entry: Entry, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        return await self._end(
            notices,
            "UPDATE imports SET state = ?, message = ?, finished_at = ?, published = ?"  # noqa: S608
            f" WHERE {one(NEVER_RUN)}",
            *(NEVER_RUN.to(entry.state), entry.message, entry.finished_at),
            *(entry.state if published else None, *entry.key),
        )

    async def set_correction(self, waiting: Waiting) -> None:
        await self._ledger.change(
            "UPDATE imports SET correction = ? WHERE tenant = ? AND id = ?", waiting.correction, *waiting.key
        )

    async def claim(self, tenant: str, import_id: int, *, correction: bool | None = None) -> Entry | None:
        values = (self._now(), correction, tenant, import_id)
        found = await self._ledger.at_once(lambda db: db.execute(CLAIMED, values).fetchall(), on_disk=False)
        return entry_of(found[0]) if found else None

    async def progress(self, tenant: str, import_id: int, fraction: float) -> None:
        values = (fraction, tenant, import_id)
        await self._ledger.at_once(lambda db: db.execute(PROGRESS, values).rowcount, on_disk=False)

    async def say(self, entry: Entry, message: str | None) -> None:
        if entry.message != message:
            await self._ledger.change(
                "UPDATE imports SET message = ? WHERE tenant = ? AND id = ? AND state = 'queued'", message, *entry.key
            )

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
        return await self._ledger.change(
            "UPDATE imports SET state = 'queued', started_at = iif(undo IS NULL, NULL, started_at), progress = NULL,"  # noqa: S608
            f" message = ?, not_before = ?, attempts = attempts - ? WHERE {one(REQUEUE)}",
            *(message, not_before, 0 if counted else 1, tenant, import_id),
        )

    def holding(self, tenant: str) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def finish(self, entry: Entry, *, published: bool, notices: Iterable[Notice] = ()) -> bool:
        applied = entry.state in APPLIED and not entry.dry_run
        outcome = json.dumps(entry.outcome.to_json()) if entry.outcome else None
        return await self._end(
            notices,
            "UPDATE imports SET state = ?, sha256 = ?, rows = ?, finished_at = ?, message = ?, outcome = ?,"  # noqa: S608
            " published = ?, decided_by = ?, decided_at = ?, progress = NULL, approval = NULL,"
            f" undo = NULL, applied_number = coalesce(applied_number, iif(?, {NEXT_APPLIED}, NULL)),"
            f" users_as_of = iif(dry_run, (SELECT id {NEWEST_APPLIED}), NULL)"
            f" WHERE {one(FINISH)}",
            *(FINISH.to(entry.state), entry.file.sha256, entry.file.rows, entry.finished_at, entry.message, outcome),
            *(entry.state if published else None, entry.decided_by, entry.decided_at),
            *(applied, entry.tenant, entry.tenant, *entry.key),
        )

    async def supersede(self, entry: Entry, *, published: bool) -> bool:
        return await self._ledger.change(
            "UPDATE imports SET state = ?, message = ?, finished_at = ?, published = ?, approval = NULL"  # noqa: S608
            f" WHERE {one(SUPERSEDE)}",
            *(SUPERSEDE.to(entry.state), entry.message, entry.finished_at),
            *(entry.state if published else None, *entry.key),
        )

    async def approve(
        self, tenant: str, import_id: int, *, by: str, users: frozenset[int], held_at: str | None = None
    ) -> Entry:
        def approved(db: Inside) -> Entry:
            entry = _held(db, tenant, import_id, "approved")
            approval = approval_of(entry, by=by, at=self._now(), users=users, held_at=held_at)
            found = _rows(
                db,
                "UPDATE imports SET state = 'queued', approval = ?, decided_by = ?, decided_at = ?, message = NULL,"
                " started_at = NULL, finished_at = NULL, attempts = 0, not_before = 0"
                " WHERE tenant = ? AND id = ? RETURNING *",
                *(json.dumps(approval.to_json()), by, approval.at, tenant, import_id),
            )
            return entry_of(found[0])

        entry = await self._ledger.at_once(approved)
        self.changed.set()
        return entry

    async def discard(self, tenant: str, import_id: int, *, by: str) -> Entry:
        def discarded(db: Inside) -> Entry:
            _held(db, tenant, import_id, "discarded")
            decided = "state = 'discarded', decided_by = ?, decided_at = ?"
            statement = f"UPDATE imports SET {decided} WHERE tenant = ? AND id = ? RETURNING *"  # noqa: S608
            return entry_of(_rows(db, statement, by, self._now(), tenant, import_id)[0])

        entry = await self._ledger.at_once(discarded)
        self.changed.set()
        return entry

    async def checksum_landed(self, tenant: str, sha256: str, *, dry_run: bool) -> None:
        def landed(db: Inside) -> None:
            remember(db, tenant, sha256, dry_run=dry_run)
            if not dry_run:
                _prove_complete(db, tenant, sha256)

        await self._ledger.at_once(landed)
        self.changed.set()

    async def undo(self, tenant: str, import_id: int | None, *, by: str, pause: Pause | None = None) -> Entry:
        def to_be_undone(db: Inside) -> Entry:
            entry = _undoable(db, tenant, import_id, pause)
            found = _rows(
                db,
                "UPDATE imports SET state = 'queued', undo = ?, message = NULL, attempts = 0, not_before = 0"
                " WHERE tenant = ? AND id = ? RETURNING *",
                *(json.dumps(Undo(by, self._now()).to_json()), *entry.key),
            )
            return entry_of(found[0])

        entry = await self._ledger.at_once(to_be_undone)
        self.changed.set()
        return entry

    async def delete(self, tenant: str, imports: Iterable[int]) -> None:
        await self._ledger.change(
            "DELETE FROM imports WHERE tenant = ? AND id IN (SELECT value FROM json_each(?))"
            " AND state NOT IN ('arriving', 'queued', 'running', 'held')",
            *(tenant, json.dumps(list(imports))),
        )

    async def published(self, entry: Entry) -> None:
        await self._ledger.change(
            "UPDATE imports SET published = ? WHERE tenant = ? AND id = ?", entry.state, *entry.key
        )

    async def moved(self, entry: Entry) -> None:
        await self._ledger.change("INSERT INTO moves (tenant, import_id) VALUES (?, ?)", *entry.key)

    def _now(self) -> str:
        return rfc3339(self._clock())

    async def _end(self, notices: Iterable[Notice], statement: str, *values: object) -> bool:
        return await end(self._ledger, notices, self._now(), statement, *values)


def _rows(db: Inside, statement: str, *values: object) -> list[aiosqlite.Row]:
    return db.execute(statement, values).fetchall()


def _held(db: Inside, tenant: str, import_id: int, verb: str) -> Entry:
    entry = _known(db, tenant, import_id)
    why_not = why_not_decided(entry, verb)
    if why_not:
        raise why_not
    return entry


def _known(db: Inside, tenant: str, import_id: int) -> Entry:
    for row in _rows(db, "SELECT * FROM imports WHERE tenant = ? AND id = ?", tenant, import_id):
        return entry_of(row)
    raise unknown_import(tenant, import_id)


def _refuse_unless_tested(db: Inside, tenant: str, tested: int, *, replaces: bool) -> None:
    newest = next(map(entry_of, _rows(db, NEWEST, tenant)), None)
    applied = next(map(entry_of, _rows(db, f"SELECT * {NEWEST_APPLIED}", tenant)), None)
    sent = next(map(entry_of, _rows(db, SENT_AS, tenant, tested)), None)
    waiting = first_in_the_way(map(entry_of, _rows(db, WAITING, tenant)), replaces=replaces)
    why_not = why_not_sent(_known(db, tenant, tested), sent, newest, applied, waiting)
    if why_not:
        raise why_not


def _undoable(db: Inside, tenant: str, import_id: int | None, pause: Pause | None) -> Entry:
    """Return the import to undo; without an id the newest that changed a user. Raises Refused."""
    newest = next(map(entry_of, _rows(db, NEWEST_CHANGE, tenant)), None)
    queued = map(entry_of, _rows(db, WAITING if pause else WAITING_FIRST, tenant))
    waiting = next((each for each in queued if in_the_way(pause, each)), None)
    entry = newest if import_id is None else _known(db, tenant, import_id)
    why_not = why_not_undone(entry, newest, waiting)
    if why_not:
        raise why_not
    assert entry is not None, "there is no import without a reason not to undo it"
    return entry


def _prove_complete(db: Inside, tenant: str, sha256: str) -> None:
    db.execute(
        "UPDATE imports SET state = 'queued', message = NULL, started_at = NULL, finished_at = NULL,"  # noqa: S608
        f" attempts = 0, not_before = 0 WHERE tenant = ? AND dry_run = 0 AND {begins(APPROVE)} AND sha256 = ?"
        " AND EXISTS (SELECT 1 FROM json_each(outcome, '$.guard.reasons') WHERE value = ?)",
        (tenant, sha256, GuardReason.POSSIBLY_TRUNCATED.value),
    )
