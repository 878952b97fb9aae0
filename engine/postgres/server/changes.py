"""Changes of a state: the same for imports and for runs of hooks.

Each holds its tenant's row, so those of one tenant come one after the other. The order of their numbers is that of
their commits, and a transaction that holds the tenant sees no state change between two of its statements.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from engine.imports import begins
from engine.postgres.database import Database
from engine.postgres.server.outbox import put_in_outbox
from engine.postgres.server.tenants import ID
from importer.queue.notices import Notice
from importer.queue.states import Step

ENDS_LOCK = 0x656E6473
"""The first number of the advisory locks of ends; the second is the tenant's id."""

HELD = "tenant_id = (SELECT id FROM tenants WHERE name = %(tenant)s FOR NO KEY UPDATE)"
"""SQL: a row is of this tenant, which is held from now on."""


def one(step: Step) -> str:
    """Return the condition of one row of a tenant that is held, by id, in a state in which `step` begins."""
    return f"{HELD} AND id = %(id)s AND {begins(step)}"


@asynccontextmanager
async def held(database: Database, tenant: str) -> AsyncIterator[None]:
    """Let no other server end an import or run of a tenant in the block, which is one transaction.

    Files of the tenant may land meanwhile, until the block changes its names or states.
    """
    async with database.together():
        async with database.transaction() as steps:
            await steps.rows(f"SELECT pg_advisory_xact_lock(%s, {ID}::integer)", ENDS_LOCK, tenant)
        yield


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
