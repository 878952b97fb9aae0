"""Idle tenants cost nothing: rounds, starts and /metrics do not open their databases."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from engine.sqlite.database import newest_version
from engine.sqlite.server.listing import SOME_COPIES_NEEDED
from engine.sqlite.tenant.users import open_users
from importer.folder import TenantFolder
from importer.model import ImportState
from server.tenants import soundness as soundness_module
from server.tenants.home import Found
from server.tenants.local import looks as looks_module
from server.upkeep import keeping
from tests.support.queues import NOON, enqueue, run_to
from tests.support.town import take_up_nothing, town
from tests.support.writing import by_hand

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a file to open for each tenant")

SOUND = Found(None)
OPENED: list[str] = []
"""The users.db and search.db that this process opened, while it is being recorded."""
LOOKING = [False]


def _note(event: str, args: tuple[object, ...]) -> None:
    if LOOKING[0] and event == "sqlite3.connect" and "headcount.db" not in str(args[0]):
        OPENED.append(str(args[0]))


sys.addaudithook(_note)


@contextmanager
def databases_opened() -> Iterator[list[str]]:
    OPENED.clear()
    LOOKING[0] = True
    try:
        yield OPENED
    finally:
        LOOKING[0] = False


@pytest.fixture(autouse=True)
def every_change_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat a file that was written a moment ago as settled: no test changes one twice within a clock tick."""
    monkeypatch.setattr(looks_module, "UNSETTLED_S", -1.0)
    monkeypatch.setattr(keeping, "REST", 0.0)


async def test_regular_work_opens_no_database_of_idle_tenants(tmp_path: Path) -> None:
    statements: dict[int, int] = {}
    for count in (2, 9):
        async with town(tmp_path / str(count), count) as many:
            for _ in range(2):  # results of the first round may change the second
                await many.rounds()
            asked: list[str] = []
            held = len(os.listdir("/proc/self/fd"))
            await many.tenants.store.ledger.db.set_trace_callback(asked.append)
            with databases_opened() as opened:
                await many.rounds()
            await many.tenants.store.ledger.db.set_trace_callback(None)  # type: ignore[arg-type]
            assert opened == []
            assert len(os.listdir("/proc/self/fd")) <= held  # objects of earlier tests may close theirs meanwhile
            statements[count] = len(asked)
    assert statements[2] == statements[9]


async def test_a_start_opens_no_database_of_an_unchanged_tenant(tmp_path: Path) -> None:
    taken: list[str] = []

    async def take_up(tenant: str) -> None:
        taken.append(tenant)

    async with town(tmp_path, 5) as before:
        await before.soundness.start(take_up)
        await before.scrape()
        await before.soundness.stop()
        await before.figures.stop()
    taken.clear()
    async with town(tmp_path, 5) as after:
        with databases_opened() as opened:
            await after.soundness.start(take_up)
            shown = await after.scrape()
        await after.soundness.stop()
    assert (opened, taken) == ([], [])
    assert shown.count('headcount_users{state="active"') == 5


async def test_only_a_changed_tenant_is_opened(tmp_path: Path) -> None:
    async with town(tmp_path, 4) as many:
        for _ in range(2):
            await many.rounds()
        many.add_user("company-2")
        with databases_opened() as opened:
            await many.rounds()
        assert {Path(path.partition("?")[0]).parent.name for path in opened} == {"company-2"}
        assert many.active == {"company-0": 1, "company-1": 1, "company-2": 2, "company-3": 1}


async def test_figures_follow_every_change_of_the_file(tmp_path: Path) -> None:
    async with town(tmp_path, 1) as many:
        database = many.tenants.folder("company-0").users_db
        await many.figures.renew()
        older = shutil.copy2(database, tmp_path / "older.db")
        async with open_users(many.tenants.folder("company-0")) as db:  # not in the main file yet, only in the WAL
            await db.execute("UPDATE users SET state = 'deactivated'")
            await many.figures.renew()
            assert many.active == {"company-0": 0}
        for end in ("", "-wal", "-shm"):
            database.with_name(f"users.db{end}").unlink(missing_ok=True)
        shutil.copy2(older, database)  # with its times
        await many.figures.renew()
        assert many.active == {"company-0": 1}
        assert [each.stale_after_days for each in many.figures.all.values()] == [3]


async def test_a_file_written_a_moment_ago_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks_module, "UNSETTLED_S", 3600.0)
    async with town(tmp_path, 1) as many:
        for _ in range(2):
            with databases_opened() as opened:
                await many.figures.renew()
            assert len(opened) == 1


async def test_metrics_wait_for_no_write(tmp_path: Path) -> None:
    async with town(tmp_path, 3) as many:
        asked: list[str] = []
        await many.tenants.store.ledger.db.set_trace_callback(asked.append)
        text = await many.scrape()
        await many.tenants.store.ledger.db.set_trace_callback(None)  # type: ignore[arg-type]
        assert text.count('headcount_users{state="active"') == 3
        assert not [each for each in asked if not each.startswith("SELECT")]
        await many.figures.renew(0)
        assert len([each for each in (await many.tenants.store.figures().read()).values() if each.figures]) == 3


# A start


def _cut_off_upload(folder: TenantFolder) -> None:
    (folder.staging / "upload").write_text("x")


def _cut_off_report(folder: TenantFolder) -> None:
    (folder.messages / ".1.jsonl.new").write_text("x")


def _copy_without_import(folder: TenantFolder) -> None:
    folder.copy(99).write_text("x")


def _log_of_a_crash(folder: TenantFolder) -> None:
    folder.users_db.with_name("users.db-wal").write_bytes(b"x")


def _older_schema(folder: TenantFolder) -> None:
    by_hand(folder.users_db, f"PRAGMA user_version={newest_version('tenant') - 1}")


def _lost_users(folder: TenantFolder) -> None:
    folder.users_db.unlink()


LEFT = [_cut_off_upload, _cut_off_report, _copy_without_import, _log_of_a_crash, _older_schema, _lost_users]


@pytest.mark.parametrize("leave", LEFT, ids=lambda each: each.__name__.strip("_"))
async def test_a_start_checks_a_tenant_with_unfinished_work_before_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leave: Callable[[TenantFolder], None]
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(soundness_module, "BEFORE_S", -1.0)
    monkeypatch.setattr(looks_module, "inspect", lambda folder, whole: looked.append(folder.root.name) or SOUND)
    async with town(tmp_path, 3) as many:
        leave(many.tenants.folder("company-1"))
        await many.soundness.start(take_up_nothing)
        assert looked[:1] == ["company-1"]
        assert many.soundness.why_not_stored("company-1") is None
        await many.soundness.stop()


# Copies that imports wait for


async def test_copies_of_waiting_imports_are_checked_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundness_module, "COPIES_A_LOOK", 2)
    async with town(tmp_path, 4) as many:
        for number in range(4):
            tenant = f"company-{number}"
            import_id = await enqueue(many.queue, tenant)
            if number == 1:
                await run_to(many.queue, import_id, ImportState.HELD, tenant)
        await many.soundness.look_at_all()
        for number in range(4):
            many.tenants.folder(f"company-{number}").copy(1).write_text("x")
        for _ in range(3):
            await many.soundness.look_at_all()
        assert many.soundness.broken == {}
        for number in range(4):
            many.tenants.folder(f"company-{number}").copy(1).unlink()
        seen = []
        for _ in range(3):
            await many.soundness.look_at_all()
            seen.append(len(many.soundness.broken))
        assert seen[-1] == 4
        assert seen[0] < 4, "no look reads all of them"


async def test_copies_of_waiting_imports_are_found_by_index_and_in_order(tmp_path: Path) -> None:
    async with town(tmp_path, 1) as many:
        rows = await many.tenants.store.ledger.db.execute_fetchall(
            f"EXPLAIN QUERY PLAN {SOME_COPIES_NEEDED}", (0, 10)
        )
        plan = [row[3] for row in rows]
    assert not any("TEMP B-TREE" in step for step in plan), plan
    assert [step.split("INDEX ")[1].split(" ")[0] for step in plan if "imports" in step] == [
        "imports_waiting",
        "imports_held",
    ]


async def test_a_tenant_without_expired_data_is_pruned_unopened(tmp_path: Path) -> None:
    async with town(tmp_path, 2) as many:
        await run_to(many.queue, await enqueue(many.queue, "company-1"), ImportState.FAILED, "company-1")
        many.now = NOON + timedelta(days=1)
        assert await many.keeper._due() == ["company-1"]
        with databases_opened() as opened:
            assert await many.keeper.prune(["company-1"]) == []
        assert opened == [], "the queue knows that nothing is too old"
        assert await many.keeper._due() == []
