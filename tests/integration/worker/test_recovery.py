"""How a start of the server repairs what the previous process left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from ground.moments import utc_now
from importer.errors import TryAgain
from importer.model import ImportState, Outcome
from importer.queue.entry import Entry
from importer.users.users import Users
from importer.worker.closing import FAILED_KEPT
from importer.worker.recovery import STARTS, recover, remove_leftovers
from server.files.hooks import Upload
from server.files.shared import spool
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.queues import NOON, House, found, open_house, outcome, promise, run_to
from tests.support.sftp import sftp_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, "acme") as built:
        yield built


async def start(house: House, applied: Outcome | None = None) -> None:
    async def known_end(users: Users, entry: Entry) -> Outcome | None:
        return applied

    await recover(house.queue, house.closing, house.folder, house.users, known_end, archive=house.archive)
    await remove_leftovers(house.queue, "acme", house.folder(), house.archive)


async def state(house: House, import_id: int) -> ImportState:
    return (await found(house.queue, import_id)).state


async def test_a_file_that_became_visible_is_queued(house: House) -> None:
    house.put(await promise(house.queue), "a\n")
    await start(house)
    assert await state(house, 1) is ImportState.QUEUED
    assert house.copy(1) is not None


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_file_that_did_not_become_visible_is_aborted(house: House, dry_run: bool) -> None:
    house.put(await promise(house.queue, dry_run=dry_run), "old\n", dry_run=dry_run)
    await house.queue.landed("acme", 1)
    number = await promise(house.queue, dry_run=dry_run)
    house.stored.keep_copy("acme", number, b"new\n")
    await start(house)
    assert await state(house, number) is ImportState.ABORTED
    assert house.copy(number) is None
    assert house.shown(number)["state"] == "aborted"
    assert await state(house, 1) is ImportState.QUEUED


async def test_an_import_applied_before_the_server_stopped_is_the_newest(house: House) -> None:
    await run_to(house.queue, await house.upload(), ImportState.COMPLETED)
    await house.queue.claim("acme", await house.upload())
    house.closing.clock = lambda: NOON - timedelta(days=7)
    await start(house, outcome(ImportState.COMPLETED))
    assert [entry.id for entry in await house.queue.applied("acme", 9)] == [2, 1]
    assert (await house.queue.undo("acme", None, by="operator")).id == 2


async def test_a_recovery_that_was_interrupted_is_finished_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def known_end(users: Users, entry: Entry) -> Outcome | None:
        return None

    async def full(*arguments: Any, **named: Any) -> bool:
        raise TryAgain("disk_full", "the disk is full")

    async def again() -> None:
        await recover(house.queue, house.closing, house.folder, house.users, known_end, left, archive=house.archive)

    first = await promise(house.queue)
    house.put(first, "first\n")
    second = await promise(house.queue)
    house.stored.keep_copy("acme", second, b"second\n")
    left, end_upload = await house.queue.cut_off(), house.queue.end_upload
    monkeypatch.setattr(house.queue, "end_upload", full)
    with pytest.raises(TryAgain):
        await again()
    monkeypatch.setattr(house.queue, "end_upload", end_upload)
    assert await house.queue.claim("acme", first)
    await again()
    assert await state(house, first) is ImportState.RUNNING, "it began in between"
    assert await state(house, second) is ImportState.ABORTED
    await again()


async def test_a_promise_without_a_copy_is_aborted(house: House) -> None:
    number = await promise(house.queue)
    await start(house)
    assert await state(house, number) is ImportState.ABORTED


@pytest.mark.only_on("sqlite", "it is about files on a disk without links")
async def test_without_links_a_file_with_the_same_bytes_is_the_same(house: House) -> None:
    number = await promise(house.queue)
    house.stored.keep_copy("acme", number, b"same\n")
    house.stored.publish("acme", "/sync_users.csv", b"same\n")
    await start(house)
    assert await state(house, number) is ImportState.QUEUED


@pytest.mark.only_on("sqlite", "it is about files on a disk without links")
async def test_without_links_a_file_with_other_bytes_is_another(house: House) -> None:
    number = await promise(house.queue)
    copy, visible = house.folder().copy(number), house.folder().visible("/sync_users.csv")
    for file, text in ((copy, "new\n"), (visible, "old\n")):
        file.write_text(text)
        os.utime(file, (1e9, 1e9))  # the same size and time
    await start(house)
    assert await state(house, number) is ImportState.ABORTED


async def test_an_import_applied_by_its_last_start_is_not_given_up(house: House) -> None:
    await house.upload()
    for applied in (*[None] * (STARTS - 1), outcome(ImportState.COMPLETED, created=4)):
        await house.queue.claim("acme", 1)
        await start(house, applied)
    assert await state(house, 1) is ImportState.COMPLETED
    assert house.shown(1)["counts"]["created"] == 4


async def test_an_import_that_was_applied_is_closed_not_run_again(house: House) -> None:
    await house.queue.claim("acme", await house.upload())
    await start(house, outcome(ImportState.COMPLETED, created=4))
    assert await state(house, 1) is ImportState.COMPLETED
    assert house.shown(1)["counts"]["created"] == 4


async def test_an_import_that_was_running_is_queued_again_and_the_start_counts(house: House) -> None:
    await house.upload()
    for attempts in range(1, STARTS):
        await house.queue.claim("acme", 1)
        await start(house)
        entry = await found(house.queue, 1)
        assert (entry.state, entry.attempts) == (ImportState.QUEUED, attempts)
    assert house.copy(1) is not None


async def test_an_import_is_given_up_after_five_starts_that_did_not_end(house: House) -> None:
    await house.upload()
    for _ in range(STARTS):
        await house.queue.claim("acme", 1)
        await start(house)
    report = (await found(house.queue, 1)).report()
    assert report.state is ImportState.FAILED
    assert [problem.code for problem in report.messages] == ["gave_up"]
    assert house.shown(1)["messages"][0]["code"] == "gave_up"


async def test_a_second_recovery_changes_nothing(house: House) -> None:
    house.put(await promise(house.queue), "a\n")
    await promise(house.queue)
    await start(house)
    before = [entry.report() for entry in await house.queue.page("acme")]
    await start(house)
    assert [entry.report() for entry in await house.queue.page("acme")] == before


async def test_files_that_no_import_needs_are_removed(house: House) -> None:
    for ended in (ImportState.COMPLETED, ImportState.HELD, ImportState.HELD):
        await run_to(house.queue, await house.upload(), ended)
    await house.queue.discard("acme", 2, by="an owner")
    await run_to(house.queue, await house.upload(dry_run=True), ImportState.COMPLETED)
    waiting = await house.upload()
    for name in ("uploads/99.csv", "uploads/1.csv.tmp", "messages/7.jsonl"):
        house.stored.keep("acme", name, b"")
    unfinished = house.folder().messages / ".7.jsonl.new"
    unfinished.touch()
    await start(house)
    assert house.stored.kept_names("acme", "uploads") == {"1.csv", "3.csv", f"{waiting}.csv"}
    assert house.stored.kept_names("acme", "messages") == {"7.jsonl"}
    assert not unfinished.exists()


async def test_only_the_newest_copies_of_failed_imports_survive_a_crash(house: House) -> None:
    failed = [await house.upload() for _ in range(FAILED_KEPT + 2)]
    for number in failed:
        await run_to(house.queue, number, ImportState.FAILED)
    await start(house)
    assert [number for number in failed if house.copy(number) is not None] == failed[2:]


# Uploads in progress when the server was killed


@pytest.mark.parametrize(
    ("path", "hears"),
    [
        ("sync_users.csv", "real"),
        ("sync_users.csv.filepart", "real"),
        ("test/sync_users.csv", "dry"),
        ("other.csv", None),
    ],
)
@pytest.mark.logs("upload_aborted")
async def test_an_upload_interrupted_by_a_crash_is_reported_to_its_hook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, hears: str | None
) -> None:
    monkeypatch.setattr(spool, "NOTED_EVERY_S", 0.0)
    async with sftp_house(tmp_path) as side, side.client() as sftp:
        file = await sftp.open(path, "wb")
        await file.write(b"half")
        written_at = utc_now()
        await side.listener._sessions.follow_copies()
        found = await side.begin_anew()
        if chosen_engine() == EMBEDDED:  # in others, it is noted in the database if it is for a hook
            assert (found, side.staged()) == (1, [])
        else:
            assert found == (0 if hears is None else 1)
        told = {name: list(hook.heard) for name, hook in (("real", side.real), ("dry", side.dry)) if hook.heard}
        assert [*told] == ([hears] if hears else [])
        for (event, upload), *others in told.values():
            assert (event, others) == ("aborted", [])
            assert upload == Upload("acme", f"/{path}", 4, None, upload.uploaded_at, "close")
            assert abs(upload.uploaded_at - written_at) < timedelta(minutes=1)


async def test_an_upload_in_the_queue_is_not_reported_again_after_a_crash(tmp_path: Path) -> None:
    async with sftp_house(tmp_path) as side, side.client() as sftp:
        await send(sftp, "sync_users.csv")
        side.real.placed.clear()
        side.real.may_land.clear()
        landing = asyncio.ensure_future(send(sftp, "sync_users.csv"))
        await side.real.placed.wait()
        starting = asyncio.ensure_future(side.begin_anew())
        if chosen_engine() == EMBEDDED:  # in others, it waits until the file has landed
            assert await starting == 1  # the first file, until the second one is queued
        side.real.may_land.set()
        await landing
        if chosen_engine() != EMBEDDED:
            assert await starting == 0
        assert side.real.events == ["arriving", "landed"] * 2


@pytest.mark.only_on("sqlite", "a start of other engines takes no file away")
@pytest.mark.logs("upload_completed")
async def test_an_upload_renamed_during_a_crash_is_not_reported_as_interrupted(tmp_path: Path) -> None:
    async with sftp_house(tmp_path) as side, side.client() as sftp:
        await send(sftp, "sync_users.csv.filepart")
        side.real.may_arrive.clear()
        renaming = asyncio.ensure_future(sftp.rename("sync_users.csv.filepart", "sync_users.csv"))
        await side.real.arrived.wait()
        left = await side.begin_anew()
        told = side.real.events
        side.real.may_arrive.set()
        with pytest.raises(asyncssh.SFTPError):  # the draft to publish is gone
            await renaming
        assert (left, told) == (1, [])
        assert side.at("sync_users.csv.filepart") == b"whole"


async def send(sftp: asyncssh.SFTPClient, path: str) -> None:
    async with sftp.open(path, "wb") as file:
        await file.write(b"whole")
