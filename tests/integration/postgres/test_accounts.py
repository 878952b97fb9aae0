"""Logins on PostgreSQL: none waits long for the database, and a lost connection is made again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, closing

import psycopg
import pytest

from engine.postgres.database import Database
from engine.postgres.server.accounts import PostgresAccountStore
from engine.postgres.server.tenants import PostgresTenantStore
from engine.tenants import Tenant
from importer.errors import DatabaseAway, TryAgain
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE
from tests.support.waiting import DEADLINE_S, wait_until

pytestmark = needs(POSTGRES)

OpenAccounts = Callable[[float], PostgresAccountStore]


@pytest.fixture
async def open_accounts(database: Database) -> AsyncIterator[OpenAccounts]:
    """Yield a function that returns the accounts of a database with the tenant `acme`; it takes the longest wait."""
    await PostgresTenantStore(database).add(Tenant("acme", SINCE, 0))
    with ExitStack() as opened:
        yield lambda wait_s: opened.enter_context(closing(PostgresAccountStore(database.url, wait_s)))


async def test_a_login_uses_a_new_connection_after_the_old_one_was_lost(
    database: Database, open_accounts: OpenAccounts
) -> None:
    accounts = open_accounts(DEADLINE_S)
    ended = await database.read(
        "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    assert [row[0] for row in ended] == [True]
    assert accounts.has("acme")


def test_a_login_waits_a_moment_for_a_database_that_does_not_answer(url: str, open_accounts: OpenAccounts) -> None:
    accounts = open_accounts(1.0)
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE tenants")
        with pytest.raises(TryAgain, match="does not answer within 1 s"):
            accounts.has("acme")
        begun = time.monotonic()
        for _ in range(30):
            with pytest.raises(TryAgain, match="does not answer"):
                accounts.has("acme")
        assert time.monotonic() - begun < 15, "one wait is enough"

    def answers() -> bool:
        try:
            return accounts.has("acme")
        except TryAgain:
            return False

    wait_until(answers)


async def test_a_read_of_many_tenants_waits_a_moment_and_lets_the_event_loop_go_on(
    url: str, open_accounts: OpenAccounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = open_accounts(DEADLINE_S)
    assert list(await accounts.admissions(["acme", "globex"])) == ["acme"]
    monkeypatch.setattr(accounts, "_wait_s", 1.0)
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE tenants")
        reading = asyncio.create_task(accounts.admissions(["acme"]))
        steps = 0
        while not reading.done():
            steps += 1
            await asyncio.sleep(0.01)
        assert steps > 1, "the loop stood still"
        with pytest.raises(TryAgain, match="does not answer within 1 s"):
            await reading
        begun = time.monotonic()
        for _ in range(30):
            with pytest.raises(TryAgain, match=r"does not answer$"):
                accounts.has("acme")
            with pytest.raises(TryAgain, match=r"does not answer$"):
                await accounts.admissions(["acme"])
        assert time.monotonic() - begun < 15, "one wait is enough"


async def test_a_login_is_answered_after_a_read_of_many_tenants_was_canceled(open_accounts: OpenAccounts) -> None:
    accounts = open_accounts(DEADLINE_S)
    for _ in range(10):
        reading = asyncio.create_task(accounts.admissions(["acme"]))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    assert accounts.has("acme")


def test_logins_of_a_database_that_is_not_there_are_an_error_at_the_start(url: str) -> None:
    with pytest.raises(DatabaseAway) as error:
        PostgresAccountStore(url.replace("headcount@/", "headcount@/no_"), DEADLINE_S)
    assert "does not exist" in error.value.why
