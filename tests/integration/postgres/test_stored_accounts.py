"""The accounts of tenants on PostgreSQL: changes hold soon, and none is sure while the database is away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import psycopg
import pytest

from engine.postgres.database import Database
from engine.postgres.server.accounts import PostgresAccountStore
from engine.postgres.server.tenants import PostgresTenantStore
from engine.postgres.shared.keys import PostgresKeyStore
from engine.postgres.tenant.users import PostgresUsers
from engine.shared.keys import Admission
from engine.tenants import Tenant
from importer.errors import DatabaseAway, TryAgain
from importer.folder import TenantFolder
from server.tenants.settings import change_settings
from server.tenants.shared.accounts import AGAIN_S, KNOWN_S, StoredAccounts
from server.tenants.shared.rings import StoredRing
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE
from tests.support.keypairs import blob, public_line
from tests.support.waiting import DEADLINE_S, eventually, wait_until

pytestmark = needs(POSTGRES)

HOME = ip_address("192.0.2.7")


class Door:
    """The accounts as a server has them, with a clock that is set by hand; `ring` is that of a command."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.now = 0.0
        self.database = database
        self.store = PostgresAccountStore(database.url, DEADLINE_S)
        self.accounts = StoredAccounts(self.store, lambda name: TenantFolder(folder / name), clock=lambda: self.now)
        self.ring = StoredRing(PostgresKeyStore(database), "acme")

    def refusal(self, number: int = 0) -> str | None:
        """Return why key `number` may not log in now; None if it may."""
        if (account := self.accounts.account("acme")) is None:
            return "no tenant"
        verdict = account.ring.may_log_in("ssh-ed25519", blob(number=number), HOME, datetime(2026, 6, 1, tzinfo=UTC))
        return None if verdict.allowed else verdict.reason

    def is_sure(self) -> bool:
        """Return whether the account is surely as it is told."""
        account = self.accounts.account("acme")
        return account is None or self.now < account.sure_until

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let the database not answer in the block."""
        self.store._wait_s = 0.05
        with psycopg.connect(self.database.url) as other:
            other.execute("LOCK TABLE tenants")
            yield
        self.store._wait_s = DEADLINE_S
        # The question that was asked meanwhile is answered first.
        wait_until(lambda: self.store._late is None or self.store._late.done())


@pytest.fixture
async def door(database: Database, tmp_path: Path) -> Iterator[Door]:
    await PostgresTenantStore(database).add(Tenant("acme", SINCE, 0))
    await PostgresUsers(database.url, "acme", database).prepare(make=True)
    opened = Door(database, tmp_path)
    await opened.ring.add(public_line())
    with closing(opened.accounts):
        yield opened


async def test_a_key_that_is_added_or_revoked_counts_after_half_a_second(door: Door) -> None:
    assert (door.refusal(), door.refusal(1)) == (None, "the tenant has no such key")
    await door.ring.add(public_line(number=1))
    await door.ring.revoke((await door.ring.keys())[0].fingerprint)
    door.now += 0.5
    assert (door.refusal(), door.refusal(1)) == ("the tenant has no such key", None)


async def test_limits_and_a_removed_tenant_are_seen_after_half_a_second(door: Door) -> None:
    assert door.accounts.account("acme").limits.max_sessions == 10
    await change_settings(PostgresUsers(door.database.url, "acme", door.database), {"max_sessions": 2}, by="me")
    door.now += 0.5
    assert door.accounts.account("acme").limits.max_sessions == 2
    await PostgresTenantStore(door.database).remove("acme")
    door.now += 0.5
    assert door.accounts.account("acme") is None


async def test_accounts_are_read_together_and_not_again_one_by_one(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    await PostgresTenantStore(door.database).add(Tenant("globex", SINCE, 0))
    globex = PostgresUsers(door.database.url, "globex", door.database)
    await globex.prepare(make=True)
    assert door.refusal() is None
    assert door.accounts.account("globex") is not None
    await door.ring.revoke((await door.ring.keys())[0].fingerprint)
    await change_settings(globex, {"max_sessions": 2}, by="me")
    door.now += 0.5
    await door.accounts.renew(["acme", "globex", "unknown"])
    monkeypatch.setattr(door.store, "admission", None)
    assert (door.refusal(), door.is_sure()) == ("the tenant has no such key", True)
    assert door.accounts.account("globex").limits.max_sessions == 2


async def test_a_tenant_that_was_removed_is_gone_when_accounts_are_read_together(door: Door) -> None:
    first = door.accounts.identity("acme")
    await PostgresTenantStore(door.database).remove("acme")
    door.now += 0.5
    await door.accounts.renew(["acme"])
    assert door.accounts.account("acme") is None
    await PostgresTenantStore(door.database).add(Tenant("acme", SINCE, 0))
    assert door.accounts.identity("acme") not in (None, first)


async def test_accounts_that_are_read_together_do_not_replace_what_a_login_reads_later(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert door.refusal() is None
    read = door.store.admissions

    async def slow(names: list[str]) -> dict[str, Admission]:
        found = await read(names)
        await door.ring.revoke((await door.ring.keys())[0].fingerprint)
        door.now += 0.25
        assert door.refusal() == "the tenant has no such key"
        return found

    monkeypatch.setattr(door.store, "admissions", slow)
    door.now += 0.5
    await door.accounts.renew(["acme"])
    assert door.refusal() == "the tenant has no such key"


async def test_accounts_read_less_than_half_a_second_ago_are_not_read_together(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert door.refusal() is None
    monkeypatch.setattr(door.store, "admissions", None)
    door.now += 0.49
    await door.accounts.renew(["acme"])


async def test_an_account_that_cannot_be_read_with_others_is_sure_for_two_seconds(door: Door) -> None:
    assert door.refusal() is None
    with door.away():
        door.now = KNOWN_S - 0.01
        await door.accounts.renew(["acme"])
        assert (door.refusal(), door.is_sure()) == (None, True)
        door.now = KNOWN_S
        assert not door.is_sure()
    door.now += AGAIN_S
    await door.accounts.renew(["acme"])
    assert door.is_sure()


async def test_accounts_with_many_keys_are_read_in_smaller_steps(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one step for all takes longer than a login waits: else their sessions would not be sure any more."""
    names = [f"many{number}" for number in range(200)]
    await door.database.change(
        "INSERT INTO tenants (name, created_at) SELECT name, 'now' FROM unnest(%s::text[]) AS name", names
    )
    await door.database.change(
        "INSERT INTO keys (tenant_id, kind, blob, comment, added_at, networks)"
        " SELECT id, 'ssh-rsa', decode(md5(number::text) || repeat('ab', 500), 'hex'), '', 'now', '{}'"
        " FROM tenants, generate_series(1, 200) AS number WHERE name LIKE 'many%'"
    )
    assert all(door.accounts.account(name) for name in names)
    steps, read = list[int](), door.store.admissions

    async def noted(asked: list[str]) -> dict[str, Admission]:
        steps.append(len(asked))
        return await read(asked)

    async def all_are_read() -> bool:
        door.now += 1
        await door.accounts.renew(names)
        return all(door.accounts._known[name].read_at == door.now for name in names)

    monkeypatch.setattr(door.store, "admissions", noted)
    for _ in range(3):
        monkeypatch.setattr(door.store, "_wait_s", 0.001)  # too short for so many keys
        assert not await all_are_read()
        await eventually(door.store._late.done, what="the late answer")
    monkeypatch.setattr(door.store, "_wait_s", DEADLINE_S)
    assert await all_are_read()
    first, *further = steps
    assert further[:2] == [first // 2, first // 4]
    assert max(further[2:]) == first // 8


@pytest.mark.logs("tenant_unreadable")
async def test_an_account_is_sure_for_two_seconds_without_an_answer_and_no_longer(door: Door) -> None:
    assert door.refusal() is None
    with door.away():
        door.now = KNOWN_S - 0.01
        assert (door.refusal(), door.is_sure()) == (None, True)
        assert door.refusal(1) == "the tenant has no such key"
        door.now = KNOWN_S
        # So its clients are told to try again later, and their sessions wait.
        assert (door.refusal(), door.is_sure()) == (None, False)
    door.now += AGAIN_S
    assert (door.refusal(), door.is_sure()) == (None, True)


async def test_an_account_is_sure_from_when_the_database_was_asked(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key may have been revoked while the answer was on its way."""
    admission = door.store.admission

    def slowly(name: str) -> Admission | None:
        found = admission(name)
        door.now += 1
        return found

    monkeypatch.setattr(door.store, "admission", slowly)
    account = door.accounts.account("acme")
    assert account
    assert (door.now, account.sure_until) == (1, KNOWN_S)


@pytest.mark.logs("tenant_unreadable")
async def test_a_tenant_that_was_never_read_has_no_keys_and_is_not_sure(door: Door) -> None:
    with door.away():
        assert (door.refusal(), door.is_sure()) == ("the keys cannot be read now", False)
        assert door.accounts.account("Not a name") is None
    door.now += AGAIN_S
    assert (door.refusal(), door.is_sure()) == (None, True)


async def test_a_database_that_does_not_answer_is_asked_four_times_a_second(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(name: str) -> None:
        asked.append(name)
        raise DatabaseAway("connection refused")

    monkeypatch.setattr(door.store, "admission", answer)
    for number in range(100):
        door.now = number / 100
        assert not door.is_sure()
        assert door.accounts.account("other") is not None
    assert len(asked) == 4


@pytest.mark.logs("tenant_unreadable")
async def test_logins_without_an_answer_are_known_until_there_is_one(door: Door) -> None:
    await door.accounts.check()
    with door.away():
        door.now = KNOWN_S
        door.refusal()
        with pytest.raises(TryAgain):
            await door.accounts.check()
        door.now += AGAIN_S
        with pytest.raises(TryAgain):
            await door.accounts.check()
    door.now += AGAIN_S
    await door.accounts.check()


@pytest.mark.logs("tenant_unreadable")
async def test_one_late_answer_to_a_login_does_not_show_that_logins_get_none(door: Door) -> None:
    """A balancer takes a server away that is not ready."""
    with door.away():
        door.now = KNOWN_S
        door.refusal()
    checking = asyncio.create_task(door.accounts.check())
    await asyncio.sleep(0)
    door.now += AGAIN_S
    await checking


@pytest.mark.logs("tenant_unreadable")
async def test_logins_that_alone_have_no_database_for_a_minute_are_in_the_log(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The line about the whole database does not say so, because the other parts have connections."""

    def answer(name: str) -> None:
        raise DatabaseAway("too many clients already")

    monkeypatch.setattr(door.store, "admission", answer)
    for second in range(60):
        door.now = KNOWN_S + second
        door.refusal()
    assert caplog.messages == []
    for second in (60, 61):
        door.now = KNOWN_S + second
        door.refusal()
    assert caplog.messages == [
        "Tenant acme cannot be read (the database cannot be reached: too many clients already); logins are refused."
    ]


@pytest.mark.logs("tenant_unreadable")
async def test_a_server_to_which_no_client_comes_any_more_logs_why_logins_have_no_database(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A balancer sends it none while the check of its health fails."""

    async def answer(names: Sequence[str]) -> None:
        raise DatabaseAway("too many clients already")

    monkeypatch.setattr(door.store, "admissions", answer)
    assert door.refusal() is None
    door.now = 0.5
    await door.accounts.renew(["acme"])
    for second in range(1, 63):
        assert caplog.messages == []
        door.now = second
        with pytest.raises(DatabaseAway):
            await door.accounts.check()
        if second > 60:
            break
    assert caplog.messages == [
        "No tenant can be read (the database cannot be reached: too many clients already); logins are refused."
    ]


async def test_a_tenant_with_an_invalid_setting_is_broken(door: Door) -> None:
    await door.database.change("INSERT INTO settings SELECT id, 'max_sessions', '\"lots\"' FROM tenants")
    assert door.refusal() is None
    assert "a setting in the database is not valid" in door.accounts.account("acme").broken


async def test_no_login_is_allowed_by_a_key_with_an_invalid_expiry(door: Door) -> None:
    await door.database.change("UPDATE keys SET expires = '31.01.2027'")
    assert door.refusal() == "a key in the database is not valid (KeyRefused)"


async def test_the_identity_of_a_tenant_is_new_when_it_is_added_again(door: Door) -> None:
    first = door.accounts.identity("acme")
    assert first
    with door.away():
        door.now += 60
        assert door.accounts.identity("acme") == first
        with pytest.raises(TryAgain):
            door.accounts.identity("other")
    door.now += AGAIN_S
    await PostgresTenantStore(door.database).remove("acme")
    door.now += 0.5
    assert door.accounts.identity("acme") is None
    await PostgresTenantStore(door.database).add(Tenant("acme", SINCE, 0))
    assert door.accounts.identity("acme") not in (None, first)
