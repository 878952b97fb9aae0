"""Marks on PostgreSQL: nothing is sent while they cannot be read, and pauses are asked of the settings."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.postgres.database import Database
from engine.postgres.server.tenants import PostgresTenantStore
from engine.postgres.shared.marks import PostgresMarkStore
from engine.postgres.tenant.users import PostgresUsers
from engine.tenants import Tenant
from ground.moments import rfc3339, utc_now
from importer.errors import DatabaseUnusable
from server.tenants.sending import Sending
from server.tenants.settings import change_settings
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE

pytestmark = needs(POSTGRES)


async def test_nothing_is_sent_while_the_mark_cannot_be_read(database: Database) -> None:
    sending = Sending(PostgresMarkStore(database))
    assert not await sending.is_off()
    await database.change("ALTER TABLE marks RENAME TO other")
    assert await sending.is_off()
    assert str(await sending.why_off()).startswith("sending is off: ")
    with pytest.raises(DatabaseUnusable):
        await sending.turn_off(utc_now())
    await database.change("ALTER TABLE other RENAME TO marks")
    assert not await sending.is_off()


async def test_the_tenants_with_a_pause_in_their_settings_are_found(database: Database) -> None:
    marks = PostgresMarkStore(database)
    for name in ("acme", "globex"):
        await PostgresTenantStore(database).add(Tenant(name, SINCE, 0))
        await PostgresUsers(database.url, name, database).prepare(make=True)
    assert await marks.paused() == set()
    users, until = PostgresUsers(database.url, "acme", database), rfc3339(utc_now() + timedelta(days=2))
    await change_settings(users, {"paused_until": until}, by="me")
    assert await marks.paused() == {"acme"}
    await change_settings(users, {"paused_until": None}, by="me")
    assert await marks.paused() == set()
