"""Writes the rows of one tenant: in a transaction that keeps other writers of the same users out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from engine.postgres.database import WAIT_S, Database, Steps
from engine.postgres.tenant.holding import hold_users

Writes = Callable[[], AbstractAsyncContextManager[tuple[Steps, int]]]
"""Begins a transaction that holds the users of one tenant; it has the steps and the id of the tenant."""


@asynccontextmanager
async def writing(
    database: Database, tenant: str, wait_s: float = WAIT_S, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Steps, int]]:
    """Begin a transaction, with these `settings`, that holds the users of the tenant with this name.

    Raises TryAgain if another writer holds them for `wait_s`, and DatabaseUnusable if there are none.
    """
    limit = {"lock_timeout": f"{round(wait_s * 1000)}ms"}
    async with database.transaction({**limit, **(settings or {})}) as steps:
        yield steps, await hold_users(steps, tenant)
