"""Tenants in a database: what of them is seen from outside, and what remains of a removed one."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.postgres.database import alone
from engine.postgres.tenant.holding import try_to_hold
from importer.errors import DatabaseDamaged, TryAgain
from server.tenants import soundness as soundness_module
from server.tenants.settings import TenantRefused
from server.tenants.shared.home import KEPT_DAYS, DatabaseHome, open_home
from server.tenants.shared.scratch import LOCK, PREFIX, scratch_folder
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.web.pages.words import NOTICES
from tests.support.clients import POSTGRES, needs
from tests.support.keypairs import public_line
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)


@pytest.fixture
async def tenants(url: str) -> AsyncIterator[Tenants]:
    async with open_home(url, serving=True) as home:
        opened = Tenants(home)
        for name in ("acme", "other"):
            await opened.add(name, [public_line()])
        yield opened


def home_of(tenants: Tenants) -> DatabaseHome:
    assert isinstance(tenants.home, DatabaseHome)
    return tenants.home


async def count(tenants: Tenants, table: str) -> int:
    return int((await home_of(tenants).store.database.read(f"SELECT count(*) FROM {table}"))[0][0])


async def test_the_look_of_a_tenant_changes_with_its_settings_and_no_others(tenants: Tenants) -> None:
    before = await tenants.home.looks(["acme", "other", "nobody"])
    assert before["nobody"].text == ""
    await tenants.change_settings("acme", {"max_sessions": 3})
    after = await tenants.home.looks(["acme", "other", "nobody"])
    assert after["acme"] != before["acme"]
    assert after["other"] == before["other"]
    assert all(look.settled for look in after.values())


async def test_the_look_of_a_tenant_differs_from_that_of_a_removed_one_of_its_name(tenants: Tenants) -> None:
    before = await tenants.home.look("acme")
    await tenants.remove("acme")
    await tenants.add("acme")
    assert await tenants.home.look("acme") != before


async def test_figures_are_read_again_after_a_change_of_settings(tenants: Tenants) -> None:
    soundness = Soundness(tenants, tenants.store.imports())
    await soundness.figures.renew()
    assert {name: each.active for name, each in soundness.figures.all.items()} == {"acme": 0, "other": 0}
    seen = soundness.figures.seen("other")
    await tenants.change_settings("acme", {"retention_days": 7})
    await soundness.figures.renew()
    found = soundness.figures.of("acme")
    assert found
    assert found.retention_days == 7
    assert seen
    assert soundness.figures.seen("other") == seen


@pytest.mark.logs("tenant_broken")
@pytest.mark.logs("tenant_mended")
async def test_a_tenant_with_an_invalid_setting_is_broken_until_it_is_set(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soundness_module, "AGAIN_S", 0.02)
    monkeypatch.setattr(soundness_module, "LOOK_S", 0.02)
    soundness = Soundness(tenants, tenants.store.imports())
    taken: list[str] = []

    async def take_up(name: str) -> None:
        taken.append(name)

    await soundness.start(take_up, ["other"])
    try:
        database = home_of(tenants).store.database
        await database.change(
            "INSERT INTO settings SELECT id, 'max_sessions', '\"lots\"' FROM tenants WHERE name = 'acme'"
        )

        async def is_broken() -> bool:
            return "not valid" in (soundness.why("acme") or "")

        await eventually(is_broken)
        assert soundness.why("other") is None
        await database.change("DELETE FROM settings")

        async def is_sound() -> bool:
            return soundness.why("acme") is None

        await eventually(is_sound)
    finally:
        await soundness.stop()
    assert "other" in taken


@pytest.mark.logs("tenant_broken")
@pytest.mark.parametrize("state", ["XX001", "XX000", "22021"], ids=["damage", "internal error", "no text"])
async def test_rows_that_get_damaged_after_a_sound_look_are_found(
    tenants: Tenants, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Damage does not change how the users look. Bytes that do not mean text are an error of another kind."""
    soundness, error = Soundness(tenants, tenants.store.imports()), DatabaseDamaged("the database is damaged")
    assert await soundness.look("other", error) is None
    monkeypatch.setattr(soundness_module, "LOOK_S", 0.0)
    assert await soundness.look("acme", error) is None
    database = home_of(tenants).store.database
    await database.change(
        "CREATE FUNCTION sound() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE 'no chunk' USING ERRCODE = '{state}'; END $$"
    )
    await database.change("ALTER TABLE keys RENAME TO stored_rows")
    await database.change("CREATE VIEW keys AS SELECT * FROM stored_rows WHERE sound()")
    assert await soundness.look("other", error) is None  # not read again so soon
    assert "no chunk" in (await soundness.look("acme", error) or "")


async def test_a_tenant_is_added_once_by_two_at_the_same_time(tenants: Tenants, url: str) -> None:
    async with open_home(url) as home, home.store.database.together():
        await home.add("late", [])
        assert await tenants.home.exists("late") is False
    with pytest.raises(TenantRefused, match="the tenant late exists already"):
        await tenants.add("late")


async def test_a_removed_tenant_is_deleted_after_its_time_and_no_other(tenants: Tenants) -> None:
    rows = home_of(tenants).store.tenants()
    await tenants.remove("acme")
    await tenants.home.tidy()
    assert not await rows.delete_removed(3600.0)
    assert (await count(tenants, "tenants"), await count(tenants, "keys")) == (2, 2)
    assert await rows.delete_removed(0.0)
    assert not await rows.delete_removed(0.0)
    assert (await count(tenants, "tenants"), await count(tenants, "keys")) == (1, 1)


def test_the_notice_of_a_removal_says_for_how_long_its_data_is_kept() -> None:
    assert f" after {KEPT_DAYS} days." in NOTICES["company-put-aside"]


async def test_a_removal_ends_the_import_that_runs_and_no_import_of_others(tenants: Tenants, url: str) -> None:
    async def importing(tenant: str) -> None:
        async with alone(url) as database, database.transaction() as steps:
            assert await try_to_hold(steps, tenant)
            begun.release()
            await removed.wait()
            assert await steps.change("UPDATE meta SET revision = revision + 1") >= 1

    begun, removed = asyncio.Semaphore(0), asyncio.Event()
    ours, theirs = (asyncio.create_task(importing(name)) for name in ("acme", "other"))
    await begun.acquire()
    await begun.acquire()
    await tenants.remove("acme")
    removed.set()
    with pytest.raises(TryAgain):
        await ours
    await theirs
    assert [each.name for each in await tenants.list()] == ["other"]


async def test_the_folder_for_working_files_ends_with_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, foreign = tmp_path / f"{PREFIX}killed", tmp_path / f"{PREFIX}just-made"
    left.mkdir()
    (left / LOCK).touch()
    foreign.mkdir()
    with scratch_folder() as mine:
        assert mine.stat().st_mode & 0o777 == 0o700
        assert not left.exists()
        with scratch_folder() as second:
            assert mine.exists()
            assert second != mine
    assert [path.name for path in tmp_path.iterdir()] == [foreign.name]


def test_a_scratch_folder_stays_while_other_processes_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def begin(_: int) -> bool:
        with scratch_folder() as mine:
            return (mine / LOCK).exists()

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(begin, range(1000)))
    assert list(tmp_path.iterdir()) == []
