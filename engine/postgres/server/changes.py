"""Changes of a state: the same for imports and for runs of hooks.

Each holds its tenant's row, so those of one tenant come one after the other. The order of their numbers is that of
their commits, and a transaction that holds the tenant sees no state change between two of its statements.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from engine.imports import begins
from engine.postgres.database import Database
from engine.postgres.server.outbox import put_in_outbox
from importer.queue.notices import Notice
from importer.queue.states import Step

HELD = "tenant_id = (SELECT id FROM tenants WHERE name = %(tenant)s FOR NO KEY UPDATE)"
"""SQL: a row is of this tenant, which is held from now on."""


def one(step: Step) -> str:
    """Return the condition of one row of a tenant that is held, by id, in a state in which `step` begins."""
    return f"{HELD} AND id = %(id)s AND {begins(step)}"


async def end(database: Database, notices: Iterable[Notice], now: str, statement: str, **values: object) -> bool:
    """Write a change and its notices in one transaction: both, or neither if the statement changes no row.

    The number of the change is part of the topic, so an end that comes a second time is reported again, whatever the
    clock says.
    """
    told = list(notices)
    if not told:
        return bool(await database.change(statement, **values))
    async with database.transaction() as steps:
        if not await steps.change(statement, **values):
            return False
        ((move,),) = await steps.rows("SELECT currval('moves_id_seq')")
        await put_in_outbox(steps, [replace(each, topic=f"{each.topic} #{move}") for each in told], now)
    return True
