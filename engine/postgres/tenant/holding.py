"""One writer of a tenant's users at a time."""

from __future__ import annotations

from engine.postgres.database import Steps
from importer.errors import DatabaseUnusable

LOCK = 0x75736572
"""The first number of the advisory locks of users; the second is the tenant's id."""

HOLD = "SELECT pg_advisory_xact_lock(%s, %s::integer)"
FIND = """
    SELECT id, EXISTS (SELECT 1 FROM meta WHERE tenant_id = tenants.id) FROM tenants
    WHERE name = %s FOR KEY SHARE OF tenants"""


async def hold_users(steps: Steps, tenant: str) -> int:
    """Return the id of a tenant, and keep its users from other writers until the transaction ends.

    The tenant cannot be removed meanwhile; other tables about it can be changed. Raises TryAgain if the lock does not
    come within the transaction's `lock_timeout`, and DatabaseUnusable if there are no users.
    """
    for number, are in await steps.rows(FIND, tenant):
        if are:
            await steps.rows(HOLD, LOCK, number)
            return int(number)
    raise DatabaseUnusable(f"the database has no users of {tenant}")
