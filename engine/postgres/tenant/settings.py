"""The settings of a tenant in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable

from engine.postgres.database import Steps
from engine.postgres.tenant.reading import Reads
from engine.postgres.tenant.switching import switch_identity
from importer.users.settled import SettingChange, Settled, Texts

SELECT = "SELECT key, value FROM settings WHERE tenant_id = %(tenant)s"


async def texts_in(reads: Reads) -> Texts:
    """Return the settings of a tenant."""
    return {row[0]: row[1] for row in await reads.rows(SELECT)}


async def change(steps: Steps, tenant: int, decide: Callable[[Texts], Settled]) -> Settled:
    """Store what `decide` returns, in the transaction in which it is called. Raises what it raises, and Refused."""
    settled = decide({row[0]: row[1] for row in await steps.rows(SELECT, tenant=tenant)})
    if settled.identity:
        await switch_identity(steps, tenant, settled.identity)
    await steps.change("DELETE FROM settings WHERE tenant_id = %s", tenant)
    await steps.change_each(
        "INSERT INTO settings (tenant_id, key, value) VALUES (%s, %s, %s)",
        [(tenant, *each) for each in settled.kept.items()],
    )
    await steps.change_each(
        "INSERT INTO settings_changes (tenant_id, changed_at, changed_by, key, old, new)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [(tenant, each.changed_at, each.changed_by, each.key, each.old, each.new) for each in settled.changes],
    )
    if settled.means_otherwise:
        await steps.change("UPDATE meta SET revision = revision + 1 WHERE tenant_id = %s", tenant)
    return settled


async def page_of_changes(reads: Reads, limit: int, before: int) -> tuple[list[SettingChange], int | None]:
    """Return up to `limit` changes older than `before`, newest first, and the `before` of the next page."""
    found = await reads.rows(
        "SELECT id, changed_at, changed_by, key, old, new FROM settings_changes"
        " WHERE tenant_id = %(tenant)s AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s",
        before=before,
        limit=limit + 1,
    )
    rows = found[:limit]
    return [SettingChange(*list(row)[1:]) for row in rows], rows[-1]["id"] if len(found) > limit else None
