"""Tenants are added and removed completely, even after a crash; and a running server sees it."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from engine.sqlite.database import open_database
from engine.sqlite.tenant.users import open_users
from importer.errors import SchemaTooNew, TryAgain
from keys.errors import KeyRefused
from server.places import place_of
from server.tenants.accounts import Accounts
from server.tenants.settings import TenantRefused, TenantSettings, etag, read_settings
from server.tenants.tenants import Tenants
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.installation import Installation, accounts_of, installation, open_tenants
from tests.support.keypairs import blob, public_line
from tests.support.queues import enqueue
from tests.support.runs import put_in_line
from tests.support.waiting import eventually


@pytest.fixture
def stored(tmp_path: Path) -> Installation:
    return installation(tmp_path / "data")


@pytest.fixture
async def tenants(stored: Installation) -> AsyncIterator[Tenants]:
    async with stored.open() as opened:
        yield opened


async def revision(tenants: Tenants, name: str) -> int:
    async with open_users(tenants.folder(name)) as db:
        return int(next(iter(await db.execute_fetchall("SELECT revision FROM meta")))[0])


@pytest.mark.only_on("sqlite", "no other engine has folders")
async def test_a_new_tenant_has_its_folders_its_databases_and_its_keys(tenants: Tenants) -> None:
    await tenants.add("acme", [public_line(), public_line(number=1)])
    folder = tenants.folder("acme")
    for place in (folder.results, folder.test, folder.staging, folder.uploads, folder.messages):
        assert place.is_dir()
    assert len(await tenants.ring("acme").keys()) == 2
    assert [tenant.name for tenant in await tenants.list()] == ["acme"]
    assert (await tenants.settings("acme")).quota_bytes == 10 * 1024**3


@pytest.mark.only_on("sqlite", "no other engine has a data folder")
async def test_the_data_folder_is_closed_to_other_users(tenants: Tenants) -> None:
    await tenants.add("acme", [public_line()])
    for path in [tenants.data_dir, *tenants.data_dir.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.parametrize("name", ["", "a", "Acme", "1acme", "acme_", "../x", "acme/", "a" * 32, "acme\n", "åcme"])
async def test_an_invalid_tenant_name_is_refused(tenants: Tenants, name: str) -> None:
    with pytest.raises(TenantRefused) as caught:
        await tenants.add(name)
    assert caught.value.code == "bad_name"


async def test_a_tenant_that_exists_cannot_be_added(tenants: Tenants) -> None:
    await tenants.add("acme")
    with pytest.raises(TenantRefused) as caught:
        await tenants.add("acme")
    assert caught.value.code == "tenant_exists"


async def test_adding_a_tenant_twice_at_once_creates_one(stored: Installation, tenants: Tenants) -> None:
    async with stored.open() as others:
        results = await asyncio.gather(tenants.add("acme"), others.add("acme"), return_exceptions=True)
    assert sum(isinstance(result, TenantRefused) for result in results) == 1
    assert len(await tenants.list()) == 1


async def test_a_refused_key_leaves_no_tenant_behind(tenants: Tenants) -> None:
    with pytest.raises(KeyRefused):
        await tenants.add("acme", [public_line(), "no key"])
    assert await tenants.list() == []
    if chosen_engine() == EMBEDDED:
        assert not tenants.folder("acme").root.exists()
    await tenants.add("acme", [public_line()])


async def test_a_removed_tenant_is_moved_aside_with_all_its_data(stored: Installation, tenants: Tenants) -> None:
    await tenants.add("acme", [public_line()])
    stored.publish("acme", "/sync_users.csv", b"theirs")
    await enqueue(tenants.store.imports(), "acme")
    aside = await tenants.remove("acme")
    assert stored.removed() == ["acme"]
    if chosen_engine() == EMBEDDED:
        assert aside.parent == tenants.data_dir / "removed"
        assert (aside / "files" / "sync_users.csv").read_text() == "theirs"
    assert await tenants.list() == []
    await tenants.add("acme")
    assert await tenants.store.imports().page("acme") == []
    assert await tenants.ring("acme").keys() == ()


@pytest.mark.only_on("sqlite", "no other engine has folders")
async def test_an_interrupted_removal_is_finished_by_the_next(tenants: Tenants) -> None:
    await tenants.add("acme", [public_line()])
    tenants.folder("acme").root.rename(tenants.data_dir / "removed" / "acme-cut-short")
    accounts = Accounts(tenants)
    account = accounts.account("acme")
    assert account is not None
    assert "remove acme" in (account.broken or "")
    accounts.close()
    with pytest.raises(TenantRefused, match="remove acme"):
        await tenants.settings("acme")
    await tenants.remove("acme")
    assert await tenants.list() == []


@pytest.mark.only_on("sqlite", "a function of the engine reads the settings apart from the keys")
async def test_logins_go_on_while_settings_cannot_be_read_on_a_full_disk(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tenants.add("acme", [public_line()])
    monkeypatch.setattr("server.tenants.accounts.SETTINGS_AGE_S", 0.0)
    accounts = Accounts(tenants)
    before = accounts.account("acme")

    def full(database: Path, timeout_s: float) -> TenantSettings:
        raise TryAgain("disk_full", "the disk is full")

    monkeypatch.setattr("server.tenants.accounts.read_settings", full)
    after = accounts.account("acme")
    assert before is not None
    assert after is not None
    assert (after.limits, after.broken) == (before.limits, None)
    accounts.close()


@contextmanager
def tidying_up(tenants: Tenants) -> Iterator[sqlite3.Connection]:
    """Lock the users of acme as the last connection does while it closes: no process can read them."""
    db = sqlite3.connect(tenants.folder("acme").users_db, isolation_level=None)
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("UPDATE meta SET revision = revision")
        db.execute("COMMIT")
        yield db
    finally:
        db.close()


@pytest.mark.only_on("sqlite", "a process locks readers out")
async def test_waiting_for_settings_does_not_block_the_event_loop(tenants: Tenants) -> None:
    await tenants.add("acme")
    with tidying_up(tenants) as db:
        asyncio.get_running_loop().call_later(0.1, db.close)  # never, if reading blocks the loop
        assert (await tenants.settings("acme")).max_sessions == 10


@pytest.mark.only_on("sqlite", "a process locks readers out")
async def test_settings_in_a_locked_database_raise_try_again(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tenants.add("acme")
    monkeypatch.setattr("engine.sqlite.database.BUSY_TIMEOUT_S", 0.01)
    users_db = tenants.folder("acme").users_db
    with tidying_up(tenants):
        with pytest.raises(TryAgain, match="holds the database"):
            read_settings(tenants.users("acme"), 0.01)
        with pytest.raises(TryAgain, match="holds the database"):
            await open_database(users_db, "tenant")


@pytest.mark.only_on("sqlite", "a process locks readers out")
@pytest.mark.logs("tenant_unreadable")
async def test_an_account_with_a_locked_database_keeps_its_limits(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tenants.add("acme")
    monkeypatch.setattr("server.tenants.accounts.SETTINGS_AGE_S", 0.0)
    accounts = Accounts(tenants)
    before = accounts.account("acme")
    with tidying_up(tenants):
        after = accounts.account("acme")
    accounts.close()
    assert before is not None
    assert after is not None
    assert after.limits == before.limits


@pytest.mark.only_on("sqlite", "no other engine has folders")
async def test_an_interrupted_addition_is_finished_by_the_next(tenants: Tenants) -> None:
    await tenants.add("acme", [public_line()])
    await tenants.store.ledger.db.execute("DELETE FROM tenants")  # as after a crash before the row was written
    (tenants.data_dir / "tenants" / ".adding").mkdir()
    await tenants.add("acme", [public_line()])
    assert len(await tenants.ring("acme").keys()) == 1
    await tenants.add("initech")


@pytest.mark.only_on("sqlite", "no other engine has folders")
async def test_a_folder_moved_in_by_hand_never_uses_an_import_id_twice(tenants: Tenants) -> None:
    await tenants.add("acme")
    folder = tenants.folder("acme")
    async with open_users(folder) as db:
        await db.execute(
            "INSERT INTO applied (import_id, number, applied_at, outcome, rows, compared)"
            " VALUES (7, 1, '', '{}', 1, 1)"
        )
    (folder.results / "sync_users-12.json").write_text("{}")
    (folder.uploads / "9.csv").write_text("")
    await tenants.store.ledger.db.execute("DELETE FROM tenants")
    assert (await tenants.add("acme")).last_import_id == 12


@pytest.mark.only_on("sqlite", "no other engine has folders")
async def test_a_folder_moved_in_by_hand_never_uses_the_id_of_a_run_twice(tenants: Tenants) -> None:
    await tenants.add("acme")
    folder = tenants.folder("acme")
    for name in ("sync_users-12.json", "invoices-9.json", "invoices-10.sums.csv", "x-99", "no_id.json"):
        (folder.results / name).write_text("{}")
    await tenants.store.ledger.db.execute("DELETE FROM tenants")
    added = await tenants.add("acme")
    assert (added.last_import_id, added.last_run_id) == (12, 10)
    for place in (folder.run_copy(11), folder.run_copy(7)):
        place.write_text("")
    folder.run_reports(13).mkdir()
    await tenants.store.ledger.db.execute("DELETE FROM tenants")
    assert (await tenants.add("acme")).last_run_id == 13


async def test_a_removed_tenant_takes_its_runs_with_it(stored: Installation, tenants: Tenants) -> None:
    await tenants.add("acme")
    runs = tenants.store.runs()
    number = await put_in_line(runs)
    stored.keep_run_copy("acme", number, b"x")
    aside = await tenants.remove("acme")
    if chosen_engine() == EMBEDDED:
        assert (aside / "runs" / f"{number}.file").read_text() == "x"
    assert await runs.heads() == []
    assert await runs.get("acme", number) is None


async def test_removing_an_unknown_tenant_is_refused(tenants: Tenants) -> None:
    with pytest.raises(TenantRefused) as caught:
        await tenants.remove("acme")
    assert caught.value.code == "no_tenant"


async def test_settings_change_as_a_whole_or_not_at_all(tenants: Tenants) -> None:
    await tenants.add("acme")
    with pytest.raises(TenantRefused, match="max_sessions: must be at least 1"):
        await tenants.change_settings("acme", {"deactivate_missing": "true", "max_sessions": "0"})
    assert (await tenants.settings("acme")).deactivate_missing is False
    after = await tenants.change_settings("acme", {"deactivate_missing": "true", "quota_bytes": "1 GiB"})
    assert (after.deactivate_missing, after.quota_bytes) == (True, 1024**3)
    assert await tenants.settings("acme") == after


async def test_a_setting_is_reset_to_its_default(tenants: Tenants) -> None:
    await tenants.add("acme")
    await tenants.change_settings("acme", {"max_sessions": 3})
    assert (await tenants.change_settings("acme", {"max_sessions": None})).max_sessions == 10


async def test_an_unknown_setting_is_refused_with_the_nearest_name(tenants: Tenants) -> None:
    await tenants.add("acme")
    with pytest.raises(TenantRefused, match="did you mean deactivate_missing"):
        await tenants.change_settings("acme", {"deactivate_mising": True})


@pytest.mark.only_on("sqlite", "it reads a number in the file of the users")
async def test_rows_are_compared_again_only_after_a_change_of_import_settings(tenants: Tenants) -> None:
    await tenants.add("acme")
    before = await revision(tenants, "acme")
    await tenants.change_settings("acme", {"quota_files": 5, "blank_cells": "clear"})
    assert await revision(tenants, "acme") == before
    await tenants.change_settings("acme", {"blank_cells": "keep"})
    assert await revision(tenants, "acme") == before + 1


async def test_an_invalid_stored_setting_is_an_error_and_not_a_default(
    stored: Installation, tenants: Tenants
) -> None:
    await tenants.add("acme")
    wrong = "('max_deactivations_percent', '\"lots\"')"
    stored.change_users("acme", f"INSERT INTO settings (key, value) VALUES {wrong}")
    with pytest.raises(TenantRefused, match="max_deactivations_percent"):
        await tenants.settings("acme")


async def test_settings_are_read_while_an_import_writes(
    stored: Installation, tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tenants.add("acme")
    with stored.writing_users("acme"):
        assert (await tenants.settings("acme")).max_sessions == 10
        stored.impatient(monkeypatch, 0.001)
        with pytest.raises(TryAgain):
            await tenants.change_settings("acme", {"max_sessions": 3})


async def test_a_running_server_sees_what_the_command_line_did(stored: Installation, tenants: Tenants) -> None:
    accounts = accounts_of(place_of(stored.settings()), tenants)
    assert accounts.account("acme") is None
    async with stored.open() as others:
        await others.add("acme", [public_line()])
        account = accounts.account("acme")
        assert account is not None
        assert account.root == tenants.folder("acme").root
        now = datetime.now(UTC)
        assert account.ring.may_log_in("ssh-ed25519", blob(), ip_address("::1"), now).allowed
        await others.change_settings("acme", {"max_sessions": 2, "allowed_networks": "192.0.2.0/24"})
        await eventually(lambda: (found := accounts.account("acme")) and found.limits.max_sessions == 2)
        limits = (accounts.account("acme") or account).limits
        assert limits.admits(ip_address("192.0.2.9"))
        assert not limits.admits(ip_address("198.51.100.1"))
        await others.remove("acme")
        await eventually(lambda: accounts.account("acme") is None)
    accounts.close()


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
async def test_an_account_that_cannot_be_read_is_broken(tenants: Tenants) -> None:
    await tenants.add("acme", [public_line()])
    tenants.folder("acme").users_db.write_bytes(b"not a database" * 100)
    for name in ("users.db-wal", "users.db-shm"):
        (tenants.folder("acme").root / name).unlink(missing_ok=True)
    accounts = Accounts(tenants)
    account = accounts.account("acme")
    assert account is not None
    assert "is damaged" in (account.broken or "")
    accounts.close()


@pytest.mark.only_on("sqlite", "it is about files of other schemas")
async def test_headcount_db_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    async with open_tenants(tmp_path) as tenants:
        await tenants.store.ledger.db.execute("PRAGMA user_version=99")
    with pytest.raises(SchemaTooNew):
        await open_database(tmp_path / "headcount.db", "server")


async def test_settings_that_changed_after_they_were_loaded_are_not_changed(tenants: Tenants) -> None:
    await tenants.add("acme")
    seen = etag(await tenants.settings("acme"))
    now = await tenants.change_settings("acme", {"delimiter": ";"}, by="ann", expected=seen)
    with pytest.raises(TenantRefused, match="The settings changed after you loaded them") as caught:
        await tenants.change_settings("acme", {"delimiter": "tab"}, by="bo", expected=seen)
    assert caught.value.code == "settings_changed"
    assert await tenants.settings("acme") == now
    await tenants.change_settings("acme", {"delimiter": "tab"}, by="bo", expected=etag(now))
    assert (await tenants.settings("acme")).delimiter == "\t"
