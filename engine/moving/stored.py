"""The tables of an engine, to be read and filled as a whole: protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from engine.moving.tables import Counters, Numbering, Row, Table
from engine.tenants import Tenant

AT_ONCE = 2000
"""The most rows in memory."""

Batches = AsyncIterator[Sequence[Row]]
RowsOf = Callable[[Table], Batches]
"""Returns the rows of a table in batches."""


class StoredTables(Protocol):
    """The tables of an installation on which no server runs. Every method raises what a `Store` does."""

    def rows(self, table: Table, tenant: str | None) -> Batches:
        """Return the rows of a tenant in the order of their keys; those that belong to no tenant for None."""

    async def tenants(self) -> list[Tenant]:
        """Return all tenants, by name."""

    async def numbering(self, tenant: str) -> Numbering: ...

    async def counters(self) -> Counters: ...

    async def unfinished(self) -> int:
        """Return how many imports, runs and uploads a killed server had begun.

        In a database, servers count too that were killed or are frozen.
        """

    async def is_empty(self) -> bool:
        """Return whether there are no tenants and no tokens."""

    async def end_sign_ins(self) -> None:
        """Remove all sessions of browsers and all links: both or neither."""

    async def fill(self, rows: RowsOf, counters: Counters) -> None:
        """Replace the rows that belong to no tenant, all of them or none. New numbers follow all that are here."""
