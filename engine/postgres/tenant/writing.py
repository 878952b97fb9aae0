"""Writes the rows of one tenant: in a transaction that keeps other writers of the same users out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from engine.postgres.database import LOCK_S, Database, Steps
from engine.postgres.tenant.holding import held_by_another, try_to_hold

Writes = Callable[[], AbstractAsyncContextManager[tuple[Steps, int]]]
"""Begins a transaction that holds the users of one tenant; it has the steps and the id of the tenant."""

LOOK_S = 0.1
"""How often a writer that waits for another one asks again."""


@asynccontextmanager
async def writing(
    database: Database, tenant: str, wait_s: float | None = None, settings: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Steps, int]]:
    """Begin a transaction, with these `settings`, that holds the users of the tenant with this name.

    A writer that waits for another one has no connection meanwhile: the others of the pool would be without one.
    Raises TryAgain if another writer holds the users for `wait_s` (without it, for `LOCK_S`), and DatabaseUnusable if
    there are none.
    """
    wait_s = LOCK_S if wait_s is None else wait_s
    ends = time.monotonic() + wait_s
    limit = {"lock_timeout": f"{max(1, round(wait_s * 1000))}ms"}
    while True:
        async with database.transaction({**limit, **(settings or {})}) as steps:
            if (number := await try_to_hold(steps, tenant)) is not None:
                yield steps, number
                return
        if time.monotonic() >= ends:
            raise held_by_another()
        await asyncio.sleep(min(LOOK_S, max(0.0, ends - time.monotonic())))
