"""The loop that runs imports. If a test needs the end of an import and not its rows, a script plays it."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ground.waits import Growing
from importer.errors import Refused, Stopped, TryAgain
from importer.file.reader import CsvReader
from importer.model import ImportState, Outcome
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.rules.settings import ImportSettings
from importer.worker import worker as worker_module
from importer.worker.attempt import RunImport, Starter, known_end
from importer.worker.recovery import recover
from importer.worker.turns import is_correction
from importer.worker.worker import Worker
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.importing import people
from tests.support.installation import installation
from tests.support.queues import NOON, House, found, open_house, outcome
from tests.support.waiting import eventually

COMPLETED = outcome(ImportState.COMPLETED, created=1)


class Script:
    """Plays imports: records which started, and waits where it is told to."""

    def __init__(self) -> None:
        self.started: list[tuple[str, int]] = []
        self.most_at_once = 0
        self.at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.kept_on: set[tuple[str, int]] = set()
        """Imports that go on although the gate is open."""
        self.errors: list[Exception] = []
        self.ends: dict[int, Outcome] = {}

    async def __call__(
        self,
        job: Job,
        database: Path,
        settings: ImportSettings,
        messages: Path,
        *,
        progress: Callable[[float], None],
        stopping: Callable[[], bool],
    ) -> Outcome:
        self.started.append((job.tenant, job.import_id))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            progress(0.5)
            while not self.gate.is_set() or (job.tenant, job.import_id) in self.kept_on:
                if stopping():
                    raise Stopped("stopping")
                await asyncio.sleep(0.001)
            if self.errors:
                raise self.errors.pop(0)
            return self.ends.get(job.import_id, COMPLETED)
        finally:
            self.at_once -= 1


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


class Yard(House):
    """A house with a worker."""

    settings = ImportSettings()
    clock = Clock()

    async def settings_of(self, tenant: str) -> ImportSettings:
        return self.settings

    def worker(self, run: RunImport = run_import) -> Worker:
        return Worker(
            self.queue,
            self.closing,
            Starter(
                self.folder, self.users, self.settings_of, self.clock, self.queue.checksums, run, archive=self.archive
            ),
        )

    async def state(self, import_id: int, tenant: str = "acme") -> ImportState:
        return (await found(self.queue, import_id, tenant)).state

    async def reaches(self, import_id: int, state: ImportState, tenant: str = "acme") -> None:
        async def there() -> bool:
            return await self.state(import_id, tenant) is state

        await eventually(there, what=f"import {import_id} to be {state}")


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the queue of the yard wait for no other writer."""
    installation(tmp_path).impatient(monkeypatch, 0.05)


@pytest.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    monkeypatch.setattr(worker_module, "LOOK_S", 0.02)
    async with open_house(tmp_path, "acme", "globex", "initech") as house:
        yard = Yard(house.stored, house.store)
        yard.clock = Clock()
        yield yard


@asynccontextmanager
async def working(yard: Yard, run: RunImport = run_import) -> AsyncIterator[Worker]:
    worker = yard.worker(run)
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop(0)


async def test_a_file_becomes_users(yard: Yard) -> None:
    await yard.upload(people("ann", "bob").decode())
    async with working(yard):
        await yard.reaches(1, ImportState.COMPLETED)
    report = (await found(yard.queue, 1)).report()
    assert report.counts.created == 2
    assert report.file.rows == 2
    assert yard.shown(1) == report.to_json()
    assert await yard.users().count_by_state() == {"active": 2, "deactivated": 0}


async def test_an_upload_wakes_the_worker(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "LOOK_S", 3600)
    script = Script()
    async with working(yard, script):
        await eventually(lambda: not yard.queue.changed.is_set())
        await yard.upload()
        await yard.reaches(1, ImportState.COMPLETED)


async def test_two_imports_run_at_once_but_only_one_of_a_tenant(yard: Yard) -> None:
    script = Script()
    script.gate.clear()
    for tenant in ("acme", "acme", "globex", "initech"):
        await yard.upload(tenant=tenant)
    async with working(yard, script):
        await eventually(lambda: len(script.started) == 2)
        await yard.reaches(1, ImportState.RUNNING, "globex")
        assert await yard.state(2) is ImportState.QUEUED
        assert await yard.state(1, "initech") is ImportState.QUEUED
        script.gate.set()
        await yard.reaches(2, ImportState.COMPLETED)
        await yard.reaches(1, ImportState.COMPLETED, "initech")
    assert script.most_at_once == 2
    assert sorted(script.started) == [("acme", 1), ("acme", 2), ("globex", 1), ("initech", 1)]


async def test_the_oldest_import_of_all_tenants_runs_first(yard: Yard) -> None:
    script = Script()
    script.gate.clear()
    for tenant in ("acme", "globex", "initech", "acme", "globex", "initech"):
        await yard.upload(tenant=tenant)
    async with working(yard, script):
        await eventually(lambda: len(script.started) == 2)
        script.kept_on = {("globex", 1)}  # so that one place is free
        script.gate.set()
        await eventually(lambda: len(script.started) > 2)
        assert sorted(script.started[:2]) == [("acme", 1), ("globex", 1)]
        assert script.started[2] == ("initech", 1)
        script.kept_on.clear()
        await yard.reaches(2, ImportState.COMPLETED, "initech")


async def test_a_file_that_supersedes_an_older_one_does_not_overtake_other_tenants(yard: Yard) -> None:
    yard.settings = ImportSettings(deactivate_missing=True)
    script = Script()
    script.gate.clear()
    for tenant in ("initech", "acme", "globex", "acme"):
        await yard.upload(tenant=tenant)
    async with working(yard, script):
        await yard.reaches(1, ImportState.RUNNING, "globex")
        await eventually(lambda: len(script.started) == 2)
        assert await yard.state(2) is ImportState.QUEUED
        assert await yard.state(1) is ImportState.SUPERSEDED
        script.gate.set()
        await yard.reaches(2, ImportState.COMPLETED)
    assert sorted(script.started) == [("acme", 2), ("globex", 1), ("initech", 1)]


async def test_lists_of_changes_run_in_the_order_they_were_completed(yard: Yard) -> None:
    for _ in range(4):
        await yard.upload()
    script = Script()
    async with working(yard, script):
        await yard.reaches(4, ImportState.COMPLETED)
    assert script.started == [("acme", number) for number in range(1, 5)]


async def test_only_the_newest_of_several_waiting_complete_lists_runs(yard: Yard) -> None:
    yard.settings = ImportSettings(deactivate_missing=True)
    for _ in range(3):
        await yard.upload()
    script = Script()
    async with working(yard, script):
        await yard.reaches(3, ImportState.COMPLETED)
    assert script.started == [("acme", 3)]
    assert yard.shown(1)["state"] == yard.shown(2)["state"] == "superseded"
    assert "import 3" in yard.shown(1)["message"]
    assert yard.copy(1) is None


async def test_a_correction_file_runs_beside_a_newer_complete_list(yard: Yard) -> None:
    yard.settings = ImportSettings(deactivate_missing=True)
    await yard.upload(people("ann", _line="2", _code="x", _message="y").decode())
    await yard.upload(people("ann", "bob").decode())
    async with working(yard):
        await yard.reaches(2, ImportState.COMPLETED)
    assert await yard.state(1) is ImportState.COMPLETED


async def test_a_held_import_is_superseded_by_a_newer_one(yard: Yard) -> None:
    script = Script()
    script.ends[1] = outcome(ImportState.HELD)
    async with working(yard, script):
        await yard.upload()
        await yard.reaches(1, ImportState.HELD)
        await yard.upload(dry_run=True)
        await yard.reaches(2, ImportState.COMPLETED)
        assert await yard.state(1) is ImportState.HELD
        await yard.upload()
        await yard.reaches(3, ImportState.COMPLETED)
        assert await yard.state(1) is ImportState.SUPERSEDED
    assert yard.shown(1)["state"] == "superseded"


async def test_an_approved_import_runs_with_its_approval(yard: Yard) -> None:
    yard.settings = ImportSettings(deactivate_missing=True)
    async with working(yard):
        await yard.upload(people(*(f"p{number}" for number in range(20))).decode())
        await yard.reaches(1, ImportState.COMPLETED)
        await yard.upload(people("p0", "p19").decode())
        await yard.reaches(2, ImportState.HELD)
        users = frozenset(range(1, 21))
        await yard.queue.approve("acme", 2, by="operator", users=users)
        await yard.reaches(2, ImportState.COMPLETED)
    assert yard.shown(2)["counts"]["deactivated"] == 18
    assert yard.shown(2)["decided_by"] == "operator"


async def test_a_full_disk_delays_an_import_which_is_retried_after_growing_waits(yard: Yard) -> None:
    script = Script()
    script.errors = [TryAgain("disk_full", "the disk is full")] * 11
    await yard.upload()
    waits = []
    async with working(yard, script):
        for tries in range(1, 12):
            await eventually(lambda tries=tries: len(script.started) == tries)  # type: ignore[misc]
            await yard.reaches(1, ImportState.QUEUED)
            entry = await found(yard.queue, 1)
            assert entry.attempts == 0
            assert "the disk is full" in (entry.message or "")
            waits.append(entry.not_before - yard.clock.now.timestamp())
            yard.clock.now += timedelta(seconds=waits[-1])
        await yard.reaches(1, ImportState.COMPLETED)
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    assert yard.shown(1)["message"] is None


async def test_a_temporary_lack_of_descriptors_delays_an_import(yard: Yard) -> None:
    script = Script()
    script.errors = [OSError(errno.EMFILE, os.strerror(errno.EMFILE))]
    await yard.upload()
    async with working(yard, script):
        await eventually(lambda: len(script.started) == 1)
        await yard.reaches(1, ImportState.QUEUED)
        entry = await found(yard.queue, 1)
        assert "The server tries again." in (entry.message or "")
        yard.clock.now += timedelta(seconds=entry.not_before - yard.clock.now.timestamp())
        await yard.reaches(1, ImportState.COMPLETED)


async def test_a_newer_complete_list_does_not_wait_for_the_one_it_replaces(yard: Yard) -> None:
    yard.settings = ImportSettings(deactivate_missing=True)
    script = Script()
    script.errors = [TryAgain("disk_full", "the disk is full")]
    await yard.upload()
    async with working(yard, script):
        await eventually(lambda: script.started)
        await yard.reaches(1, ImportState.QUEUED)
        await yard.upload()
        await yard.reaches(2, ImportState.COMPLETED)
    assert await yard.state(1) is ImportState.SUPERSEDED


async def test_after_a_start_that_ended_the_waits_begin_at_the_shortest_again(yard: Yard) -> None:
    full = TryAgain("disk_full", "the disk is full")
    script = Script()
    script.errors = [full, full]
    script.ends[1] = outcome(ImportState.HELD)

    async def waits() -> float:
        async def known() -> float:
            entry = await found(yard.queue, 1)
            later = entry.state is ImportState.QUEUED and entry.not_before > yard.clock.now.timestamp()
            return entry.not_before - yard.clock.now.timestamp() if later else 0.0

        waited = await eventually(known, what="the import to wait")
        yard.clock.now += timedelta(seconds=waited)
        return waited

    await yard.upload()
    async with working(yard, script):
        assert [await waits(), await waits()] == pytest.approx([1, 2])
        await yard.reaches(1, ImportState.HELD)
        script.errors = [full]
        del script.ends[1]
        await yard.queue.approve("acme", 1, by="operator", users=frozenset())
        assert await waits() == pytest.approx(1)
        await yard.reaches(1, ImportState.COMPLETED)


@pytest.mark.logs("import_fault")
async def test_an_internal_error_fails_the_import_and_its_cause_is_only_logged(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script()
    script.errors = [ZeroDivisionError("secret detail")]
    await yard.upload()
    async with working(yard, script):
        await yard.reaches(1, ImportState.FAILED)
    shown = yard.shown(1)
    assert [problem["code"] for problem in shown["messages"]] == ["internal_error"]
    assert "secret detail" not in str(shown)
    assert "secret detail" in caplog.text


async def test_an_import_without_its_file_fails_and_blocks_no_other(yard: Yard) -> None:
    await yard.upload()
    yard.stored.drop("acme", "uploads/1.csv")
    await yard.upload(people("ann").decode())
    async with working(yard):
        await yard.reaches(2, ImportState.COMPLETED)
    assert await yard.state(1) is ImportState.FAILED


async def test_stopping_rolls_back_and_leaves_the_import_queued(yard: Yard) -> None:
    script = Script()
    script.gate.clear()
    await yard.upload()
    async with working(yard, script) as worker:
        await yard.reaches(1, ImportState.RUNNING)
        assert worker.alive
        await worker.stop(0.01)
        assert not worker.alive
    entry = await found(yard.queue, 1)
    assert (entry.state, entry.attempts, entry.not_before) == (ImportState.QUEUED, 0, 0)


async def test_an_import_that_ends_within_the_grace_time_is_applied(yard: Yard) -> None:
    script = Script()
    script.gate.clear()
    await yard.upload()
    await yard.upload()
    async with working(yard, script) as worker:
        await yard.reaches(1, ImportState.RUNNING)
        stopping = asyncio.create_task(worker.stop(60))
        await eventually(lambda: not worker.alive)
        script.gate.set()
        await stopping
    assert await yard.state(1) is ImportState.COMPLETED
    assert await yard.state(2) is ImportState.QUEUED


async def test_a_hurried_stop_waits_for_no_import(yard: Yard) -> None:
    async def endless(*_: object, **__: object) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    await yard.upload()
    async with working(yard, endless) as worker:
        await yard.reaches(1, ImportState.RUNNING)
        stopping = asyncio.create_task(worker.stop(3600))
        await eventually(lambda: not worker.alive)
        worker.hurry()
        await stopping
    assert await yard.state(1) is ImportState.QUEUED


@pytest.mark.parametrize("error", [ZeroDivisionError(), TryAgain("disk_full", "the disk is full"), Stopped("stop")])
async def test_a_committed_import_is_applied_whatever_happens_afterwards(yard: Yard, error: Exception) -> None:
    async def applied_then_broken(job: Job, *args: Path, **named: Callable[[], bool]) -> Outcome:
        await run_import(job, *args, **named)  # type: ignore[arg-type]
        raise error

    await yard.upload(people("ann").decode())
    async with working(yard, applied_then_broken):
        await yard.reaches(1, ImportState.COMPLETED)
    assert yard.shown(1)["counts"]["created"] == 1


async def test_an_import_interrupted_after_its_commit_is_not_run_again(yard: Yard) -> None:
    await yard.upload(people("ann").decode())
    entry = await yard.queue.claim("acme", 1)
    assert entry
    folder = yard.folder()
    await yard.archive.fetch(folder, folder.copy(1))
    job = Job("acme", 1, folder.copy(1), "sync_users.csv", False, None, None, yard.clock.now)
    await run_import(job, yard.users(), yard.settings, folder.messages)
    await recover(yard.queue, yard.closing, yard.folder, yard.users, known_end, archive=yard.archive)
    assert await yard.state(1) is ImportState.COMPLETED
    assert yard.shown(1)["counts"]["created"] == 1


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
async def test_unreadable_users_of_one_tenant_block_no_other_tenant(yard: Yard) -> None:
    users_db = yard.folder().users_db
    kept = users_db.read_bytes()
    users_db.write_bytes(b"not a database" * 100)
    await yard.upload(people("bob").decode())
    await yard.upload(people("ann").decode(), "globex")
    async with working(yard):
        await yard.reaches(1, ImportState.COMPLETED, "globex")

        async def says_why() -> bool:
            entry = await found(yard.queue, 1)
            return entry.state is ImportState.QUEUED and "cannot be used" in (entry.message or "")

        await eventually(says_why, what="the import to wait and say why")
        users_db.write_bytes(kept)
        yard.clock.now += timedelta(seconds=10)
        await yard.reaches(1, ImportState.COMPLETED)


async def test_unreadable_settings_fail_the_import(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreadable(tenant: str) -> ImportSettings:
        raise ValueError("broken")

    monkeypatch.setattr(yard, "settings_of", unreadable)
    await yard.upload()
    async with working(yard):
        await yard.reaches(1, ImportState.FAILED)


async def test_the_progress_of_a_running_import_is_visible(yard: Yard) -> None:
    script = Script()
    script.gate.clear()
    await yard.upload()

    async def half() -> bool:
        return (await found(yard.queue, 1)).progress == 0.5

    async with working(yard, script) as worker:
        await eventually(half)
        assert worker.progress == {("acme", 1): 0.5}


@pytest.mark.logs("end_owed")
async def test_an_end_that_cannot_be_written_is_written_later(
    impatient: None, yard: Yard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "WAITS", Growing(0.01, 300.0))
    script = Script()
    script.gate.clear()
    await yard.upload()
    async with working(yard, script):
        await yard.reaches(1, ImportState.RUNNING)
        with yard.stored.writing("imports"):
            script.gate.set()
            if chosen_engine() == EMBEDDED:  # a database has them in the transaction of the end
                await eventually(lambda: yard.shown(1))
            await eventually(lambda: "The end of import 1 of acme cannot be written" in caplog.text)
        await yard.reaches(1, ImportState.COMPLETED)
    assert script.started == [("acme", 1)]


@pytest.mark.only_on("sqlite", "it reads the statements of the engine")
async def test_a_single_import_changes_the_queue_only_at_its_start_and_end(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each flushed change delays a small file by one disk write; the start is not flushed."""
    monkeypatch.setattr(worker_module, "PROGRESS_S", 3600.0)  # it is short, also on a busy machine
    await yard.upload(people("ann", _code="x").decode())
    said: list[str] = []
    await yard.queue._ledger.db.set_trace_callback(said.append)
    async with working(yard):
        await yard.reaches(1, ImportState.COMPLETED)
    changes = [each for each in said if each == "COMMIT" or each.startswith("PRAGMA synchronous")]
    assert changes == ["PRAGMA synchronous=NORMAL", "COMMIT", "PRAGMA synchronous=FULL", "COMMIT"]
    assert (await found(yard.queue, 1)).correction is True


async def test_the_header_of_a_file_that_waits_for_its_checksum_is_read_once(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result of reading its header is stored, although it does not start."""
    monkeypatch.setattr(yard, "settings", ImportSettings(require_checksum=True))
    await yard.upload(people("ann").decode())

    async def waits() -> bool:
        return (await found(yard.queue, 1)).message is not None

    async with working(yard):
        await eventually(waits, what="the import to wait for its checksum")
        assert (await found(yard.queue, 1)).correction is False


async def test_a_correction_file_is_recognized_by_its_header(tmp_path: Path) -> None:
    file = tmp_path / "1.csv"
    for content, known in (
        (people("ann", _code="x"), True),
        (people("ann"), False),
        (b"", False),
        (b"\xff\xfe broken", False),
    ):
        file.write_bytes(content)
        assert await is_correction(file, ImportSettings()) is known
    with pytest.raises(FileNotFoundError):
        await is_correction(tmp_path / "missing", ImportSettings())


@pytest.mark.parametrize(
    "content", [people("ann", _code="x"), b"no,header\n" + people("ann"), b"", people("ann" * 9000)]
)
async def test_reading_a_header_keeps_no_file_in_memory(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "1.csv"
    file.write_bytes(content)
    gc.collect()
    gc.disable()
    try:
        await is_correction(file, ImportSettings())
        assert [each for each in gc.get_objects() if isinstance(each, CsvReader)] == []
    finally:
        gc.enable()


async def test_an_import_of_a_removed_tenant_does_not_end_one_of_its_successor(yard: Yard) -> None:
    may_end, starts = [asyncio.Event(), asyncio.Event()], 0

    async def run(*_: object, **_options: object) -> Outcome:
        nonlocal starts
        starts += 1
        if starts == 1:
            await may_end[0].wait()
            raise TryAgain("disk_full", "the disk is full")
        await may_end[1].wait()
        return COMPLETED

    await yard.upload()
    async with working(yard, run) as worker:
        await eventually(lambda: starts == 1)
        yard.stored.remove("acme")
        yard.stored.add("acme")
        later = NOON + timedelta(hours=1)
        path = "/sync_users.csv"
        assert await yard.queue.arriving("acme", path, size=5, written=None, uploaded_at=later, dry_run=False) == 1
        yard.put(1, "x\n")
        await yard.queue.landed("acme", 1)
        await eventually(lambda: starts == 2)
        may_end[0].set()
        await eventually(lambda: len(worker._running) == 1)
        may_end[1].set()
        await eventually(lambda: yard.shown(1))
    assert (yard.shown(1)["state"], (await found(yard.queue, 1)).state) == ("completed", ImportState.COMPLETED)
    assert starts == 2


async def test_an_applied_import_is_undone_once_and_its_report_says_so(yard: Yard) -> None:
    await yard.upload(people("ann", "bob").decode())
    async with working(yard):
        await yard.reaches(1, ImportState.COMPLETED)
        applied = (await found(yard.queue, 1)).report()
        asked = await yard.queue.undo("acme", None, by="operator")
        assert (asked.id, asked.state) == (1, ImportState.QUEUED)
        await yard.reaches(1, ImportState.UNDONE)
    report = (await found(yard.queue, 1)).report()
    assert (report.counts, report.file, report.started_at) == (applied.counts, applied.file, applied.started_at)
    assert (report.finished_at, report.decided_by) == (applied.finished_at, "operator")
    assert report.message == "Undone by operator: 2 created users deactivated."
    assert yard.shown(1) == report.to_json()
    assert yard.watching.ends == [(1, ImportState.COMPLETED), (1, ImportState.UNDONE)]
    assert await yard.queue.last_successes() == {}
    with pytest.raises(Refused):
        await yard.queue.undo("acme", 1, by="operator")


@pytest.mark.logs("undo_failed")
async def test_an_undo_that_fails_leaves_the_import_as_it_was(yard: Yard) -> None:
    await yard.upload(people("ann").decode())
    async with working(yard):
        await yard.reaches(1, ImportState.COMPLETED)
        applied = await found(yard.queue, 1)
        async with yard.users().memory() as memory:
            await memory.prune_effects(lambda effects: [each.id for each in effects])
        await yard.queue.undo("acme", 1, by="operator")
        await yard.reaches(1, ImportState.COMPLETED)
    entry = await found(yard.queue, 1)
    assert (entry.outcome, entry.undo, entry.decided_by) == (applied.outcome, None, None)
    assert entry.message == "The undo failed: the changes of import 1 of acme are no longer kept"
    assert yard.watching.ends == [(1, ImportState.COMPLETED)]


async def test_a_file_that_arrives_while_an_undo_is_queued_runs_after_it(yard: Yard) -> None:
    yard.settings = ImportSettings(deactivate_missing=True)
    await yard.upload(people("ann").decode())
    async with working(yard):
        await yard.reaches(1, ImportState.COMPLETED)
    await yard.queue.undo("acme", 1, by="operator")
    await yard.upload(people("ann").decode())
    async with working(yard):
        await yard.reaches(2, ImportState.COMPLETED)
    assert await yard.state(1) is ImportState.UNDONE
    assert (await found(yard.queue, 2)).report().counts.created == 1


async def test_an_undo_interrupted_after_its_commit_is_not_done_again(yard: Yard) -> None:
    await yard.upload(people("ann").decode())
    async with working(yard):
        await yard.reaches(1, ImportState.COMPLETED)
    await yard.queue.undo("acme", 1, by="operator")
    entry = await yard.queue.claim("acme", 1)
    assert entry
    starter = Starter(
        yard.folder, yard.users, yard.settings_of, yard.clock, yard.queue.checksums, archive=yard.archive
    )
    undone = await starter.attempt(entry, progress=lambda _: None, stopping=lambda: False)
    assert isinstance(undone, Outcome)
    await recover(
        yard.queue, yard.closing, yard.folder, yard.users, known_end, archive=yard.archive
    )  # as if the server were killed here
    entry = await found(yard.queue, 1)
    assert (entry.state, entry.outcome) == (ImportState.UNDONE, undone)


async def test_an_undo_interrupted_before_its_commit_is_done_later(yard: Yard) -> None:
    await yard.upload(people("ann").decode())
    async with working(yard):
        await yard.reaches(1, ImportState.COMPLETED)
    await yard.queue.undo("acme", 1, by="operator")
    assert await yard.queue.claim("acme", 1)
    await recover(yard.queue, yard.closing, yard.folder, yard.users, known_end, archive=yard.archive)
    async with working(yard):
        await yard.reaches(1, ImportState.UNDONE)


async def test_imports_wait_while_the_disk_is_full_and_their_message_says_so(yard: Yard) -> None:
    await yard.upload(people("ann").decode())
    await yard.upload(people("bob").decode(), "globex")
    full = {"acme"}
    starter = Starter(
        yard.folder,
        yard.users,
        yard.settings_of,
        yard.clock,
        yard.queue.checksums,
        why_not_stored=lambda tenant: "the disk of the server is full" if tenant in full else None,
        archive=yard.archive,
    )
    worker = Worker(yard.queue, yard.closing, starter)
    worker.start()
    try:
        await yard.reaches(1, ImportState.COMPLETED, "globex")
        entry = await found(yard.queue, 1)
        assert (entry.state, entry.attempts) == (ImportState.QUEUED, 0)
        assert entry.message == "Not yet: the disk of the server is full. The server tries again."
        full.clear()
        await yard.reaches(1, ImportState.COMPLETED)
    finally:
        await worker.stop(0)
