"""A backup is one moment, whatever lands, ends, is decided, renamed or removed while it is made.

The changes are made between the steps of a backup that the docstring of server/backup/taking.py numbers.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ground.files import replace_file
from importer.errors import TryAgain
from importer.model import ImportState
from server.backup import taking, trees
from tests.support.backups import brought_back, disagreements, manifest_of, rest, rows, saved
from tests.support.importing import people
from tests.support.queues import House, found, open_house, run_to
from tests.support.run_house import RunHouse, open_run_house
from tests.support.server_process import ServerProcess
from tests.support.writing import being_written, by_hand

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")

Act = Callable[[House], Awaitable[object]]
ANN, BOB = people("ann").decode(), people("bob").decode()


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    return source


@pytest.fixture
def meanwhile(source: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Act], None]:
    """Return a function that lets something happen right after step 1 or step 5 of the next backup."""

    def let(step: int, act: Act) -> None:
        name = {1: "_at_one_moment", 5: "_copy_pins"}[step]
        real = getattr(taking._Taking, name)

        def wrapped(self: Any, *arguments: Any) -> Any:
            with monkeypatch.context() as patch:
                patch.setattr(taking._Taking, name, real)
                asyncio.run(_in_house(source.data, act))
            return real(self, *arguments)

        monkeypatch.setattr(taking._Taking, name, wrapped)

    return let


async def _in_house(data: Path, act: Act) -> None:
    async with open_house(data, "acme") as house:
        await act(house)


def in_house(data: Path, act: Act) -> None:
    asyncio.run(_in_house(data, act))


def state(data: Path, number: int = 1) -> str:
    return next(row[2] for row in rows(data / "headcount.db")["imports"] if row[1] == number)


def copy(data: Path, number: int = 1) -> Path:
    return data / "tenants" / "acme" / "uploads" / f"{number}.csv"


def test_a_file_that_lands_before_the_moment_is_in_it_with_its_copy(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    meanwhile(1, lambda house: house.upload(ANN))
    saved(source.data, backup)
    assert brought_back(backup, second).waiting == 1
    assert (state(second), copy(second).read_text()) == ("queued", ANN)


def test_a_copy_that_is_deleted_after_the_moment_is_in_it(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    async def end(house: House) -> None:
        await run_to(house.queue, 1, ImportState.COMPLETED)
        house.folder().copy(1).unlink()
        house.folder().visible("/sync_users.csv").unlink()

    meanwhile(1, lambda house: house.upload(ANN))
    meanwhile(5, end)
    saved(source.data, backup)
    brought_back(backup, second)
    assert (state(second), copy(second).read_text()) == ("queued", ANN)
    assert disagreements(second) == []


def test_a_file_that_lands_after_the_moment_is_not_in_it(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    in_house(source.data, lambda house: house.upload(ANN))

    async def land(house: House) -> None:
        number = await house.upload(BOB)
        (house.folder().messages / f"{number}.jsonl").write_text("{}")
        (house.folder().results / f"sync_users-{number}.json").write_text("{}")

    meanwhile(5, land)
    saved(source.data, backup)
    brought_back(backup, second)
    assert len(rows(second / "headcount.db")["imports"]) == 1
    assert not any("2." in entry.path for entry in manifest_of(backup).under("tenants/acme"))


def test_users_and_states_are_of_the_same_moment(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    """Users that were copied before an import, and those that would be copied after the next one, do not count."""

    async def apply(house: House) -> None:
        number = await house.upload(ANN)
        facts = "import_id, applied_at, outcome, rows, compared, header, number"
        by_hand(
            house.folder().users_db,
            f"INSERT INTO applied ({facts}) VALUES ({number}, 'now', '{{}}', 1, 1, '', {number})",
        )
        await run_to(house.queue, number, ImportState.COMPLETED)

    rest(source.data)
    saved(source.data, backup)
    meanwhile(1, apply)
    meanwhile(5, apply)
    saved(source.data, backup)
    brought_back(backup, second)
    assert disagreements(second) == []
    assert [row[0] for row in rows(second / "tenants" / "acme" / "users.db")["applied"]] == [1]
    assert disagreements(source.data) == []


def test_the_list_of_a_held_import_is_that_of_the_moment(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    async def hold(house: House) -> None:
        await house.upload(ANN)
        house.folder().touched(1).write_text("shown")
        await run_to(house.queue, 1, ImportState.HELD)

    async def discard(house: House) -> None:
        await house.queue.discard("acme", 1, by="owner")
        replace_file(house.folder().touched(1), b"another")
        house.folder().copy(1).unlink()

    meanwhile(1, hold)
    meanwhile(5, discard)
    saved(source.data, backup)
    brought_back(backup, second)
    assert (state(second), copy(second).read_text()) == ("held", ANN)
    assert (second / "tenants" / "acme" / "messages" / "1.touched.jsonl").read_text() == "shown"


def test_the_file_of_a_run_that_ends_after_the_moment_is_in_it(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    async def arrive(_: House) -> None:
        async with open_run_house(source.data, "acme") as house:
            await house.upload("of a run")

    async def end(_: House) -> None:
        async with open_run_house(source.data, "acme") as house:
            await _end_first(house)

    meanwhile(1, arrive)
    meanwhile(5, end)
    saved(source.data, backup)
    assert brought_back(backup, second).waiting == 1
    assert (second / "tenants" / "acme" / "runs" / "1.file").read_text() == "of a run"


async def _end_first(house: RunHouse) -> None:
    house.folder().run_copy(1).unlink()
    by_hand(house.stored.data / "headcount.db", "DELETE FROM runs")


def test_a_tenant_that_is_removed_after_the_moment_is_in_it(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    async def remove(_: House) -> None:
        await asyncio.to_thread(source.cli, "tenant", "remove", "acme", "--yes")

    in_house(source.data, lambda house: house.upload(ANN))
    meanwhile(5, remove)
    assert saved(source.data, backup).tenants == 1
    brought_back(backup, second)
    assert (state(second), copy(second).read_text()) == ("queued", ANN)
    assert (second / "tenants" / "acme" / "users.db").exists()


def test_a_tenant_that_is_added_before_the_moment_is_in_it(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    async def add(_: House) -> None:
        await asyncio.to_thread(source.add_tenant, "late")

    meanwhile(1, add)
    assert saved(source.data, backup).tenants == 2
    brought_back(backup, second)
    assert (second / "tenants" / "late" / "keys.json").exists()


def test_a_file_that_is_renamed_during_the_walk_is_not_missed(
    source: ServerProcess, backup: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file leaves a folder that is not read yet for one that was read already."""
    files = source.files("acme").files
    for name in ("a", "b"):
        (files / name).mkdir()
    (files / "b" / "march.txt").write_text("march")
    real = os.scandir

    def scandir(place: str) -> Any:
        if place == str(files / "b") and (files / "b" / "march.txt").exists():
            (files / "b" / "march.txt").rename(files / "a" / "march.txt")
        return real(place)

    monkeypatch.setattr(trees.os, "scandir", scandir)
    saved(source.data, backup)
    brought_back(backup, second)
    assert (second / "tenants" / "acme" / "files" / "a" / "march.txt").read_text() == "march"


def test_files_of_a_client_that_never_rests_are_all_in_it(
    source: ServerProcess, backup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = source.files("acme").files
    real, number = os.scandir, iter(range(10_000))

    def scandir(place: str) -> Any:
        if place == str(files):
            (files / f"{next(number)}.txt").write_text("x")
        return real(place)

    monkeypatch.setattr(trees.os, "scandir", scandir)
    saved(source.data, backup)
    had = {entry.path.rsplit("/", 1)[-1] for entry in manifest_of(backup).entries}
    assert {f"{each}.txt" for each in range(trees.WALKS_MOST)} <= had


def test_nothing_lands_or_ends_between_the_views_of_a_moment(
    source: ServerProcess, backup: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[TryAgain] = []
    real = taking._Taking._pin_users

    def pin_users(self: Any, *arguments: Any) -> None:
        real(self, *arguments)
        with monkeypatch.context() as patch:
            patch.setattr("engine.sqlite.database.BUSY_TIMEOUT_S", 0.05)
            with pytest.raises(TryAgain) as failure:
                in_house(source.data, lambda house: house.upload(ANN))
            refused.append(failure.value)

    monkeypatch.setattr(taking._Taking, "_pin_users", pin_users)
    saved(source.data, backup)
    assert [error.code for error in refused] == ["database_busy"]
    assert brought_back(backup, second).waiting == 0


def test_headcount_db_is_not_locked_while_it_is_copied(
    source: ServerProcess, backup: Path, second: Path, meanwhile: Callable[[int, Act], None]
) -> None:
    async def write(_: House) -> None:
        for database in (source.data / "headcount.db", source.files("acme").users_db):
            with being_written(database, "CREATE TABLE later (x)", keep=True):
                pass

    meanwhile(5, write)
    saved(source.data, backup)
    brought_back(backup, second)
    assert "later" not in rows(second / "headcount.db")
    assert "later" not in rows(second / "tenants" / "acme" / "users.db")


def test_locked_users_let_no_upload_of_another_tenant_wait_long(source: ServerProcess, backup: Path) -> None:
    """A writer of headcount.db that waits as long as one view may wait for its database is never refused."""
    source.add_tenant("bolt")
    source.add_tenant("cora")
    ended, refused = threading.Event(), list[sqlite3.Error]()

    def close_uploads() -> None:
        with closing(sqlite3.connect(source.data / "headcount.db", isolation_level=None, timeout=5)) as db:
            while not ended.is_set():
                try:
                    db.execute("BEGIN IMMEDIATE")
                    db.execute("ROLLBACK")
                except sqlite3.Error as error:
                    refused.append(error)

    with ExitStack() as held:
        for name in ("bolt", "cora"):
            held.enter_context(locked_for_readers(source.files(name).users_db))
        with ThreadPoolExecutor() as threads:
            closing_uploads = threads.submit(close_uploads)
            try:
                broken = saved(source.data, backup).manifest.broken
            finally:
                ended.set()
            closing_uploads.result()
    assert refused == []
    assert {name: "another process holds the database" in why for name, why in broken.items()} == {
        "bolt": True,
        "cora": True,
    }


@contextmanager
def locked_for_readers(database: Path) -> Iterator[None]:
    """Lock a database even for readers, at once after a change, so that it is copied at the moment."""
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        os.utime(database)
        yield


async def test_a_queue_goes_on_after_a_restore(source: ServerProcess, backup: Path, second: Path) -> None:
    async with open_house(source.data, "acme") as house:
        await house.upload(ANN)
    await asyncio.to_thread(saved, source.data, backup)
    await asyncio.to_thread(brought_back, backup, second)
    async with open_house(second, "acme") as house:
        assert await house.upload(BOB) == 2
        assert (await found(house.queue, 1)).state is ImportState.QUEUED
