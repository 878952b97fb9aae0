"""Any text of an import is stored as it is, and no other writer comes between its statements."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.postgres.database import alone
from engine.postgres.importing.importing import PostgresImporting
from engine.postgres.importing.work import SETTINGS, Work
from engine.postgres.tenant.holding import try_to_hold
from engine.postgres.tenant.writing import writing
from importer.errors import DatabaseUnusable, TryAgain
from importer.rules.identity import BY_ADDRESS
from importer.users.columns import NEW_USER
from tests.support.clients import POSTGRES, needs

pytestmark = needs(POSTGRES)

ODD = ("\\.", "a\n\\.\nb", "\\N", '"', '","', "a\r\nb", "\r", " a ", "'", "a\\tb", "{}", "Zoë 👋", "NULL", "%s %(x)s")
"""Texts that a file for COPY, an array or JSON may not take as they are."""


@pytest.fixture
async def users(url: str) -> str:
    async with alone(url) as database:
        await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now'), ('bare', 'now')")
        await database.change("INSERT INTO meta SELECT id, 1, 5, 5, 5 FROM tenants WHERE name = 'acme'")
    return url


@asynccontextmanager
async def importing(url: str, wait_s: float = 5) -> AsyncIterator[PostgresImporting]:
    async with alone(url) as database, writing(database, "acme", wait_s, SETTINGS) as (steps, tenant):
        work = Work(steps, tenant, 1)
        yield PostgresImporting.over(work, BY_ADDRESS)
        await work.numbers.keep()


async def test_any_text_is_stored_and_found_as_it_was(users: str) -> None:
    known = [{**NEW_USER, "first_name": "", "last_name": odd, "email_key": odd, "email": odd} for odd in ODD]
    async with importing(users) as keeps:
        await keeps.users.create([(at, *user.values()) for at, user in enumerate(known, 1)])
        assert await keeps.users.find(ODD) == {odd: at for at, odd in enumerate(ODD, 1)}
        stored = await keeps.users.load(range(1, len(ODD) + 1))
        assert [(user["first_name"], user["last_name"], user["job_title"]) for user in stored.values()] == [
            ("", odd, None) for odd in ODD
        ]
        await keeps.users.update(
            [(user, {"job_title": user["last_name"], "last_name": ""}) for user in stored.values()]
        )
        changed = await keeps.users.load(range(1, len(ODD) + 1))
        assert [(user["last_name"], user["job_title"]) for user in changed.values()] == [("", odd) for odd in ODD]
        await keeps.users.make("teams", {odd: odd for odd in ODD})
        assert set(await keeps.users.ids_of("teams", ODD)) == set(ODD)
        await keeps.later.add_duplicates([(9, ODD[1], 8)])
        await keeps.later.tell([(8, ODD[5])])
        assert [(row.raw, row.first_raw) for row in await keeps.later.dropped(0)] == [(ODD[1], ODD[5])]


async def test_a_second_import_of_a_tenant_waits_and_gives_up(users: str) -> None:
    async with importing(users):
        with pytest.raises(TryAgain):
            async with importing(users, 0.1):
                pass


async def test_users_that_change_during_an_import_make_it_begin_anew(users: str) -> None:
    async with importing(users) as keeps:
        await keeps.users.create([(1, *{**NEW_USER, "first_name": "a", "last_name": "b"}.values())])

    async def change_the_removed() -> None:
        async with importing(users) as keeps:
            ann = (await keeps.users.load([1]))[1]
            async with alone(users) as database:
                await database.change("DELETE FROM users")
            await keeps.users.update([(ann, {"job_title": "Cook"})])

    with pytest.raises(TryAgain):
        await change_the_removed()


async def test_a_tenant_without_users_is_refused(users: str) -> None:
    async with alone(users) as database, database.transaction() as steps:
        for name in ("bare", "nobody"):
            with pytest.raises(DatabaseUnusable):
                await try_to_hold(steps, name)
