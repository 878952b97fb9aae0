"""One import in PostgreSQL: the begin and end of its transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from engine.postgres.database import alone
from engine.postgres.importing.addresses import PostgresRowsAside
from engine.postgres.importing.applied import PostgresApplied
from engine.postgres.importing.before import PostgresLinesBefore
from engine.postgres.importing.later import PostgresRowsForLater
from engine.postgres.importing.links import PostgresStoredLinks
from engine.postgres.importing.pairs import PostgresFoundPairs
from engine.postgres.importing.roster import PostgresStoredUsers
from engine.postgres.importing.work import SETTINGS, Work
from engine.postgres.server.node import hold_work
from engine.postgres.tenant.writing import writing
from importer.rules.identity import Identity


@dataclass(frozen=True, slots=True)
class PostgresImporting:
    """The `importer.users.importing.importing.Importing` in one transaction."""

    users: PostgresStoredUsers
    links: PostgresStoredLinks
    addresses: PostgresRowsAside
    later: PostgresRowsForLater
    pairs: PostgresFoundPairs
    applied: PostgresApplied
    before: PostgresLinesBefore

    @classmethod
    def over(cls, work: Work, identity: Identity) -> PostgresImporting:
        """Return the import whose transaction is `work`."""
        return cls(
            PostgresStoredUsers(work, identity),
            PostgresStoredLinks(work),
            PostgresRowsAside(work),
            PostgresRowsForLater(work),
            PostgresFoundPairs(work, identity),
            PostgresApplied(work, identity),
            PostgresLinesBefore(work),
        )


@asynccontextmanager
async def importing(
    url: str, tenant: str, import_id: int, identity: Identity, node: int | None = None
) -> AsyncIterator[PostgresImporting]:
    """Begin an import of the users of `tenant`, over a connection of its own; it ends with the context.

    On the server with the number `node`, it stores nothing once another server has taken it up.

    Raises TryAgain if another writer holds these users for too long.
    """
    async with alone(url) as database, writing(database, tenant, settings=SETTINGS) as (steps, number):
        await hold_work(steps, number, import_id, node)
        work = Work(steps, number, import_id, node)
        yield PostgresImporting.over(work, identity)
        await work.numbers.keep()
