"""The users of a tenant on PostgreSQL: what differs from a file for each tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.postgres.database import pooled
from engine.postgres.tenant.users import PostgresUsers
from importer.errors import DatabaseUnusable, TryAgain
from importer.model import ImportState
from importer.rules.identity import BY_ADDRESS
from importer.users.directory import Wanted
from importer.users.invitations import Asked
from tests.support.clients import POSTGRES, needs
from tests.support.importing import people
from tests.support.postgres_company import TENANT, PostgresCompany
from tests.support.waiting import DEADLINE_S

pytestmark = needs(POSTGRES)

INVITING: dict[str, Any] = {"invitations": "immediately"}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ON_HIRE_DATE = Asked(NOON, (NOON.timestamp(), NOON.timestamp() + 3600), on_hire_date=True)
SOON_S = 0.1


@pytest.fixture
def company(tmp_path: Path) -> PostgresCompany:
    return PostgresCompany(tmp_path)


def by_hand(company: PostgresCompany, statement: str) -> None:
    with psycopg.connect(company.url) as db:
        db.execute(statement)


@asynccontextmanager
async def running_import(company: PostgresCompany) -> AsyncIterator[None]:
    """Keep an import open that has created a user and changed another."""
    async with company.kept.importing(99, BY_ADDRESS, lambda work: work()) as keeps:
        ann = (await keeps.users.load([1]))[1]
        await keeps.users.update([(ann, {"job_title": "Boss"})])
        yield


async def test_the_numbers_of_changes_are_exact_in_javascript(company: PostgresCompany) -> None:
    firsts = set()
    for _ in range(20):
        by_hand(company, "DELETE FROM meta")
        await company.kept.prepare(make=True)
        async with company.kept.history(BY_ADDRESS) as history:
            firsts.add((await history.following(0))[1])
    assert len(firsts) == 20
    assert 0 < min(firsts) < max(firsts) < 2**53 - 10**12


async def test_a_write_waits_for_a_running_import_and_then_gives_up(company: PostgresCompany) -> None:
    await company.run(people("ann"), **INVITING)
    async with running_import(company), company.kept.invitations(SOON_S) as invitations:
        assert await invitations.waiting() == 1
        with pytest.raises(TryAgain):
            await invitations.withdraw()


async def test_writers_that_wait_for_an_import_leave_the_connections_to_others(
    company: PostgresCompany, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.postgres.tenant.writing.LOCK_S", 4 * DEADLINE_S)  # all wait until the end
    await company.run(people("ann"))
    async with pooled(company.url, most=2) as database:
        users = PostgresUsers(company.url, TENANT, database)
        async with running_import(company):
            writes = [asyncio.create_task(users.set_protected("ann@example.com", True, BY_ADDRESS)) for _ in range(9)]
            async with asyncio.timeout(DEADLINE_S):
                for _ in range(9):
                    assert await users.count_by_state() == {"active": 1, "deactivated": 0}
            assert not any(write.done() for write in writes)
        assert await asyncio.gather(*writes) == [True] * 9


async def test_readers_see_the_users_as_they_were_while_an_import_runs(company: PostgresCompany) -> None:
    await company.run(people("ann", job_title="Cook"))
    async with running_import(company):
        assert (await company.users())["ann@example.com"]["job_title"] == "Cook"
        assert company.kept.take_stock(SOON_S).active == 1


async def test_a_test_on_a_copy_waits_for_no_import_and_changes_no_user(company: PostgresCompany) -> None:
    await company.run(people("ann", "ben", primary_team="Sales"))
    before, look = await company.users(), company.kept.looks_like()
    kept, company.kept = company.kept, company.kept.copy(company.folder)
    running = PostgresCompany(company.folder)
    async with running_import(running):
        outcome = await company.run(people("ann", "cy", job_title="Chef", primary_team="Ops"), dry_run=True)
        assert (outcome.counts.created, outcome.counts.updated, outcome.counts.teams_created) == (1, 1, 1)
        async with company.kept.importing(0, BY_ADDRESS, lambda work: work()) as keeps:
            ben = (await keeps.users.load([2]))[2]
            await keeps.users.update([(ben, {"job_title": "Chef"})])
        assert kept.looks_like() == look
    company.kept = kept
    assert (await company.users())["ben@example.com"] == before["ben@example.com"]
    assert list(await company.users()) == list(before)


async def test_a_copy_is_made_in_a_schema_of_any_name(company: PostgresCompany) -> None:
    with psycopg.connect(company.url) as db:
        db.execute('ALTER SCHEMA public RENAME TO "Head count"')
        db.execute(f"ALTER DATABASE {db.info.dbname} SET search_path = 'Head count'")
    await company.run(people("ann"))
    company.kept = company.kept.copy(company.folder)
    assert (await company.run(people("ann", "ben"), dry_run=True)).counts.created == 1


async def test_a_copy_of_users_that_have_changed_since_is_refused(company: PostgresCompany) -> None:
    await company.run(people("ann"))
    kept, company.kept = company.kept, company.kept.copy(company.folder)
    await company.run(people("ben"), dry_run=True)
    await kept.set_protected("ann@example.com", True, BY_ADDRESS)
    with pytest.raises(TryAgain, match="have changed"):
        await company.run(people("ben"), dry_run=True)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE users SET job_title = 'Boss' WHERE id = 2",
        "DELETE FROM users WHERE id = 1",
        "INSERT INTO settings SELECT id, 'retention_days', '90' FROM tenants",
        "UPDATE invitations SET state = 'given_up'",
        "DELETE FROM applied",
    ],
)
async def test_users_changed_by_hand_look_different(company: PostgresCompany, statement: str) -> None:
    await company.run(people("ann", "ben"), **INVITING)
    before = company.kept.looks_like()
    await company.run(people("ann", "cy"), dry_run=True)
    assert company.kept.looks_like() == before
    by_hand(company, statement)
    assert company.kept.looks_like() != before


async def test_the_users_of_a_removed_tenant_are_refused_in_words(company: PostgresCompany) -> None:
    await company.run(people("ann"))
    by_hand(company, "DELETE FROM tenants")
    assert await company.kept.outcome_of(1) is None
    assert "acme" in (company.kept.why_shut() or "")
    assert not company.kept.is_plain()
    for read in (company.users, company.kept.count_by_state, company.kept.prepare):
        with pytest.raises(DatabaseUnusable, match="no users of acme"):
            await read()
    for look in (company.kept.read_all, company.kept.copy_bytes, lambda: company.kept.take_stock(SOON_S)):
        with pytest.raises(DatabaseUnusable, match="no users of acme"):
            look()


async def test_a_tenant_added_again_has_other_users_and_numbers(company: PostgresCompany) -> None:
    await company.run(people("ann"))
    async with company.kept.history(BY_ADDRESS) as history:
        _, after = await history.following(0)
    by_hand(company, "DELETE FROM tenants")
    company.kept = company._users()
    await company.run(people("ben"))
    assert list(await company.users()) == ["ben@example.com"]
    async with company.kept.history(BY_ADDRESS) as history:
        assert (await history.following(0))[1] != after


async def test_a_tenant_sees_no_user_of_another(company: PostgresCompany) -> None:
    await company.run(people("ann", primary_team="Sales"))
    by_hand(company, "INSERT INTO tenants (name, created_at) VALUES ('globex', 'now')")
    other = PostgresUsers(company.url, "globex")
    await other.prepare(make=True)
    async with other.directory() as directory:
        assert await directory.page(Wanted("ann")) == ([], None)
        assert await directory.get("ann@example.com") is None
        assert await directory.names(9) == ([], [])
    assert await other.count_by_state() == {"active": 0, "deactivated": 0}
    assert not await other.set_protected("ann@example.com", True, BY_ADDRESS)
    assert await other.outcome_of(1) is None


async def test_a_time_zone_that_postgres_does_not_know_is_read_as_utc(company: PostgresCompany) -> None:
    await company.run(people("ann", hire_date="2026-03-02"), **INVITING)
    await company.run(people("ben", hire_date="2026-03-01"), **INVITING)
    by_hand(company, "UPDATE users SET time_zone = 'Mars/Base'")
    async with company.kept.invitations(SOON_S) as invitations:
        assert await invitations.due(ON_HIRE_DATE, 9) == [2]


@needs("pgbouncer")
async def test_users_are_imported_read_and_undone_through_pgbouncer(company: PostgresCompany, through: str) -> None:
    company.kept = PostgresUsers(through, TENANT)
    await company.run(people("ann", "ben", job_title="Cook"))
    done = await company.run(people("ann", "cy", job_title="Boss"))
    assert (done.counts.created, done.counts.updated) == (1, 1)
    undone = await company.undo()
    assert undone.state is ImportState.UNDONE
    users = await company.users()
    assert {name: user["job_title"] for name, user in users.items() if user["state"] == "active"} == {
        "ann@example.com": "Cook",
        "ben@example.com": "Cook",
    }
    company.kept = company.kept.copy(company.folder)
    assert (await company.run(people("dora"), dry_run=True)).counts.created == 1
