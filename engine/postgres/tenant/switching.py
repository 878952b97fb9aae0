"""The change of the identifier: `external_id`, by which imports find users, is filled in the same transaction."""

from __future__ import annotations

import json

from engine.postgres.database import Steps
from importer.rules.identity import Identity
from importer.users.switching import missing, shared, switched

WHO = "first_name || ' ' || last_name || coalesce(' (' || email || ')', '')"
OF_TENANT = "FROM users WHERE tenant_id = %(tenant)s"
CLEAR = "UPDATE users SET external_id = NULL WHERE tenant_id + 0 = %(tenant)s AND external_id IS NOT NULL"
FILL = "UPDATE users SET external_id = {value} WHERE tenant_id = %(tenant)s AND known AND {value} IS NOT NULL"
FILL_UNKNOWN = f"""
    UPDATE users SET external_id = {{value}} WHERE ctid = ANY (ARRAY(
        SELECT DISTINCT ON (value) place FROM (
            SELECT id, ctid AS place, {{value}} AS value {OF_TENANT} AND NOT known OFFSET 0) AS unknown
        WHERE value IS NOT NULL AND NOT EXISTS (SELECT 1 FROM users AS other
            WHERE other.tenant_id + 0 = %(tenant)s AND other.external_id = unknown.value OFFSET 0)
        ORDER BY value, id))"""  # noqa: S608 - constants


async def refuse_switched(steps: Steps, tenant: int, identity: Identity) -> None:
    """Raise TryAgain if the identifier of the users of `tenant` is no longer `identity`."""
    rows = await steps.rows("SELECT value FROM settings WHERE tenant_id = %s AND key = 'identifier'", tenant)
    if (json.loads(rows[0][0]) if rows else "email") != identity.setting:
        raise switched()


async def switch_identity(steps: Steps, tenant: int, after: Identity) -> None:
    """Make `after` the identifier of the users of `tenant`, in the caller's transaction.

    Raises Refused; then roll back.
    """
    await steps.change(CLEAR, tenant=tenant)
    field = after.setting
    value = after.column if after.by_address else f"(custom::json ->> '{field}')"
    await _refuse_without(steps, tenant, field, value)
    if not after.by_address:
        await _refuse_shared(steps, tenant, field, value)
        await steps.change(FILL.format(value=value), tenant=tenant)
        # One user whose creation was undone may keep the value: the record is theirs again if a file names them.
        await steps.change(FILL_UNKNOWN.format(value=value), tenant=tenant)


async def _refuse_without(steps: Steps, tenant: int, field: str, value: str) -> None:
    rows = await steps.rows(
        f"SELECT {WHO} {OF_TENANT} AND state = 'active' AND {value} IS NULL ORDER BY id", tenant=tenant
    )
    if names := [row[0] for row in rows]:
        raise missing(field, names)


async def _refuse_shared(steps: Steps, tenant: int, field: str, value: str) -> None:
    rows = await steps.rows(
        f"SELECT value, string_agg(who, ' and ' ORDER BY id) FROM (SELECT id, {WHO} AS who, {value} AS value"  # noqa: S608
        f" {OF_TENANT} AND known OFFSET 0) AS each WHERE value IS NOT NULL"
        " GROUP BY value HAVING count(*) > 1 ORDER BY min(id)",
        tenant=tenant,
    )
    if values := [(row[0], row[1]) for row in rows]:
        raise shared(field, values)
