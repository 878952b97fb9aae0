"""Logins on PostgreSQL: none waits long for the database, and a lost connection is made again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from engine.postgres.database import Database
from engine.postgres.server.accounts import WAIT_S, PostgresAccountStore
from engine.postgres.server.tenants import PostgresTenantStore
from engine.tenants import Tenant
from importer.errors import TryAgain
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE
from tests.support.waiting import wait_until

pytestmark = needs(POSTGRES)


@pytest.fixture
async def accounts(database: Database) -> PostgresAccountStore:
    await PostgresTenantStore(database).add(Tenant("acme", SINCE, 0))
    return PostgresAccountStore(database.url)


@pytest.fixture(autouse=True)
def closed(accounts: PostgresAccountStore) -> Iterator[None]:
    yield
    accounts.close()


async def test_a_login_uses_a_new_connection_after_the_old_one_was_lost(
    database: Database, accounts: PostgresAccountStore
) -> None:
    ended = await database.read(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    assert [row[0] for row in ended] == [True]
    assert accounts.has("acme")


def test_a_login_waits_a_moment_for_a_database_that_does_not_answer(url: str, accounts: PostgresAccountStore) -> None:
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE tenants")
        begun = time.monotonic()
        with pytest.raises(TryAgain, match="does not answer within"):
            accounts.has("acme")
        assert time.monotonic() - begun < WAIT_S + 0.5
        begun = time.monotonic()
        for _ in range(20):
            with pytest.raises(TryAgain, match="does not answer"):
                accounts.has("acme")
        assert time.monotonic() - begun < WAIT_S, "one wait is enough"

    def answers() -> bool:
        try:
            return accounts.has("acme")
        except TryAgain:
            return False

    wait_until(answers)


def test_logins_of_a_database_that_is_not_there_are_an_error_at_the_start(url: str) -> None:
    with pytest.raises(TryAgain, match="does not exist"):
        PostgresAccountStore(url.replace("headcount@/", "headcount@/no_"))
