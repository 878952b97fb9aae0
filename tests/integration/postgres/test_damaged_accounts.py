"""Rows of one tenant that PostgreSQL cannot read: the accounts of the other tenants are read as before."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from engine.postgres.database import Database
from engine.postgres.server.accounts import PostgresAccountStore
from engine.shared.keys import Admission
from importer.errors import DatabaseDamaged, DatabaseFault
from importer.folder import TenantFolder
from server.tenants.shared.accounts import AGAIN_S, FEW, KNOWN_S, StoredAccounts
from tests.support.clients import POSTGRES, needs
from tests.support.waiting import DEADLINE_S

pytestmark = needs(POSTGRES)

NAMES = [f"tenant{number}" for number in range(7)]
DAMAGE = """
    CREATE FUNCTION sound(tenant bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
        IF tenant IN (SELECT id FROM damaged) THEN
            RAISE 'missing chunk number 0 for toast value 1' USING ERRCODE = '{state}';
        END IF;
        RETURN true;
    END $$;
    CREATE TABLE damaged AS SELECT id FROM tenants WHERE name IN ('tenant2', 'tenant3');
    ALTER TABLE keys RENAME TO stored_keys;
    CREATE VIEW keys AS SELECT * FROM stored_keys WHERE sound(tenant_id)"""
STATES = {"XX001": "rows", "XX000": "internal error", "58P01": "lost file"}
"""SQLSTATEs by which PostgreSQL may report damage."""


class Clock:
    """The clock of the accounts, in seconds."""

    now = 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def add(database: Database, names: Sequence[str]) -> None:
    """Add tenants, each with a key."""
    await database.change(
        "INSERT INTO tenants (name, created_at) SELECT name, 'now' FROM unnest(%s::text[]) AS name", names
    )
    await database.change(
        "INSERT INTO keys (tenant_id, kind, blob, comment, added_at) SELECT id, 'ssh-rsa', '', '', 'now' FROM tenants"
    )


def opened_on(store: PostgresAccountStore, folder: Path, clock: Clock) -> StoredAccounts:
    return StoredAccounts(store, lambda name: TenantFolder(folder / name), clock=lambda: clock.now)


@pytest.fixture(params=STATES, ids=STATES.get)
async def accounts(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path, clock: Clock
) -> AsyncIterator[StoredAccounts]:
    await add(database, NAMES)
    store = PostgresAccountStore(database.url, DEADLINE_S)
    opened = opened_on(store, tmp_path, clock)
    with closing(opened):
        assert all(opened.account(name) for name in NAMES)
        await database.change(DAMAGE.format(state=request.param))
        yield opened


@pytest.mark.logs("tenant_unreadable")
async def test_damaged_rows_of_tenants_keep_no_others_from_being_read(
    accounts: StoredAccounts, database: Database, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither together with the others, nor one by one at a login. A repaired or removed tenant is seen as such."""

    def sure() -> set[str]:
        return {name for name, known in accounts._known.items() if known.account.sure_until > clock.now}

    def is_sure(name: str) -> bool:
        account = accounts.account(name)
        return account is not None and account.sure_until > clock.now

    for _ in range(2):
        clock.now += KNOWN_S
        assert sure() == set()
        await accounts.renew(NAMES)
        assert sure() == {*NAMES} - {"tenant2", "tenant3"}
    clock.now += KNOWN_S
    assert [is_sure(name) for name in NAMES] == [name not in {"tenant2", "tenant3"} for name in NAMES]
    await accounts.check()
    assert "Tenant tenant2 cannot be read" in caplog.messages[0]
    assert "missing chunk number 0 for toast value 1" in caplog.messages[0]
    await database.change("DELETE FROM damaged")
    await database.change("DELETE FROM tenants WHERE name = 'tenant3'")
    clock.now += KNOWN_S
    await accounts.renew(NAMES)
    assert sure() == {*NAMES} - {"tenant3"}
    assert accounts.account("tenant3") is None


@pytest.mark.logs("tenant_unreadable")
async def test_damage_of_the_only_account_in_use_leaves_the_server_ready(
    accounts: StoredAccounts, clock: Clock
) -> None:
    """Another tenant may log in next: a balancer must not take the server away."""
    for name in {*NAMES} - {"tenant2"}:
        del accounts._known[name]
    clock.now += KNOWN_S
    await accounts.renew(["tenant2"])
    assert accounts.account("tenant2")
    await accounts.check()
    other = accounts.account("tenant1")
    assert other
    assert other.sure_until > clock.now


class Counted(PostgresAccountStore):
    """A store that counts the questions."""

    asked = 0

    def admission(self, tenant: str) -> Admission | None:
        self.asked += 1
        return super().admission(tenant)

    async def admissions(self, tenants: Sequence[str]) -> dict[str, Admission]:
        self.asked += 1
        return await super().admissions(tenants)


MANY = [f"many{number}" for number in range(200)]
LOST = {
    "lost file": "ALTER TABLE keys RENAME TO stored_keys;"
    " CREATE FUNCTION sound() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
    " RAISE 'could not open file' USING ERRCODE = '58P01'; END $$;"
    " CREATE VIEW keys AS SELECT * FROM stored_keys WHERE sound()",
    "missing column": "ALTER TABLE keys RENAME TO stored_keys;"
    " CREATE VIEW keys AS SELECT tenant_id, number, kind, blob, comment FROM stored_keys",
}
FOUND = "DROP VIEW keys; ALTER TABLE stored_keys RENAME TO keys"


@pytest.mark.logs("tenant_unreadable")
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
async def test_few_questions_are_asked_while_no_account_can_be_read(
    database: Database, tmp_path: Path, clock: Clock, lost: str
) -> None:
    """Neither together nor by the sessions, which wait. The server is not ready, and works again by itself."""
    await add(database, MANY)
    store = Counted(database.url, DEADLINE_S)
    accounts = opened_on(store, tmp_path, clock)
    with closing(accounts):
        assert all(accounts.account(name) for name in MANY)
        await database.change(lost)
        for _ in range(2):
            clock.now += KNOWN_S
            store.asked = 0
            await accounts.renew(MANY)
            assert store.asked <= 1 + FEW
            assert not any(accounts.account(name).sure_until > clock.now for name in MANY)
            assert store.asked <= 1 + FEW  # and none by the sessions

            clock.now += AGAIN_S
            assert accounts.account(MANY[0])
            store.asked = 0
            assert all(accounts.account(name) for name in MANY)
            accounts.account("other")
            assert store.asked == 1  # of that one nothing is known
            clock.now += AGAIN_S
            with pytest.raises((DatabaseDamaged, DatabaseFault)):
                await accounts.check()

        await database.change(FOUND)
        clock.now += AGAIN_S
        await accounts.check()
        await accounts.renew(MANY)
        assert all(accounts.account(name).sure_until > clock.now for name in MANY)


@pytest.mark.logs("tenant_unreadable")
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
@pytest.mark.parametrize("known", [FEW, 0], ids=["known", "unknown"])
async def test_a_login_that_meets_damage_makes_the_check_of_health_look_for_all(
    database: Database, tmp_path: Path, clock: Clock, lost: str, known: int
) -> None:
    """No session may be open that lets accounts be read together."""
    await add(database, NAMES)
    store = PostgresAccountStore(database.url, DEADLINE_S)
    accounts = opened_on(store, tmp_path, clock)
    with closing(accounts):
        assert all(accounts.account(name) for name in NAMES[:known])
        await accounts.check()
        await database.change(lost)
        clock.now += KNOWN_S
        assert accounts.account(NAMES[0])
        if known or "sound" not in lost:
            with pytest.raises((DatabaseDamaged, DatabaseFault)):
                await accounts.check()
        await database.change(FOUND)
        clock.now += AGAIN_S
        await accounts.check()
        assert accounts.account(NAMES[0]).sure_until > clock.now
