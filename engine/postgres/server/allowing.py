"""Whether an import may be changed as a user asked, decided in the transaction of the change."""

from __future__ import annotations

from engine.postgres.database import Steps
from engine.postgres.server.listing import (
    NEWEST,
    NEWEST_APPLIED,
    NEWEST_CHANGE,
    OF,
    SENT_AS,
    WAITING,
    WAITING_FIRST,
    WHOLE,
    entry_of,
)
from engine.postgres.server.tenants import hold
from importer.queue.allowed import first_in_the_way, why_not_decided, why_not_sent, why_not_undone
from importer.queue.entry import Entry
from importer.queue.listing import unknown_import
from importer.queue.pause import Pause, in_the_way

ONE = f"{OF} AND id = %(id)s"
KNOWN = f"SELECT {WHOLE} FROM imports WHERE {ONE}"  # noqa: S608 - constants


async def held_import(steps: Steps, tenant: str, import_id: int, verb: str) -> Entry:
    """Hold the tenant, and return its import if it can be decided. Raises Refused."""
    await hold(steps, tenant)
    entry = await _known(steps, tenant, import_id)
    why_not = why_not_decided(entry, verb)
    if why_not:
        raise why_not
    return entry


async def undoable_import(steps: Steps, tenant: str, import_id: int | None, pause: Pause | None) -> Entry:
    """Hold the tenant; return the import to undo: without an id, the newest that changed a user. Raises Refused."""
    await hold(steps, tenant)
    newest = await _one(steps, NEWEST_CHANGE, tenant=tenant)
    queued = map(entry_of, await steps.rows(WAITING if pause else WAITING_FIRST, tenant=tenant))
    waiting = next((each for each in queued if in_the_way(pause, each)), None)
    entry = newest if import_id is None else await _known(steps, tenant, import_id)
    why_not = why_not_undone(entry, newest, waiting)
    if why_not:
        raise why_not
    assert entry is not None, "there is no import without a reason not to undo it"
    return entry


async def refuse_unless_tested(steps: Steps, tenant: str, tested: int, *, replaces: bool) -> None:
    """Raise Refused unless the dry run `tested` still says what an import of its file does."""
    newest = await _one(steps, NEWEST, tenant=tenant)
    applied = await _one(steps, NEWEST_APPLIED, tenant=tenant)
    sent = await _one(steps, SENT_AS, tenant=tenant, tested=tested)
    waiting = first_in_the_way(map(entry_of, await steps.rows(WAITING, tenant=tenant)), replaces=replaces)
    why_not = why_not_sent(await _known(steps, tenant, tested), sent, newest, applied, waiting)
    if why_not:
        raise why_not


async def _known(steps: Steps, tenant: str, import_id: int) -> Entry:
    entry = await _one(steps, KNOWN, tenant=tenant, id=import_id)
    if entry is None:
        raise unknown_import(tenant, import_id)
    return entry


async def _one(steps: Steps, statement: str, **values: object) -> Entry | None:
    return next(map(entry_of, await steps.rows(statement, **values)), None)
