"""A users.db is filled with rows of PostgreSQL, which has no foreign keys between users."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.moving.tables import Numbering, Row, Table
from engine.sqlite.moving import fill_users
from importer.errors import DatabaseUnusable
from importer.folder import TenantFolder
from server.tenants.local.folder import users_in

USER: dict[str, Any] = {
    "id": 1,
    "first_name": "Ann",
    "last_name": "Lee",
    "secondary_team_ids": "",
    "role": "learner",
    "language": "en",
    "custom": "{}",
    "state": "active",
    "protected": False,
    "known": True,
}
INVITATION: dict[str, Any] = {
    "user_id": 1,
    "import_id": 1,
    "message_id": "a",
    "state": "waiting",
    "attempts": 0,
    "not_before": 0.0,
}
ACME = "tenant_id = (SELECT id FROM tenants WHERE name = 'acme')"


async def filled(folder: Path, **rows: dict[str, Any]) -> Path:
    """Return a users.db that is filled with one row in each of these tables."""

    async def batches(table: Table) -> AsyncIterator[Sequence[Row]]:
        if table.name in rows:
            yield [tuple(rows[table.name].get(name) for name in table.names)]

    tenant = TenantFolder(folder)
    await users_in(tenant).prepare(make=True)
    await fill_users(tenant.users_db, "acme", batches, Numbering(1, 1, 1, 1))
    return tenant.users_db


async def test_a_row_may_come_before_the_one_it_refers_to(tmp_path: Path) -> None:
    with closing(sqlite3.connect(await filled(tmp_path, users={**USER, "manager_id": 1}))) as db:
        assert db.execute("SELECT manager_id FROM users").fetchall() == [(1,)]


@pytest.mark.parametrize("column", ["manager_id", "coach_id", "primary_team_id", "location_id"])
async def test_a_user_that_refers_to_no_row_is_named_with_the_remedy(tmp_path: Path, column: str) -> None:
    with pytest.raises(DatabaseUnusable) as caught:
        await filled(tmp_path, users={**USER, column: 99})
    assert str(caught.value).endswith(f": UPDATE users SET {column} = NULL WHERE {ACME} AND id = 1")


async def test_an_invitation_of_no_user_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnusable) as caught:
        await filled(tmp_path, invitations={**INVITATION, "user_id": 7})
    assert str(caught.value).endswith(f": DELETE FROM invitations WHERE {ACME} AND user_id = 7")
