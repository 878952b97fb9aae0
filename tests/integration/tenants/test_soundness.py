"""Broken tenants, found by inspecting real folders and by failures in use."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from itertools import takewhile
from pathlib import Path

import pytest

from engine.sqlite.database import open_database
from engine.sqlite.faults import translated, translating
from engine.sqlite.tenant.stock import read_all
from engine.sqlite.tenant.users import SqliteUsers
from importer.errors import DatabaseDamaged, DatabaseUnusable, TryAgain
from importer.folder import TenantFolder
from importer.users.users import Users
from server.tenants import soundness as soundness_module
from server.tenants.accounts import Accounts
from server.tenants.inspection import inspect
from server.tenants.local import looks as looks_module
from server.tenants.local.folder import server_database
from server.tenants.settings import TenantRefused, TenantSettings, read_settings
from server.tenants.soundness import Soundness, TenantBroken
from server.tenants.tenants import Tenants, open_tenants
from tests.support import ROOT
from tests.support.clients import EXT4, TMPFS, needs
from tests.support.disks import ext4_disk, fail, fill, small_disk
from tests.support.keypairs import public_line
from tests.support.queues import enqueue
from tests.support.waiting import eventually

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")


@pytest.fixture
async def tenants(tmp_path: Path) -> AsyncIterator[Tenants]:
    async with open_tenants(tmp_path / "data") as opened:
        for name in ("acme", "other"):
            await opened.add(name, [public_line()])
        yield opened


@pytest.fixture
def soundness(tenants: Tenants) -> Soundness:
    return Soundness(tenants, tenants.store.imports())


def take_away(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink(missing_ok=True)


def damage_inside(database: Path) -> None:
    """Damage the users, but not the header or the settings."""
    with closing(sqlite3.connect(database)) as db:
        db.executemany(
            "INSERT INTO users (email, email_key, first_name, last_name) VALUES (?, ?, ?, 'B')",
            [(f"{n}@b.test", f"{n}@b.test", "A" * 200) for n in range(2000)],
        )
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(database, "users")


def damage(database: Path, table: str) -> None:
    with closing(sqlite3.connect(database)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def fault_of(database: Path) -> DatabaseDamaged:
    """Return the error that using the database raises."""
    with pytest.raises(DatabaseDamaged) as caught, translating(), closing(sqlite3.connect(database)) as db:
        db.execute("SELECT count(first_name) FROM users").fetchone()
    return caught.value


@needs(TMPFS)
async def test_a_tenant_on_a_read_only_disk_is_not_broken(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with small_disk(data / "tenants"):
        async with open_tenants(data) as tenants:
            await tenants.add("acme", [public_line()])
            subprocess.run(["mount", "-o", "remount,ro", str(data / "tenants")], check=True)
            soundness = Soundness(tenants, tenants.store.imports())
            assert await soundness.look("acme") is None
            assert (await soundness.settings("acme")).max_sessions
            with pytest.raises(TryAgain, match="the disk of the server is read-only"):
                await tenants.change_settings("acme", {"max_sessions": 3})


@pytest.mark.parametrize("content", [None, b""], ids=["missing", "empty"])
async def test_a_missing_or_empty_users_db_is_not_created_again(tenants: Tenants, content: bytes | None) -> None:
    path = tenants.folder("acme").users_db
    take_away(path)
    if content is not None:
        path.write_bytes(content)
    for readonly in (False, True):
        with pytest.raises(DatabaseUnusable, match="restore it from a backup"):
            await open_database(path, "tenant", readonly=readonly)
    assert path.exists() == (content is not None)
    with pytest.raises(DatabaseUnusable):
        await tenants.settings("acme")


async def test_a_tenant_is_not_added_from_a_folder_that_lost_its_users(tenants: Tenants) -> None:
    aside = await tenants.remove("acme")
    take_away(aside / "users.db")
    aside.rename(tenants.folder("acme").root)
    with pytest.raises(DatabaseUnusable, match="missing"):
        await tenants.add("acme")
    assert [tenant.name for tenant in await tenants.list()] == ["other"]


async def test_a_lost_headcount_db_is_not_created_again_beside_tenants(tmp_path: Path) -> None:
    async with open_tenants(tmp_path) as tenants:
        await tenants.add("acme")
    take_away(server_database(tmp_path))
    for content in (None, b""):
        if content is not None:
            server_database(tmp_path).write_bytes(content)
        with pytest.raises(TenantRefused, match=r"Restore headcount\.db from a backup"):
            async with open_tenants(tmp_path):
                pass
    assert tenants.folder("acme").users_db.exists()


async def test_a_broken_tenant_is_logged_once_and_its_recovery_too(
    tenants: Tenants, soundness: Soundness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ring = tenants.folder("acme").keys
    kept = ring.read_bytes()
    ring.write_text("{")
    for _ in range(3):
        await soundness.look_at_all()
    assert "keys.json" in (soundness.why("acme") or "")
    assert soundness.why("other") is None
    with pytest.raises(TenantBroken) as caught:
        await soundness.settings("acme")
    assert str(tenants.data_dir) not in str(caught.value)
    ring.write_bytes(kept)
    await soundness.look_at_all()
    assert soundness.broken == {}
    assert [record.__dict__["event"] for record in caplog.records] == ["tenant_broken", "tenant_mended"]


@needs(TMPFS)
async def test_damage_on_a_read_only_disk_breaks_its_tenant_and_no_other(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with small_disk(data / "tenants"):
        async with open_tenants(data) as tenants:
            for name in ("acme", "globex"):
                await tenants.add(name, [public_line()])
            damage(tenants.folder("acme").users_db, "settings")
            subprocess.run(["mount", "-o", "remount,ro", str(data / "tenants")], check=True)
            soundness = Soundness(tenants, tenants.store.imports())
            await soundness.look_at_all()
            assert list(soundness.broken) == ["acme"]
            accounts = Accounts(tenants, soundness)
            account = accounts.account("acme")
            accounts.close()
            assert account
            assert account.broken


async def test_damage_that_shows_only_in_use_breaks_the_tenant_until_the_file_is_replaced(
    tenants: Tenants, soundness: Soundness
) -> None:
    path = tenants.folder("acme").users_db
    kept = path.read_bytes()
    damage_inside(path)
    await soundness.look_at_all()
    assert soundness.why("acme") is None, "the users were not read yet"
    assert "is damaged" in (await soundness.look("acme", fault_of(path)) or "")
    await soundness.look_at_all()
    assert soundness.why("acme")
    take_away(path)
    path.write_bytes(kept)
    await soundness.look_at_all()
    assert soundness.why("acme") is None


async def test_damage_found_by_a_list_of_users_breaks_the_tenant(tenants: Tenants, soundness: Soundness) -> None:
    damage_inside(tenants.folder("acme").users_db)
    with pytest.raises(DatabaseDamaged) as met:
        async with tenants.users("acme").directory() as directory:
            await directory.page()
    assert "is damaged" in (await soundness.look("acme", met.value) or "")


async def test_an_internal_error_breaks_no_tenant(soundness: Soundness) -> None:
    assert await soundness.look("acme", DatabaseUnusable("no such column: x")) is None
    assert await soundness.look("acme", ValueError("x")) is None


async def test_a_missing_copy_of_a_queued_import_breaks_the_tenant(tenants: Tenants, soundness: Soundness) -> None:
    number = await enqueue(tenants.store.imports())
    copy = tenants.folder("acme").copy(number)
    await soundness.look_at_all()
    assert str(copy) in (soundness.why("acme") or "")
    copy.touch()
    await soundness.look_at_all()
    assert "is empty" in (soundness.why("acme") or "")
    copy.write_text("x")
    await soundness.look_at_all()
    assert soundness.why("acme") is None


async def test_the_work_of_the_last_stop_is_finished_once_when_the_tenant_is_usable(
    tenants: Tenants, soundness: Soundness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundness_module, "AGAIN_S", 0.01)
    taken: list[str] = []
    path = tenants.folder("acme").users_db
    path.rename(path.with_name("kept"))

    async def take_up(tenant: str) -> None:
        taken.append(tenant)

    await soundness.start(take_up)
    assert taken == ["other"]
    path.with_name("kept").rename(path)
    await eventually(lambda: soundness.why("acme") is None)
    assert taken == ["other", "acme"]
    path.rename(path.with_name("kept"))
    await soundness.look("acme")
    path.with_name("kept").rename(path)
    await eventually(lambda: soundness.why("acme") is None)
    await soundness.stop()
    assert taken == ["other", "acme"]


async def test_unfinished_work_of_the_last_stop_breaks_the_tenant_and_is_retried(
    tenants: Tenants, soundness: Soundness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundness_module, "AGAIN_S", 0.01)
    tries: list[str] = []

    async def take_up(tenant: str) -> None:
        tries.append(tenant)
        if tenant == "acme" and len(tries) < 4:
            raise PermissionError(13, "Permission denied")

    await soundness.start(take_up)
    assert "Permission denied" in (soundness.why("acme") or "")
    await eventually(lambda: soundness.why("acme") is None)
    await soundness.stop()


async def test_a_tenant_that_was_removed_is_not_broken(tenants: Tenants, soundness: Soundness) -> None:
    tenants.folder("acme").keys.write_text("{")
    await soundness.look_at_all()
    await tenants.remove("acme")
    assert await soundness.look("acme") is None
    assert soundness.broken == {}


async def test_the_account_of_a_broken_tenant_has_the_reason_and_recovers(
    tenants: Tenants, soundness: Soundness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.tenants.accounts.SETTINGS_AGE_S", 0.0)
    await tenants.change_settings("acme", {"allowed_networks": "192.0.2.0/24"})
    accounts = Accounts(tenants, soundness)
    before = accounts.account("acme")
    path = tenants.folder("acme").users_db
    content = path.read_bytes()
    take_away(path)
    found = accounts.account("acme")
    assert before is not None
    assert found is not None
    assert "missing" in (found.broken or "")
    assert found.limits == before.limits
    assert soundness.why("acme") == found.broken
    path.write_bytes(content)
    await soundness.look_at_all()
    assert accounts.account("acme") == before
    accounts.close()


@pytest.mark.parametrize("place", ["files", "staging", "uploads", "messages"])
async def test_a_file_in_the_place_of_a_folder_breaks_the_tenant(tenants: Tenants, place: str) -> None:
    folder = tenants.folder("acme")
    path = folder.root / place
    path.rename(folder.root / "aside")
    path.write_text("x")
    assert str(path) in (inspect(folder).why or "")


AS_ANOTHER = """
import os, sys
from engine.sqlite.database import newest_version
from importer.folder import TenantFolder
from pathlib import Path
from server.tenants.inspection import inspect
newest_version("tenant")
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(inspect(TenantFolder(Path(sys.argv[1]))).why)
"""


def seen_by_another(folder: TenantFolder) -> str:
    """Return the fault of the folder that a process of another user finds."""
    for path in takewhile(lambda each: each != Path(tempfile.gettempdir()), folder.root.parents):
        if path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o055)
    done = subprocess.run(
        [sys.executable, "-c", AS_ANOTHER, str(folder.root)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_a_file_of_another_user_or_without_access_breaks_the_tenant(tenants: Tenants) -> None:
    folder = tenants.folder("acme")
    for path in [folder.root, *folder.root.rglob("*")]:
        os.chown(path, 65534, 65534)
    assert seen_by_another(folder) == "None"
    for path in (folder.users_db, folder.keys, folder.uploads, folder.root):
        os.chown(path, 0, 0)
        assert "Permission denied" in seen_by_another(folder)
        os.chown(path, 65534, 65534)
    for path in (folder.users_db, folder.staging, folder.root):
        mode = path.stat().st_mode
        path.chmod(0)
        assert "chown" in seen_by_another(folder)
        path.chmod(mode)


@pytest.mark.logs("tenant_fault", "tenant_mended")
async def test_an_internal_error_in_finishing_work_breaks_the_tenant_until_it_succeeds(
    soundness: Soundness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundness_module, "AGAIN_S", 0.01)
    errors: list[Exception] = [RuntimeError("a fault"), RuntimeError("again")]

    async def take_up(tenant: str) -> None:
        if tenant == "acme" and errors:
            raise errors.pop()

    await soundness.start(take_up)
    try:
        assert "the log has the cause" in (soundness.why("acme") or "")
        assert soundness.why("other") is None
        await eventually(lambda: soundness.why("acme") is None, what="the tenant to be usable")
    finally:
        await soundness.stop()


async def test_a_tenant_with_unfinished_work_on_a_full_disk_is_read_only(
    soundness: Soundness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundness_module, "AGAIN_S", 0.02)
    full = {"acme"}

    async def take_up(tenant: str) -> None:
        if tenant in full:
            raise TryAgain("disk_full", "the disk is full")

    await soundness.start(take_up)
    try:
        assert soundness.broken == {}
        assert soundness.why_not_stored("acme") is not None
        assert soundness.why_not_stored("other") is None
        full.clear()
        await eventually(lambda: soundness.why_not_stored("acme") is None, what="the work to be finished")
    finally:
        await soundness.stop()


@pytest.mark.logs("tenants_unseen")
async def test_tenants_that_cannot_be_inspected_are_inspected_again(
    tenants: Tenants, soundness: Soundness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(soundness_module, "AGAIN_S", 0.01)
    monkeypatch.setattr(soundness_module, "LOOK_S", 0.01)

    async def nothing(tenant: str) -> None:
        pass

    await soundness.start(nothing)
    try:
        await tenants.store.ledger.db.execute("ALTER TABLE tenants RENAME TO away")
        await eventually(lambda: "Looking at tenants fails" in caplog.text)
        await tenants.store.ledger.db.execute("ALTER TABLE away RENAME TO tenants")
        take_away(tenants.folder("acme").users_db)
        await eventually(lambda: soundness.why("acme"), what="the look that sees it")
    finally:
        await soundness.stop()


@needs(TMPFS)
async def test_settings_are_read_on_a_full_disk(tenants: Tenants, tmp_path: Path) -> None:
    await tenants.change_settings("acme", {"max_sessions": 7})
    with small_disk(tmp_path / "disk", 1) as disk:
        database = Path(shutil.copy(tenants.folder("acme").users_db, disk))
        fill(disk)
        with pytest.raises(TryAgain, match="the disk"):
            await open_database(database, "tenant", readonly=True)
        assert read_settings(SqliteUsers(TenantFolder(disk))).max_sessions == 7


@needs(TMPFS)
def test_a_database_on_a_full_disk_is_not_damaged(tenants: Tenants, tmp_path: Path) -> None:
    """SQLite cannot create the files beside it. The advice for damage would take the newest users away."""
    with small_disk(tmp_path / "disk", 1) as disk:
        database = Path(shutil.copy(tenants.folder("acme").users_db, disk))
        fill(disk)
        with pytest.raises(TryAgain, match="the disk"):
            read_all(database)


async def test_settings_are_read_again_only_after_a_change(tenants: Tenants, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks_module, "UNSETTLED_S", -1.0)  # no file is changed twice within a tick of its clock
    reads: list[Users] = []

    def counted(users: Users) -> TenantSettings:
        reads.append(users)
        return read_settings(users)

    monkeypatch.setattr(soundness_module, "read_settings", counted)
    soundness = Soundness(tenants, tenants.store.imports())
    for sessions in (10, 3, 4):
        if sessions != 10:
            await tenants.change_settings("acme", {"max_sessions": sessions})
        for _ in range(3):
            assert (await soundness.settings("acme")).max_sessions == sessions
    assert len(reads) == 3


@needs(EXT4)
async def test_a_tenant_on_a_disk_that_became_read_only_is_not_damaged(tmp_path: Path) -> None:
    """SQLite cannot create the files beside users.db, and the error is the same as that for a lost file."""
    with ext4_disk(tmp_path / "data") as data:
        async with open_tenants(data) as opened:
            await opened.add("acme", [public_line()])
            soundness = Soundness(opened, opened.store.imports())
            fail(data)
            error = DatabaseDamaged("the database cannot be used: unable to open database file")
            assert await soundness.look("acme", error) is None


def test_a_log_without_an_index_does_not_mean_a_damaged_database(tmp_path: Path) -> None:
    """SQLite tries for ten seconds before it says so."""
    error = sqlite3.OperationalError("locking protocol")
    error.sqlite_errorcode = sqlite3.SQLITE_PROTOCOL
    meant = translated(error, tmp_path / "users.db")
    assert isinstance(meant, TryAgain)
    assert meant.code == "disk_error"


def test_a_database_that_another_process_holds_is_not_damaged(tmp_path: Path) -> None:
    """A look at a tenant that seemed damaged may meet it, and would tell the operator to move the file away."""
    path = tmp_path / "users.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as holding:
        for each in ("journal_mode = wal", "locking_mode = exclusive"):
            holding.execute(f"PRAGMA {each}")
        holding.execute("CREATE TABLE users (id)")
        with pytest.raises(TryAgain) as refused:
            read_all(path)
    assert refused.value.code == "database_busy"
    read_all(path)
