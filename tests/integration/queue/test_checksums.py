"""Checksums and their imports: on a real queue with a worker, sent through the hooks."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ground.moments import rfc3339
from importer.model import ImportState, Outcome, Written
from importer.queue.checksum import CHECKSUM_WAIT
from importer.queue.checksums import KEPT, Waits
from importer.queue.entry import Entry
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.requests import DryRunRequest
from importer.rules.settings import ImportSettings
from importer.worker import worker as worker_module
from importer.worker.attempt import Later, RunImport, Starter, known_end
from importer.worker.recovery import recover
from importer.worker.worker import Worker
from server.files.hooks import HookRefused, Upload
from server.hooks.import_hook import ChecksumHook
from tests.support.importing import people
from tests.support.queues import NOON, House, found, open_house, promise
from tests.support.waiting import eventually

STAFF = people("ann", "bob", "cy", "di").decode()
SHORTER = people("ann", "bob", "cy").decode()
CUT = Written(2, 10, 10, foreign=False)


class Yard(House):
    """A house with checksums: the test sets whether one is required, and the clock."""

    settings = ImportSettings()
    now = NOON
    ran = 0.0
    asked = 0

    def pass_on(self, time: timedelta) -> None:
        """Let this much time pass on both clocks: the one that can be set (`now`) and the monotonic one (`ran`)."""
        self.now += time
        self.ran += time.total_seconds()

    async def settings_of(self, tenant: str) -> ImportSettings:
        self.asked += 1
        return self.settings

    async def looked_again(self) -> None:
        """Wait until the worker has looked at the waiting imports twice: the second look begins after the call."""
        before = self.asked
        await eventually(lambda: self.asked >= before + 2, what="the worker to look again")

    async def requeue(self, import_id: int) -> None:
        """Queue an import again, to be retried later than now."""

        async def later() -> bool:
            entry = await found(self.queue, import_id)
            return entry.state is ImportState.QUEUED and entry.not_before > self.now.timestamp()

        await eventually(later, what="the import to be queued again")

    @asynccontextmanager
    async def working(self, run: RunImport = run_import) -> AsyncIterator[None]:
        self.queue.checksums.waits = Waits(lambda: self.ran)
        starter = Starter(
            self.folder,
            self.users,
            self.settings_of,
            lambda: self.now,
            self.queue.checksums,
            run,
            archive=self.archive,
        )
        worker = Worker(self.queue, self.closing, starter)
        worker.start()
        try:
            yield
        finally:
            await worker.stop(0)

    async def checksum(self, text: str, *, dry_run: bool = False) -> None:
        """Send the checksum of `text`."""
        await self.send_checksum(f"{hashlib.sha256(text.encode()).hexdigest()}  sync_users.csv\n", dry_run=dry_run)

    async def send_checksum(self, content: str, *, dry_run: bool = False) -> None:
        folder = "/test" if dry_run else ""
        upload = Upload(
            "acme", f"{folder}/sync_users.csv.sha256", len(content), None, datetime.now(UTC), origin="close"
        )
        hook = ChecksumHook(self.queue, self.closing, self.folder, dry_run=dry_run)
        arrival = await hook.arriving(upload)
        staged = self.folder().staging / "sum"
        staged.write_text(content)
        os.link(staged, arrival.copy)
        staged.unlink()
        await hook.landed(upload, arrival)

    async def cut_upload(self, text: str) -> int:
        """Send a file in a way that makes it look cut short."""
        import_id = await self.queue.arriving(
            "acme", "/sync_users.csv", size=len(text), written=CUT, uploaded_at=NOON, dry_run=False
        )
        self.put(import_id, text)
        await self.queue.landed("acme", import_id)
        return import_id

    async def trial(self, text: str) -> int:
        """Test a file on the page."""
        trial = await self.queue.arriving(
            "acme",
            "/test/mine.csv",
            size=9,
            written=None,
            uploaded_at=NOON,
            dry_run=True,
            trial=DryRunRequest("owner"),
        )
        self.stored.keep_copy("acme", trial, text.encode())
        await self.queue.landed("acme", trial)
        return trial

    async def interrupted(self, *, dry_run: bool) -> None:
        """Send an upload that becomes no import."""
        entry = await found(self.queue, await promise(self.queue, dry_run=dry_run))
        await self.closing.end_upload(entry, ImportState.ABORTED, "Interrupted.")

    async def ends(self, import_id: int) -> Entry:
        """Return the import once it has ended or is held."""

        async def ended() -> Entry | None:
            entry = await found(self.queue, import_id)
            return entry if entry.finished_at else None

        entry = await eventually(ended, what=f"the end of import {import_id}")
        assert entry
        return entry

    async def says(self, import_id: int) -> str:
        """Return the message of the import once it is queued with one."""

        async def said() -> str | None:
            entry = await found(self.queue, import_id)
            return entry.message if entry.state is ImportState.QUEUED else None

        message = await eventually(said, what=f"a message of import {import_id}")
        assert message
        return message


@pytest.fixture
async def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    monkeypatch.setattr(worker_module, "LOOK_S", 0.02)
    async with open_house(tmp_path, "acme") as house:
        yield Yard(house.stored, house.store)


def code_of(entry: Entry) -> str:
    assert entry.outcome
    (problem,) = entry.outcome.messages
    return problem.code


REQUIRED = ImportSettings(require_checksum=True)
WHOLE_LISTS = ImportSettings(deactivate_missing=True)


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_import_waits_for_a_required_checksum(yard: Yard, dry_run: bool) -> None:
    yard.settings = REQUIRED
    await yard.upload(STAFF, dry_run=dry_run)
    async with yard.working():
        assert await yard.says(1) == (
            "Waiting for sync_users.csv.sha256 until 2026-03-01 13:00 UTC: require_checksum is on. "
            "Send it to the same folder."
        )
        await yard.checksum(STAFF, dry_run=not dry_run)  # for the other folder
        await yard.checksum(STAFF, dry_run=dry_run)
        ended = await yard.ends(1)
    assert ended.state is ImportState.COMPLETED
    assert ended.message is None


async def test_a_waiting_dry_run_blocks_no_other(yard: Yard) -> None:
    yard.settings = REQUIRED
    await yard.upload(SHORTER, dry_run=True)
    await yard.upload(STAFF)
    await yard.checksum(STAFF)
    async with yard.working():
        assert (await yard.ends(2)).state is ImportState.COMPLETED
        assert (await found(yard.queue, 1)).state is ImportState.QUEUED
        await yard.checksum(SHORTER, dry_run=True)
        assert (await yard.ends(1)).state is ImportState.UNCHANGED


async def test_lists_of_changes_keep_their_order_while_one_waits(yard: Yard) -> None:
    yard.settings = REQUIRED
    await yard.upload(STAFF)
    await yard.upload(SHORTER)
    await yard.checksum(SHORTER)
    async with yard.working():
        await yard.says(1)
        assert (await found(yard.queue, 2)).state is ImportState.QUEUED
        await yard.checksum(STAFF)
        await yard.ends(2)
        assert (await found(yard.queue, 1)).state is ImportState.COMPLETED


async def test_a_required_checksum_may_arrive_before_its_file(yard: Yard) -> None:
    yard.settings = REQUIRED
    await yard.checksum(STAFF)
    await yard.upload(STAFF)
    async with yard.working():
        assert (await yard.ends(1)).state is ImportState.COMPLETED


async def test_an_import_fails_if_its_required_checksum_does_not_arrive_in_time(yard: Yard) -> None:
    yard.settings = REQUIRED
    await yard.upload(STAFF)
    async with yard.working():
        await yard.says(1)
        yard.pass_on(CHECKSUM_WAIT - timedelta(seconds=1))
        await yard.looked_again()
        assert (await found(yard.queue, 1)).state is ImportState.QUEUED
        yard.pass_on(timedelta(seconds=1))
        ended = await yard.ends(1)
    assert ended.state is ImportState.FAILED
    assert code_of(ended) == "checksum_missing"
    assert "60 minutes" in (ended.message or "")


@pytest.mark.parametrize("step", [timedelta(minutes=-1), timedelta(days=-7), timedelta(days=7)])
async def test_a_required_checksum_is_awaited_for_an_hour_whatever_the_clock(yard: Yard, step: timedelta) -> None:
    yard.settings = REQUIRED
    await yard.upload(STAFF)
    async with yard.working():
        await yard.says(1)
        yard.now += step
        yard.pass_on(CHECKSUM_WAIT - timedelta(seconds=1))
        await yard.looked_again()
        waiting = await found(yard.queue, 1)
        assert waiting.state is ImportState.QUEUED
        assert f"until {rfc3339(NOON + step + CHECKSUM_WAIT)[:10]}" in (waiting.message or "")
        yard.pass_on(timedelta(seconds=1))
        assert code_of(await yard.ends(1)) == "checksum_missing"


async def test_after_a_restart_with_an_earlier_clock_the_wait_is_an_hour_at_most(yard: Yard) -> None:
    yard.settings = REQUIRED
    await yard.upload(STAFF)
    async with yard.working():
        await yard.says(1)
    yard.now -= timedelta(days=7)
    async with yard.working():
        await yard.looked_again()
        assert (await found(yard.queue, 1)).state is ImportState.QUEUED
        yard.pass_on(CHECKSUM_WAIT)
        assert code_of(await yard.ends(1)) == "checksum_missing"


async def test_an_import_no_longer_waits_when_the_setting_is_turned_off(yard: Yard) -> None:
    yard.settings = REQUIRED
    await yard.upload(STAFF)
    async with yard.working():
        await yard.says(1)
        yard.settings = ImportSettings()
        assert (await yard.ends(1)).state is ImportState.COMPLETED


@pytest.mark.parametrize("settings", [ImportSettings(), REQUIRED])
async def test_a_file_that_does_not_match_its_checksum_changes_nothing(yard: Yard, settings: ImportSettings) -> None:
    yard.settings = settings
    await yard.checksum(STAFF)
    await yard.upload(SHORTER)
    async with yard.working():
        ended = await yard.ends(1)
    assert ended.state is ImportState.FAILED
    assert code_of(ended) == "checksum_differs"
    assert hashlib.sha256(STAFF.encode()).hexdigest()[:12] in (ended.message or "")
    assert yard.shown(1)["state"] == "failed"
    assert await yard.users().highest_import() == 0, "no import was applied"


async def test_the_newest_of_several_differing_checksums_is_named(yard: Yard) -> None:
    older, newer = people("eve").decode(), people("fay").decode()
    for text in (older, newer):
        await yard.checksum(text)
    await yard.upload(STAFF)
    async with yard.working():
        message = (await yard.ends(1)).message or ""
    assert f", not {hashlib.sha256(newer.encode()).hexdigest()[:12]}. " in message


@pytest.mark.parametrize("between", ["trial", "interrupted"])
async def test_a_test_or_interrupted_upload_does_not_separate_a_checksum_and_file(yard: Yard, between: str) -> None:
    for dry_run in (False, True):
        await yard.checksum(STAFF, dry_run=dry_run)
        if between == "trial":
            await yard.trial(STAFF)
        else:
            await yard.interrupted(dry_run=dry_run)
        number = await yard.upload(SHORTER, dry_run=dry_run)
        async with yard.working():
            ended = await yard.ends(number)
        assert (ended.state, code_of(ended)) == (ImportState.FAILED, "checksum_differs")


async def test_a_checksum_that_made_one_import_fail_fails_no_other(yard: Yard) -> None:
    await yard.checksum(STAFF)
    await yard.upload(SHORTER)
    async with yard.working():
        assert (await yard.ends(1)).state is ImportState.FAILED
        await yard.upload(SHORTER + "Eve,Smith,eve@example.com\n")
        assert (await yard.ends(2)).state is ImportState.COMPLETED


async def test_the_checksum_of_the_previous_file_does_not_fail_the_next(yard: Yard) -> None:
    await yard.upload(STAFF)
    async with yard.working():
        await yard.ends(1)
        await yard.checksum(STAFF)
        await yard.upload(SHORTER)
        assert (await yard.ends(2)).state is ImportState.UNCHANGED


async def test_the_previous_file_fails_with_the_checksum_of_the_next(yard: Yard) -> None:
    async with yard.working():
        await yard.upload(STAFF)
        await yard.ends(1)
        await yard.checksum(STAFF)
        await yard.checksum(SHORTER)
        await yard.upload(STAFF)
        ended = await yard.ends(2)
    assert (ended.state, code_of(ended)) == (ImportState.FAILED, "checksum_differs")


async def test_a_test_is_neither_compared_nor_read_before_it_starts(yard: Yard) -> None:
    yard.settings = REQUIRED
    begun, go = asyncio.Event(), asyncio.Event()

    async def waiting_for_us(job: Job, *args: Any, **options: Any) -> Outcome:
        begun.set()
        await go.wait()
        return await run_import(job, *args, **options)

    await yard.checksum(STAFF)
    await yard.upload(STAFF)
    trial = await yard.trial(SHORTER)
    async with yard.working(waiting_for_us):
        await begun.wait()
        waits = await found(yard.queue, trial)
        go.set()
        ended = await yard.ends(trial)
    assert (waits.state, waits.report().file.sha256) == (ImportState.QUEUED, None)
    assert ended.state is ImportState.UNCHANGED


def unreadable(file: Path) -> str:
    """Replaces `_hash_of`: a disk that fails."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


HASH_OF = "importer.queue.checksums._hash_of"


@pytest.mark.parametrize("required", [True, False])
async def test_an_import_whose_file_cannot_be_read_for_its_checksum_waits(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, required: bool
) -> None:
    yard.settings = ImportSettings(require_checksum=required)
    await yard.upload(STAFF)
    await yard.checksum(SHORTER)
    tries = []

    def fail(file: Path) -> str:
        tries.append(file)
        return unreadable(file)

    with monkeypatch.context() as broken:
        broken.setattr(HASH_OF, fail)
        async with yard.working():
            for times in (1, 2, 3):
                await eventually(lambda times=times: len(tries) >= times, what="a try")
                await yard.requeue(1)
                assert "cannot read the file to compare it with its checksum" in await yard.says(1)
                yard.pass_on(timedelta(minutes=6))
    yard.pass_on(timedelta(minutes=6))
    async with yard.working():
        assert code_of(await yard.ends(1)) == "checksum_differs"


async def test_an_import_whose_file_cannot_be_read_for_an_hour_fails(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HASH_OF, unreadable)
    yard.settings = REQUIRED
    await yard.upload(STAFF)
    async with yard.working():
        assert "cannot read the file" in await yard.says(1)
        await yard.requeue(1)
        yard.pass_on(CHECKSUM_WAIT)
        entry = await yard.ends(1)
    assert (entry.state, code_of(entry)) == (ImportState.FAILED, "checksum_unread")


async def test_a_test_runs_even_if_its_file_cannot_be_read_for_a_checksum(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HASH_OF, unreadable)
    yard.settings = REQUIRED
    trial = await yard.trial(STAFF)
    async with yard.working():
        assert (await yard.ends(trial)).state is ImportState.COMPLETED


async def test_an_undo_does_not_wait_for_a_checksum(yard: Yard) -> None:
    async with yard.working():
        await yard.upload(STAFF)
        await yard.ends(1)
        yard.settings = REQUIRED
        await yard.queue.undo("acme", 1, by="operator")

        async def undone() -> bool:
            return (await found(yard.queue, 1)).state is ImportState.UNDONE

        await eventually(undone, what="the import to be undone")


async def test_an_import_waits_for_a_checksum_that_became_required_before_its_start(yard: Yard) -> None:
    await yard.upload(STAFF)
    entry = await yard.queue.claim("acme", 1)
    assert entry
    yard.queue.checksums.waits.left(entry, NOON)
    entry = replace(entry, file=replace(entry.file, sha256=hashlib.sha256(STAFF.encode()).hexdigest()))
    yard.settings = REQUIRED
    starter = Starter(
        yard.folder, yard.users, yard.settings_of, lambda: yard.now, yard.queue.checksums, archive=yard.archive
    )
    assert await starter.attempt(entry, progress=lambda _: None, stopping=lambda: False) == Later()
    assert await yard.users().highest_import() == 0, "it did not run"


@pytest.mark.only_on("sqlite", "the file of users is away for a while")
@pytest.mark.parametrize("against", ["differs", "missing"])
async def test_a_checksum_that_arrives_later_does_not_fail_an_applied_import(yard: Yard, against: str) -> None:
    await yard.upload(STAFF)
    entry = await yard.queue.claim("acme", 1)
    assert entry
    folder = yard.folder()
    job = Job("acme", 1, folder.copy(1), "sync_users.csv", False, None, None, NOON)
    await run_import(job, yard.users(), yard.settings, folder.messages)
    aside = folder.root / "aside.db"
    folder.users_db.rename(aside)  # the server was killed, and the users are missing at its next start
    await recover(yard.queue, yard.closing, yard.folder, yard.users, known_end, archive=yard.archive)
    aside.rename(folder.users_db)
    assert (await found(yard.queue, 1)).state is ImportState.QUEUED
    if against == "differs":
        await yard.checksum(SHORTER)
    else:
        yard.settings, yard.now = REQUIRED, NOON + CHECKSUM_WAIT
    async with yard.working():
        ended = await yard.ends(1)
    assert ended.state is ImportState.COMPLETED
    assert ended.report().counts.created == 4


async def test_the_checksum_of_a_superseded_file_does_not_fail_the_next(yard: Yard) -> None:
    yard.settings = WHOLE_LISTS
    await yard.upload(SHORTER)
    await yard.checksum(SHORTER)
    await yard.upload(STAFF)
    async with yard.working():
        assert (await yard.ends(2)).state is ImportState.COMPLETED
    assert (await found(yard.queue, 1)).state is ImportState.SUPERSEDED


@pytest.mark.logs("checksum_landed")
async def test_a_matching_checksum_clears_possibly_truncated(yard: Yard) -> None:
    yard.settings = WHOLE_LISTS
    async with yard.working():
        await yard.upload(STAFF)
        await yard.ends(1)
        await yard.cut_upload(SHORTER)
        assert (await yard.ends(2)).state is ImportState.HELD
        await yard.checksum(people("ann", "bob", "di").decode())
        await yard.cut_upload(people("ann", "bob", "di").decode())
        ended = await yard.ends(3)
    assert ended.state is ImportState.COMPLETED
    assert ended.outcome
    assert ended.outcome.counts.deactivated_absent == 1


async def test_a_held_import_runs_when_its_checksum_arrives_later(yard: Yard) -> None:
    yard.settings = WHOLE_LISTS
    async with yard.working():
        await yard.upload(STAFF)
        await yard.ends(1)
        await yard.cut_upload(SHORTER)
        assert (await yard.ends(2)).state is ImportState.HELD
        await yard.checksum(SHORTER)

        async def completed() -> bool:
            return (await found(yard.queue, 2)).state is ImportState.COMPLETED

        await eventually(completed, what="the held import to be applied")
    assert (await found(yard.queue, 2)).decided_by is None


async def test_a_checksum_that_proves_nothing_leaves_an_import_held(yard: Yard) -> None:
    yard.settings = WHOLE_LISTS
    async with yard.working():
        await yard.upload(STAFF)
        await yard.ends(1)
        await yard.cut_upload(SHORTER)
        held = await yard.ends(2)
    await yard.checksum(people("eve").decode())
    await yard.checksum(SHORTER, dry_run=True)  # for the file in the other folder
    assert await found(yard.queue, 2) == held
    assert held.state is ImportState.HELD


@pytest.mark.parametrize(
    ("sent", "state", "starts"),
    [(SHORTER, ImportState.COMPLETED, 2), (STAFF + "E,Smith,e@example.com\n", ImportState.FAILED, 1)],
    ids=["fits", "differs"],
)
async def test_a_checksum_that_arrives_while_its_import_runs_counts(
    yard: Yard, sent: str, state: ImportState, starts: int
) -> None:
    yard.settings = WHOLE_LISTS
    runs = 0

    async def slowly(job: Job, *args: Any, **options: Any) -> Outcome:
        nonlocal runs
        outcome = await run_import(job, *args, **options)
        if job.import_id == 2:
            runs += 1
            if runs == 1:
                await yard.checksum(sent)
        return outcome

    async with yard.working(slowly):
        await yard.upload(STAFF)
        await yard.ends(1)
        await yard.cut_upload(SHORTER)
        assert (await yard.ends(2)).state is state
    assert runs == starts


async def test_a_checksum_waives_no_other_reason(yard: Yard) -> None:
    yard.settings = ImportSettings(deactivate_missing=True, max_deactivations_min=0)
    async with yard.working():
        await yard.upload(STAFF)
        await yard.ends(1)
        await yard.cut_upload(SHORTER)
        first = await yard.ends(2)
        await yard.checksum(SHORTER)

        async def held_again() -> Entry | None:
            entry = await found(yard.queue, 2)
            return entry if entry.state is ImportState.HELD and entry.finished_at != first.finished_at else None

        again = await eventually(held_again, what="the import to be held again")
    assert again
    assert again.outcome
    assert again.outcome.guard
    assert [reason.value for reason in again.outcome.guard.reasons] == ["too_many_deactivations"]


async def test_an_invalid_checksum_file_is_refused_and_leaves_nothing(yard: Yard) -> None:
    with pytest.raises(HookRefused, match="sha256sum"):
        await yard.send_checksum("hello\n")
    with pytest.raises(HookRefused, match="one line"):
        await yard.send_checksum("x" * 100_000)
    await yard.upload(STAFF)
    async with yard.working():
        assert (await yard.ends(1)).state is ImportState.COMPLETED


async def test_only_the_newest_checksums_of_a_folder_are_stored(yard: Yard) -> None:
    for number in range(KEPT + 5):
        await yard.checksum(str(number))
    stored = yard.stored.everything()
    kept = [number for number in range(KEPT + 5) if hashlib.sha256(str(number).encode()).hexdigest() in stored]
    assert kept == [*range(5, KEPT + 5)]
    assert yard.stored.kept_names("acme", "uploads") == set()
