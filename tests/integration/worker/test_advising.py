"""Advice on a file is made beside the worker: it delays no import, and any error leaves it out."""

from __future__ import annotations

import asyncio
import errno
import shutil
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.postgres.tenant import users
from engine.sqlite.tenant import copies
from ground.moments import rfc3339, utc_now
from importer.advice import testing
from importer.advice.advise import Advised, Question, advise_if_possible
from importer.advice.model import Advice
from importer.errors import Stopped
from importer.model import ImportState, Outcome
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.rules.settings import ImportSettings
from importer.worker import advising
from importer.worker.advising import Advising
from importer.worker.attempt import RunImport, Starter
from importer.worker.worker import Worker
from tests.support.importing import people
from tests.support.queues import House, found, open_house
from tests.support.waiting import eventually
from tests.support.writing import being_written

COPIED = "no other engine copies a file of users"
TABLES = "no other engine copies tables"
OTHERS = "First Name,Last Name,Email\nAnn,Lee,ann@a.test\n"


class Yard(House):
    """A house with a worker and with advice."""

    advising: Advising

    async def settings_of(self, tenant: str) -> ImportSettings:
        return ImportSettings()

    @asynccontextmanager
    async def working(self, run: RunImport = run_import) -> AsyncIterator[Worker]:
        self.advising = Advising(self.folder, self.users, archive=self.archive)
        starter = Starter(
            self.folder,
            self.users,
            self.settings_of,
            utc_now,
            self.queue.checksums,
            run=run,
            advising=self.advising,
            archive=self.archive,
        )
        worker = Worker(self.queue, self.closing, starter)
        worker.start()
        try:
            yield worker
        finally:
            await worker.stop(5)

    async def ends(self, import_id: int, state: ImportState) -> None:
        async def there() -> bool:
            return (await found(self.queue, import_id)).state is state

        await eventually(there, what=f"import {import_id} to be {state}")

    def advice(self, import_id: int) -> Any:
        return self.shown(import_id)["advice"]


@pytest.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    """A yard in which all advice is quick enough for the first report, unless a test changes that."""
    for limit in ("QUICK_S", "AT_ONCE_S"):
        monkeypatch.setattr(advising, limit, 60.0)
    async with open_house(tmp_path, "acme") as house:
        yield Yard(house.stored, house.store)


async def test_the_first_report_of_a_small_file_has_its_advice(yard: Yard) -> None:
    await yard.upload(OTHERS)
    async with yard.working():
        await yard.ends(1, ImportState.FAILED)
        assert yard.advice(1)["settings"]["field_mapping"].keys() == {"First Name", "Last Name"}
    assert not [*yard.folder("acme").messages.glob(".*")]


async def test_a_file_that_fits_the_settings_gets_no_advice(yard: Yard) -> None:
    await yard.upload(people("ann").decode())
    async with yard.working():
        await yard.ends(1, ImportState.COMPLETED)
    assert yard.advice(1) is None
    assert not [name for name in yard.stored.kept_names("acme", "messages") if "advice" in name]


async def test_slow_advice_delays_no_import_and_is_added_to_the_report_later(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def slowly(question: Question, *args: Any) -> Advised:
        await gate.wait()
        return await advise_if_possible(question, *args)

    monkeypatch.setattr(advising, "AT_ONCE_S", 0.01)
    monkeypatch.setattr(advising, "advise_if_possible", slowly)
    await yard.upload(OTHERS)
    await yard.upload(people("bob").decode())
    async with yard.working():
        await yard.ends(1, ImportState.FAILED)
        await yard.ends(2, ImportState.COMPLETED)
        assert yard.advice(1) is None
        moved = await yard.queue.newest_move()
        gate.set()

        async def comes() -> bool:
            return yard.advice(1) is not None and await yard.queue.newest_move() > moved

        await eventually(comes, what="the advice")


async def test_the_end_and_duration_of_an_import_exclude_the_wait_for_advice(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []

    async def noted(question: Question, *args: Any) -> Advised:
        asked.append((rfc3339(utc_now()), time.monotonic()))
        return await advise_if_possible(question, *args)

    monkeypatch.setattr(advising, "advise_if_possible", noted)
    await yard.upload(OTHERS)
    began = time.monotonic()
    async with yard.working():
        await yard.ends(1, ImportState.FAILED)
        assert yard.advice(1) is not None
    finished_at, ((moment, at),) = (await found(yard.queue, 1)).finished_at, asked
    assert finished_at
    assert finished_at <= moment
    assert yard.watching.durations == [pytest.approx(0, abs=at - began)]


async def test_a_stop_leaves_advice_out_without_a_wait(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    async def until_stopped(question: Question, *_: Any) -> Advised:
        while not question.stopping():
            await asyncio.sleep(0.01)
        return Advised(Advice(sentences=("late",)))

    monkeypatch.setattr(advising, "AT_ONCE_S", 0.01)
    monkeypatch.setattr(advising, "advise_if_possible", until_stopped)
    await yard.upload(OTHERS)
    async with yard.working():
        await yard.ends(1, ImportState.FAILED)
    assert yard.advice(1) is None
    assert not [*yard.folder("acme").messages.glob(".advice-*")]


def _full(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, "full")


def _busy(*_: Any) -> Any:
    raise sqlite3.OperationalError("database is locked")


def _locked(*_: Any) -> Any:
    raise psycopg.errors.LockNotAvailable


def _full_there(*_: Any) -> Any:
    raise psycopg.errors.DiskFull


@pytest.mark.parametrize(
    ("where", "name", "does"),
    [
        pytest.param(copies, "_read_only", _busy, marks=pytest.mark.only_on("sqlite", COPIED)),
        pytest.param(copies, "_read_only", _full, marks=pytest.mark.only_on("sqlite", COPIED)),
        pytest.param(users, "copy_users", _locked, marks=pytest.mark.only_on("postgres", TABLES)),
        pytest.param(users, "copy_users", _full_there, marks=pytest.mark.only_on("postgres", TABLES)),
        (advising, "keep_advice", _full),
        (advising, "_prepare", _full),
        (advising, "SPARE_BYTES", 2**62),
    ],
    ids=["busy", "full", "locked", "full there", "not kept", "not prepared", "no room"],
)
async def test_a_full_disk_or_a_busy_database_leaves_advice_out_unlogged(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: Any, name: str, does: Any
) -> None:
    monkeypatch.setattr(where, name, does)
    await yard.upload(OTHERS)
    async with yard.working():
        await yard.ends(1, ImportState.FAILED)
    assert yard.advice(1) is None
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]


async def test_advice_makes_no_folder_for_a_tenant_that_is_removed_meanwhile(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root, aside, made_again = yard.folder("acme").root, tmp_path / "aside", []
    prepare, disk_usage = advising._prepare, shutil.disk_usage

    def removing(path: Path) -> Any:
        found = disk_usage(path)
        root.rename(aside)
        return found

    def prepared(*given: Any) -> Any:
        monkeypatch.setattr(shutil, "disk_usage", removing)
        try:
            return prepare(*given)
        finally:
            monkeypatch.setattr(shutil, "disk_usage", disk_usage)
            made_again.append(root.exists())
            shutil.rmtree(root, ignore_errors=True)
            aside.rename(root)

    monkeypatch.setattr(advising, "_prepare", prepared)
    await yard.upload(OTHERS)
    async with yard.working():
        await yard.ends(1, ImportState.FAILED)
    assert made_again == [False]


@pytest.mark.logs("advice_fault")
async def test_an_internal_error_in_advice_is_logged_and_the_import_ends_normally(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty(*_: Any) -> Advised:
        raise ZeroDivisionError

    monkeypatch.setattr(advising, "advise_if_possible", faulty)
    await yard.upload(OTHERS)
    async with yard.working():
        await yard.ends(1, ImportState.FAILED)
    assert yard.advice(1) is None


async def test_a_file_too_long_to_test_each_setting_says_so(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testing, "WHOLE_TESTS", 0)
    monkeypatch.setattr(testing, "FURTHER_BYTES", 0)
    await yard.upload(OTHERS)
    async with yard.working():
        await yard.ends(1, ImportState.FAILED)
    advice = yard.advice(1)
    assert (advice["settings"], advice["counts"]) == ({}, None)
    assert any("too long to test" in sentence for sentence in advice["sentences"])


async def test_advice_on_a_long_file_waits_for_running_imports(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, runs, waits = threading.Event(), asyncio.Event(), threading.Event()
    gives_way = Advising._gives_way

    async def until_told(job: Job, *args: Any, **how: Any) -> Outcome:
        if job.import_id == 2:
            runs.set()
            await asyncio.to_thread(gate.wait)
        return await run_import(job, *args, **how)

    async def once_it_runs(question: Question, *args: Any) -> Advised:
        await runs.wait()
        return await advise_if_possible(question, *args)

    def noted(advising: Advising) -> bool:
        waits.set()
        return gives_way(advising)

    monkeypatch.setattr(advising, "AT_ONCE_S", 0.01)
    monkeypatch.setattr(advising, "LONG_BYTES", 0)
    monkeypatch.setattr(advising, "GIVES_WAY_S", 60.0)
    monkeypatch.setattr(advising, "advise_if_possible", once_it_runs)
    monkeypatch.setattr(Advising, "_gives_way", noted)
    await yard.upload(OTHERS)
    await yard.upload(people("bob").decode())
    async with yard.working(until_told):
        try:
            await eventually(waits.is_set, what="a try to wait")
            made = yard.advising.under_way(await found(yard.queue, 1))
            assert made
            assert (await asyncio.wait([made], timeout=0.2))[0] == set()
        finally:
            gate.set()
        await eventually(made.done, what="the advice")
        await eventually(lambda: yard.advice(1) is not None, what="the report with it")
    assert yard.advice(1)["counts"]["created"] == 1


async def test_advice_on_a_short_file_does_not_wait_for_a_long_one(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def slowly(question: Question, *args: Any) -> Advised:
        if question.file.stat().st_size > len(OTHERS):
            await gate.wait()
        return await advise_if_possible(question, *args)

    monkeypatch.setattr(advising, "AT_ONCE_S", 0.01)
    monkeypatch.setattr(advising, "LONG_BYTES", len(OTHERS))
    monkeypatch.setattr(advising, "advise_if_possible", slowly)
    await yard.upload(OTHERS + "Bo,Ng,bo@a.test\n")
    await yard.upload(OTHERS)
    async with yard.working():
        try:
            await eventually(lambda: yard.shown(2) and yard.advice(2) is not None, what="advice on the short file")
            assert yard.advice(1) is None
        finally:
            gate.set()


@pytest.mark.only_on("sqlite", COPIED)
async def test_users_are_copied_as_they_are_while_an_import_writes(yard: Yard, tmp_path: Path) -> None:
    with being_written(yard.folder().users_db, "INSERT INTO settings VALUES ('delimiter', '\";\"')", keep=True):
        copied = yard.users().copy(tmp_path)
    assert yard.users().take_stock(1.0).settings
    assert copied.take_stock(1.0).settings == {}
    (tmp_path / "other").mkdir()
    with pytest.raises(Stopped):
        yard.users().copy(tmp_path / "other", lambda: True)
