"""One writer of a tenant's users at a time."""

from __future__ import annotations

from engine.postgres.database import Steps
from importer.errors import DatabaseUnusable, TryAgain

LOCK = 0x75736572
"""The first number of the advisory locks of users; the second is the tenant's id."""

HOLD = "SELECT pg_try_advisory_xact_lock(%s, %s::integer)"
FIND = """
    SELECT id, EXISTS (SELECT 1 FROM meta WHERE tenant_id = tenants.id) FROM tenants
    WHERE name = %s FOR KEY SHARE OF tenants"""


async def try_to_hold(steps: Steps, tenant: str) -> int | None:
    """Return the id of a tenant, and keep its users from other writers until the transaction ends.

    None if another writer holds them. The tenant cannot be removed meanwhile; other tables about it can be changed.
    Raises DatabaseUnusable if there are no users.
    """
    for number, are in await steps.rows(FIND, tenant):
        if are:
            ((held,),) = await steps.rows(HOLD, LOCK, number)
            return int(number) if held else None
    raise DatabaseUnusable(f"the database has no users of {tenant}")


def held_by_another() -> TryAgain:
    """Return the error that another writer holds the users."""
    return TryAgain("database_busy", "another writer holds the users")
