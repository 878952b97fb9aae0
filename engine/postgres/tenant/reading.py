"""Reads the rows of one tenant: each answer is of one moment, and waits for no writer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from engine.postgres.database import Database, Steps
from engine.postgres.rows import Row
from importer.errors import DatabaseUnusable

ONE_MOMENT = {"transaction_isolation": "repeatable read", "transaction_read_only": "on"}
"""Settings of a transaction that sees the tables as they were at its first statement."""
FIND = "SELECT id FROM tenants JOIN meta ON tenant_id = id WHERE name = %s"
"""SQL: the id of a tenant that has users, or may get some."""


def sought(value: object) -> object:
    """Return `value` to compare stored values with: None, which equals none, for a text that PostgreSQL refuses.

    No stored text has a NUL.
    """
    return None if isinstance(value, str) and "\0" in value else value


class Reads:
    """The rows of the tenant with the id `tenant`, which each statement has as the value %(tenant)s."""

    def __init__(self, database: Database, tenant: int) -> None:
        self._database = database
        self.tenant = tenant

    async def rows(self, statement: str, **values: object) -> list[Row]:
        """Return the rows of one statement."""
        return await self._database.read(statement, tenant=self.tenant, **_all_sought(values))

    @asynccontextmanager
    async def one_moment(self) -> AsyncIterator[Reads]:
        """Read everything in the block as it is at its start."""
        async with self._database.transaction(ONE_MOMENT) as steps:
            yield Moment(steps, self.tenant)


class Moment(Reads):
    """The same inside one transaction."""

    def __init__(self, steps: Steps, tenant: int) -> None:
        self._steps = steps
        self.tenant = tenant

    async def rows(self, statement: str, **values: object) -> list[Row]:
        return await self._steps.rows(statement, tenant=self.tenant, **_all_sought(values))

    @asynccontextmanager
    async def one_moment(self) -> AsyncIterator[Reads]:
        yield self


async def reads_of(database: Database, tenant: str) -> Reads:
    """Return the rows of the tenant with this name. Raises DatabaseUnusable if there are no users."""
    for (number,) in await database.read(FIND, tenant):
        return Reads(database, number)
    raise DatabaseUnusable(f"the database has no users of {tenant}")


def _all_sought(values: Mapping[str, object]) -> dict[str, object]:
    return {name: sought(value) for name, value in values.items()}
