"""Files land at a hook once, complete and in order, and no older file is lost. Other changes do not land."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import FXF_CREAT, FXF_EXCL, FXF_WRITE

from importer.model import Written
from server.files.contracts import TenantLimits
from server.files.hooks import HookRefused, Upload
from server.files.local import changes
from server.files.local.at_once import SHORT_FILE
from server.files.local.space import Space
from server.files.paths import parse_path
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.disk import DiskLog
from tests.support.keypairs import public_line
from tests.support.sftp import SftpHouse, answer_to
from tests.support.waiting import eventually, wait_until

ONE = b"email\nada@example.org\n"
TWO = b"email\ngrace@example.org\nada@example.org\n"
BEFORE = b"email\nlinus@example.org\n"
LANDED = ["arriving", "landed"]
TWINS = "in no other engine a file has two names"
STEPS = "it is about the calls to the disk"
MEASURED = "it is about the moment at which a folder on the disk is measured"


async def put(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    async with sftp.open(path, "wb") as file:
        await file.write(content)


async def test_the_old_file_stays_complete_and_the_new_one_unseen_until_the_close(house: SftpHouse) -> None:
    async with house.client() as sftp, house.client() as other:
        await put(sftp, "sync_users.csv", ONE)
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(TWO)
        await file.fsync()
        assert house.visible == ONE
        assert sorted(await other.listdir()) == [".", "..", "results", "sync_users.csv", "test"]
        assert (await other.stat("sync_users.csv")).size == len(ONE)
        reader = await other.open("sync_users.csv", "rb")
        await file.close()
        assert house.visible == TWO
        assert await reader.read() == ONE
    assert house.real.events == LANDED * 2
    assert house.real.kept() == [ONE, TWO]


async def test_the_hook_gets_the_facts_of_an_upload(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "/test/../sync_users.csv", ONE)
    upload = house.real.last
    assert (upload.tenant, upload.path, upload.size, upload.origin) == ("acme", "/sync_users.csv", len(ONE), "close")
    assert upload.written == Written(1, len(ONE), len(ONE), foreign=False)
    assert timedelta(0) <= datetime.now(UTC) - upload.uploaded_at < timedelta(minutes=1)


async def test_the_test_folder_has_a_hook_of_its_own_and_files_move_between_both(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "test/sync_users.csv", ONE)
        assert (house.dry.events, house.real.events) == (LANDED, [])
        await sftp.posix_rename("test/sync_users.csv", "sync_users.csv")
        assert (house.dry.events, house.real.events) == (LANDED, LANDED)
        await sftp.rename("sync_users.csv", "test/sync_users.csv")
        assert (house.dry.events, house.real.events) == (LANDED * 2, LANDED)


@pytest.mark.parametrize("how", ["rename", "posix_rename"])
async def test_a_rename_lands_with_the_record_of_the_upload(house: SftpHouse, how: str) -> None:
    async with house.client() as sftp:
        await put(sftp, "part", ONE)
        await getattr(sftp, how)("part", "sync_users.csv")
    assert house.real.events == LANDED
    assert house.real.last.origin == "rename"
    assert house.real.last.written == Written(1, len(ONE), len(ONE), foreign=False)
    assert house.visible == ONE
    assert house.at("part") is None


def contents(house: SftpHouse) -> dict[str, bytes]:
    """Return the files at the top of the tenant's folder, by name."""
    return {name: content for name in house.names() if (content := house.at(name)) is not None}


MEANWHILE: dict[str, Callable[[asyncssh.SFTPClient], Awaitable[object]]] = {
    "replaced": lambda sftp: put(sftp, "part", TWO),
    "replaced by a rename": lambda sftp: sftp.posix_rename("other", "part"),
    "removed": lambda sftp: sftp.remove("part"),
    "moved away": lambda sftp: sftp.rename("part", "moved"),
    "moved away and sent again": lambda sftp: moved_away_and_sent_again(sftp),
    "made a folder": lambda sftp: made_a_folder(sftp),
}


async def moved_away_and_sent_again(sftp: asyncssh.SFTPClient) -> None:
    await sftp.rename("part", "moved")
    await put(sftp, "part", TWO)


async def made_a_folder(sftp: asyncssh.SFTPClient) -> None:
    await sftp.remove("part")
    await sftp.mkdir("part")


BESIDE = {
    "replaced": {"part": TWO, "other": TWO},
    "replaced by a rename": {"part": TWO},
    "removed": {"other": TWO},
    "moved away": {"moved": ONE, "other": TWO},
    "moved away and sent again": {"moved": ONE, "part": TWO, "other": TWO},
    "made a folder": {"other": TWO},
}
"""The files beside that of the hook, if the change happens while `part` is there."""


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("step", ["arriving", "landed"])
@pytest.mark.parametrize("refusal", [None, "this is not a list"])
async def test_a_renamed_file_lands_although_its_old_name_changes_meanwhile(
    house: SftpHouse, meanwhile: str, step: str, refusal: str | None
) -> None:
    begun, may_go_on = {
        "arriving": (house.real.arrived, house.real.may_arrive),
        "landed": (house.real.placed, house.real.may_land),
    }[step]
    async with house.client() as sftp, house.client() as other:
        await put(sftp, "sync_users.csv", BEFORE)
        await put(sftp, "part", ONE)
        await put(sftp, "other", TWO)
        house.real.fail_landed = HookRefused(refusal) if refusal else None
        begun.clear()
        may_go_on.clear()
        renaming = asyncio.ensure_future(answer_to(sftp.posix_rename("part", "sync_users.csv")))
        await begun.wait()
        changing = asyncio.ensure_future(answer_to(MEANWHILE[meanwhile](other)))
        try:
            await done_or_waiting(house, changing)
            waits = not changing.done()
        finally:
            may_go_on.set()
        assert await renaming == (refusal or "OK")
        # A change that waits finds no old name, if the file has landed.
        late = waits and not refusal and not meanwhile.startswith("replaced")
        assert await changing == ("No such file or directory" if late else "OK")
        # A placed file is visible; after a refusal the old file is back.
        beside = {"other": TWO} if late else BESIDE[meanwhile]
        assert contents(house) == beside | {"sync_users.csv": BEFORE if refusal else ONE}
        assert await house.counts_truly()
    assert house.staged() == []
    assert house.real.events == [*LANDED, "arriving", "failed" if refusal else "landed"]
    assert house.real.last.size == len(ONE)
    assert refusal or house.real.kept()[-1] == ONE


async def done_or_waiting(house: SftpHouse, change: asyncio.Future[Any]) -> None:
    """Wait until the change of another session has ended, or waits for the landing of a file."""
    (files,) = house.listener._sessions._opened.values()
    lock = files.landing if chosen_engine() == EMBEDDED else files._one_change
    await eventually(lambda: change.done() or lock._waiters, what="the other session to end or to wait")


@asynccontextmanager
async def twins(house: SftpHouse) -> AsyncIterator[asyncssh.SFTPClient]:
    """Yield a client while one file has two names: it was moved away while its rename to the hook's path landed."""
    async with house.client() as sftp, house.client() as other:
        await put(sftp, "part", ONE)
        house.real.may_arrive.clear()
        renaming = asyncio.ensure_future(sftp.posix_rename("part", "sync_users.csv"))
        await house.real.arrived.wait()
        await other.rename("part", "moved")
        house.real.may_arrive.set()
        await renaming
        yield sftp


@pytest.mark.only_on("sqlite", TWINS)
@pytest.mark.parametrize(("old", "new"), [("moved", "sync_users.csv"), ("sync_users.csv", "moved")])
async def test_a_file_under_two_names_loses_the_one_it_is_renamed_from(house: SftpHouse, old: str, new: str) -> None:
    async with twins(house) as sftp:
        await sftp.posix_rename(old, new)
        assert contents(house) == {new: ONE}
        assert await house.counts_truly()
    assert house.staged() == []


@pytest.mark.only_on("sqlite", TWINS)
async def test_a_file_under_two_names_keeps_both_if_its_rename_is_refused(house: SftpHouse) -> None:
    async with twins(house) as sftp:
        house.real.fail_landed = HookRefused("this is not a list")
        with pytest.raises(asyncssh.SFTPFailure, match="this is not a list"):
            await sftp.posix_rename("moved", "sync_users.csv")
        assert contents(house) == {"moved": ONE, "sync_users.csv": ONE}
        assert await house.counts_truly()
    assert house.staged() == []


@pytest.mark.parametrize("path", ["sync_users.csv", "test/sync_users.csv"])
async def test_a_plain_rename_to_a_hook_replaces_the_older_file(house: SftpHouse, path: str) -> None:
    """curl, psftp, phpseclib, paramiko and others send a plain rename every day, also when the file exists."""
    heard = house.dry if path.startswith("test/") else house.real
    async with house.client() as sftp:
        for content in (ONE, TWO, ONE):
            await put(sftp, "part", content)
            await sftp.rename("part", path)
        await sftp.rename(path, path)
        assert await house.counts_truly()
    assert heard.events == LANDED * 3
    assert house.at(path) == ONE
    assert heard.kept() == [ONE, TWO, ONE]
    assert house.at("part") is None


async def test_a_plain_rename_elsewhere_replaces_nothing(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "file", ONE)
        await put(sftp, "part", TWO)
        await sftp.mkdir("folder")
        with pytest.raises(asyncssh.SFTPFailure, match="already"):
            await sftp.rename("part", "file")
        await put(sftp, "sync_users.csv", ONE)
        with pytest.raises(asyncssh.SFTPFailure, match="already"):
            await sftp.rename("folder", "sync_users.csv")
        await sftp.posix_rename("sync_users.csv", "sync_users.csv")
    assert house.real.events == LANDED
    assert house.at("file") == ONE
    assert house.at("part") == TWO
    assert house.visible == ONE


@pytest.mark.parametrize("path", ["/", "/test", "/results", "/folder"])
async def test_making_an_existing_folder_fails_with_a_plain_message(house: SftpHouse, path: str) -> None:
    async with house.client() as sftp:
        await sftp.mkdir("folder")
        with pytest.raises(asyncssh.SFTPFailure, match="a file or folder of this name already exists"):
            await sftp.mkdir(path)
        await sftp.makedirs(path, exist_ok=True)


@pytest.mark.parametrize("path", ["/", "/test", "/results"])
async def test_times_and_modes_of_the_folders_of_the_server_are_accepted_and_ignored(
    house: SftpHouse, path: str
) -> None:
    async with house.client() as sftp:
        before = await sftp.stat(path)
        await sftp.utime(path, (1, 1))
        await sftp.chmod(path, 0o777)
        await sftp.setstat(path, asyncssh.SFTPAttrs(uid=0, gid=0))
        after = await sftp.stat(path)
    assert (after.mtime, after.permissions) == (before.mtime, before.permissions)


async def test_a_file_without_a_record_of_its_writes_lands(house: SftpHouse) -> None:
    house.publish("by_hand", ONE)
    async with house.client() as sftp:
        await sftp.rename("by_hand", "sync_users.csv")
    assert house.real.events == LANDED
    assert house.real.last.written is None


async def test_appending_and_writing_in_the_middle_work_on_a_copy(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "sync_users.csv", ONE)
        async with sftp.open("sync_users.csv", "ab") as file:
            await file.write(b"linus@example.org\n")
        async with sftp.open("sync_users.csv", "r+b") as file:
            await file.write(b"EMAIL", 0)
            assert await file.read(5, 0) == b"EMAIL"
    assert house.real.kept() == [
        ONE,
        ONE + b"linus@example.org\n",
        b"EMAIL" + ONE[5:] + b"linus@example.org\n",
    ]
    assert all(upload.written is not None and upload.written.foreign for _, upload in house.real.heard[2:])


async def test_appending_ignores_the_offset_of_a_write(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "log", b"one")
        async with sftp.open("log", "ab") as file:
            await file.write(b" two", 0)
            await file.write(b" three", 1)
    assert house.at("log") == b"one two three"


async def test_a_change_of_size_by_path_lands(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "sync_users.csv", TWO)
        await sftp.truncate("sync_users.csv", 6)
        assert house.real.events == LANDED * 2
        assert (house.real.last.origin, house.real.last.size) == ("resize", 6)
        assert house.visible == TWO[:6]
        assert house.real.kept()[0] == TWO
        await sftp.truncate("sync_users.csv", 0)
        assert house.visible == b""
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.truncate("missing", 0)
    assert house.real.events == LANDED * 3


async def test_a_handle_that_changed_nothing_starts_no_import(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "sync_users.csv", ONE)
        before = await sftp.stat("sync_users.csv")
        for mode in ("rb", "r+b", "ab"):
            async with sftp.open("sync_users.csv", mode):
                pass
        async with sftp.open("sync_users.csv", "r+b") as file:
            await file.write(b"")
            await file.utime((1_000, 2_000))
            await file.chmod(0o777)
        await sftp.chmod("sync_users.csv", 0o4777)
        await sftp.utime("sync_users.csv", (3_000, 4_000))
        after = await sftp.stat("sync_users.csv")
    assert house.real.events == LANDED
    assert house.stored.shares("acme", "sync_users.csv", 1), "it is the same file"
    assert (after.permissions, after.size) == (before.permissions, before.size)
    assert (after.atime, after.mtime) == (3_000, 4_000)


async def test_times_set_while_nothing_was_written_are_kept(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "file", ONE)
        async with sftp.open("file", "r+b") as file:
            await file.utime((1_000, 2_000))
        assert (await sftp.stat("file")).mtime == 2_000


@pytest.mark.parametrize("mode", ["wb", "ab", "xb"])
async def test_making_the_file_or_emptying_it_is_a_change(house: SftpHouse, mode: str) -> None:
    async with house.client() as sftp, sftp.open("sync_users.csv", mode):
        pass
    assert house.real.events == LANDED
    assert house.real.last.size == 0


async def test_setting_the_size_of_an_open_file_is_a_change(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "sync_users.csv", ONE)
        async with sftp.open("sync_users.csv", "r+b") as file:
            await file.truncate(len(ONE))
    assert house.real.events == LANDED * 2


async def test_an_exclusive_open_fails_if_the_file_exists_at_the_open_or_at_the_close(house: SftpHouse) -> None:
    async with house.client() as sftp:
        handle = await sftp._handler.open(b"sync_users.csv", FXF_WRITE | FXF_CREAT | FXF_EXCL, asyncssh.SFTPAttrs())
        await put(sftp, "sync_users.csv", ONE)
        with pytest.raises(asyncssh.SFTPFailure):
            await sftp._handler.close(handle)
        with pytest.raises(asyncssh.SFTPFailure):
            await sftp.open("sync_users.csv", "xb")
    assert house.visible == ONE
    assert house.real.events == [*LANDED, "aborted"]


async def test_the_last_close_of_two_uploads_is_visible_and_has_the_higher_id(house: SftpHouse) -> None:
    async with house.client() as sftp, house.client() as other:
        for number in range(20):
            first, second = await sftp.open("sync_users.csv", "wb"), await other.open("sync_users.csv", "wb")
            await first.write(b"1" * number)
            await second.write(b"2" * number)
            await asyncio.gather(first.close(), second.close())
            assert house.visible == house.real.last_kept()
    assert house.real.events == LANDED * 40


async def test_other_sessions_read_while_a_hook_takes_its_time(house: SftpHouse) -> None:
    async with house.client() as sftp, house.client() as other:
        await put(sftp, "sync_users.csv", ONE)
        house.real.placed.clear()
        house.real.may_land.clear()
        await put(sftp, "part", TWO)
        landing = asyncio.ensure_future(sftp.posix_rename("part", "sync_users.csv"))
        await house.real.placed.wait()
        async with other.open("sync_users.csv", "rb") as file:
            assert await file.read() in (ONE, TWO)
        assert "sync_users.csv" in await other.listdir()
        assert (await other.statvfs("/")).favail
        assert not landing.done()
        house.real.may_land.set()
        await landing
    assert house.visible == TWO


async def test_other_sessions_continue_while_a_hook_takes_its_time(house: SftpHouse) -> None:
    """In a database, a landing is one transaction: the end of another change of the tenant waits for it."""
    await house.tenants.add("globex", [public_line()])
    house.real.may_arrive.clear()
    async with house.client() as sftp, house.client() as other, house.client(username="globex") as stranger:
        await put(stranger, "file", ONE)
        landing = asyncio.ensure_future(put(sftp, "sync_users.csv", ONE))
        await house.real.arrived.wait()
        file = await other.open("other", "wb")
        await file.write(TWO)
        await put(stranger, "file", TWO)
        ending = asyncio.ensure_future(file.close())
        if chosen_engine() == EMBEDDED:
            await ending
        assert not landing.done()
        house.real.may_arrive.set()
        await landing
        await ending
    assert (house.at("other"), house.stored.visible("globex", "file")) == (TWO, TWO)
    assert house.real.events == LANDED


@pytest.mark.parametrize("how", ["removed", "renamed"])
async def test_a_landing_file_is_removed_or_renamed_only_after_it_has_landed(house: SftpHouse, how: str) -> None:
    async with house.client() as sftp, house.client() as other:
        await other.statvfs("/")
        house.real.may_land.clear()
        landing = asyncio.ensure_future(put(sftp, "sync_users.csv", ONE))
        await house.real.placed.wait()
        taking = other.remove("sync_users.csv") if how == "removed" else other.rename("sync_users.csv", "aside")
        taken = asyncio.ensure_future(taking)
        await done_or_waiting(house, taken)
        assert not taken.done()
        house.real.may_land.set()
        await landing
        await taken
        assert contents(house) == ({} if how == "removed" else {"aside": ONE})
        assert await house.counts_truly()
    assert house.real.events == LANDED


async def test_a_file_lands_although_its_client_disconnects_during_the_landing(house: SftpHouse) -> None:
    house.real.may_arrive.clear()
    async with house.connect() as connection:
        sftp = await connection.start_sftp_client()
        landing = asyncio.ensure_future(put(sftp, "sync_users.csv", ONE))
        await house.real.arrived.wait()
        connection.abort()
        house.real.may_arrive.set()
        await eventually(lambda: house.real.events == LANDED)
        with pytest.raises(asyncssh.Error):
            await landing
    assert house.visible == ONE


async def test_long_files_are_replaced_renamed_and_removed_like_short_ones(house: SftpHouse) -> None:
    long = b"x" * 9_000_000
    async with house.client() as sftp:
        for path in ("a", "a", "b"):
            await put(sftp, path, long)
        await sftp.posix_rename("a", "b")
        await sftp.remove("b")
        for _ in range(2):
            await put(sftp, "sync_users.csv", long)
        broken = await sftp.open("sync_users.csv", "wb")
        await broken.write(long)
    await house.nothing_open()
    assert house.names() == ["results", "sync_users.csv", "test"]
    assert house.real.events == [*LANDED, *LANDED, "aborted"]


# The disk at the time of the client's OK


async def appended(sftp: asyncssh.SFTPClient) -> None:
    async with sftp.open("sync_users.csv", "ab") as file:
        await file.write(TWO)


LANDINGS: dict[str, Callable[[asyncssh.SFTPClient], Awaitable[object]]] = {
    "sent": lambda sftp: put(sftp, "sync_users.csv", TWO),
    "appended to": appended,
    "cut": lambda sftp: sftp.truncate("sync_users.csv", 6),
    "renamed": lambda sftp: sftp.rename("folder/part", "sync_users.csv"),
    "renamed over": lambda sftp: sftp.posix_rename("folder/part", "sync_users.csv"),
}
ON_DISK = [
    *("fsync file", "arriving", "link uploads", "fsync uploads", "rename files", "fsync files"),
    "landed",
]


def slow_flushes(monkeypatch: pytest.MonkeyPatch, disk: DiskLog, file: Path) -> None:
    """Let a flush of `file` end after the hook was told, and take longer than the other steps of its landing."""
    inode, real = file.stat().st_ino, os.fsync

    def fsync(fd: int) -> None:
        if os.fstat(fd).st_ino == inode:
            wait_until(lambda: ("arriving", None) in disk.steps, what="the hook to be told")
            time.sleep(0.2)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.only_on("sqlite", STEPS)
async def test_a_short_file_is_flushed_while_the_hook_records_it(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.real.may_arrive.clear()
    async with house.client() as sftp:
        disk = DiskLog(monkeypatch, house.real)
        sending = asyncio.ensure_future(put(sftp, "sync_users.csv", TWO))
        await house.real.arrived.wait()
        (staged,) = house.folder.staging.iterdir()
        await eventually(lambda: "fsync file" in disk.of(file=staged))
        house.real.may_arrive.set()
        await sending


@pytest.mark.only_on("sqlite", STEPS)
async def test_a_short_file_is_on_disk_before_its_copy(house: SftpHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(TWO)
        (staged,) = house.folder.staging.iterdir()
        disk = DiskLog(monkeypatch, house.real)
        slow_flushes(monkeypatch, disk, staged)
        await file.close()
        steps = disk.of(file=house.files / "sync_users.csv", uploads=house.folder.uploads, files=house.files)
        assert steps == ["arriving", "fsync file", *ON_DISK[2:]]


@pytest.mark.only_on("sqlite", STEPS)
async def test_a_refused_short_file_is_closed_after_its_flush(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.real.refuse = "too many wait"
    async with house.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(TWO)
        (staged,) = house.folder.staging.iterdir()
        inode = staged.stat().st_ino
        disk = DiskLog(monkeypatch, house.real)
        slow_flushes(monkeypatch, disk, staged)
        with pytest.raises(asyncssh.SFTPFailure, match="too many wait"):
            await file.close()
        assert ("fsync", inode) in disk.steps
    assert house.staged() == []


@pytest.mark.only_on("sqlite", STEPS)
@pytest.mark.logs("sessions_cut")
async def test_a_stop_closes_a_short_file_after_its_flush(house: SftpHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    house.real.may_arrive.clear()
    async with house.connect() as connection:
        sftp = await connection.start_sftp_client()
        await put(sftp, "part", ONE)
        disk = DiskLog(monkeypatch, house.real)
        slow_flushes(monkeypatch, disk, house.files / "part")
        renaming = asyncio.ensure_future(sftp.rename("part", "sync_users.csv"))
        await house.real.arrived.wait()
        await house.listener.close(0)
        assert disk.of(file=house.files / "part") == ["arriving", "fsync file"]
        await asyncio.wait([renaming])
    assert contents(house) == {"part": ONE}


@pytest.mark.only_on("sqlite", STEPS)
async def test_a_long_file_is_on_disk_before_its_record(house: SftpHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.client() as sftp:
        disk = DiskLog(monkeypatch, house.real)
        await put(sftp, "sync_users.csv", bytes(SHORT_FILE + 1))
        assert (
            disk.of(file=house.files / "sync_users.csv", uploads=house.folder.uploads, files=house.files) == ON_DISK
        )


@pytest.mark.only_on("sqlite", STEPS)
@pytest.mark.parametrize("how", LANDINGS)
async def test_file_copy_and_name_are_each_on_disk_before_the_next_step(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    house.real.decides = True
    async with house.client() as sftp:
        await sftp.mkdir("folder")
        await put(sftp, "folder/part", TWO)
        if how != "renamed":
            await put(sftp, "sync_users.csv", ONE)
        disk = DiskLog(monkeypatch, house.real)
        await LANDINGS[how](sftp)
        steps = disk.of(file=house.files / "sync_users.csv", uploads=house.folder.uploads, files=house.files)
        assert steps == ON_DISK
        if how.startswith("renamed"):
            assert disk.of(folder=house.files / "folder")[-1] == "fsync folder"


@pytest.mark.only_on("sqlite", STEPS)
@pytest.mark.parametrize("how", LANDINGS)
async def test_an_undone_landing_is_on_disk_before_the_hook_gets_the_failure(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    async with house.client() as sftp:
        await sftp.mkdir("folder")
        await put(sftp, "folder/part", TWO)
        if how != "renamed":
            await put(sftp, "sync_users.csv", ONE)
        house.real.fail_landed = HookRefused("this is not a list")
        disk = DiskLog(monkeypatch, house.real)
        with pytest.raises(asyncssh.SFTPFailure, match="this is not a list"):
            await LANDINGS[how](sftp)
        steps = disk.of(uploads=house.folder.uploads, files=house.files)
        assert steps[steps.index("landed") + 1 :] == [
            *([] if how == "renamed" else ["rename files"]),
            *("fsync files", "failed"),
        ]


@pytest.mark.only_on("sqlite", STEPS)
async def test_a_client_can_have_its_writes_synced_to_disk(house: SftpHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.client() as sftp, sftp.open("file", "wb") as file:
        await file.write(ONE)
        disk = DiskLog(monkeypatch, house.real)
        await file.fsync()
        (staged,) = house.folder.staging.iterdir()
        assert disk.of(file=staged) == ["fsync file"]


@pytest.mark.only_on("sqlite", STEPS)
@pytest.mark.parametrize("name", ["link", "rename", "fsync"])
@pytest.mark.parametrize("how", LANDINGS)
async def test_a_disk_that_fails_at_any_step_leaves_the_old_file_and_is_reported_once(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch, how: str, name: str
) -> None:
    async with house.client() as sftp:
        await sftp.mkdir("folder")
        await put(sftp, "folder/part", TWO)
        if how != "renamed":
            await put(sftp, "sync_users.csv", ONE)
        before, real = contents(house), getattr(os, name)
        for step in itertools.count(1):
            house.real.heard.clear()
            calls = itertools.count(1)

            def failing(*args: Any, step: int = step, calls: Iterator[int] = calls, **kwargs: Any) -> None:
                if next(calls) == step:
                    raise OSError(errno.ENOSPC, "No space left on device")
                real(*args, **kwargs)

            with monkeypatch.context() as patched:
                patched.setattr(os, name, failing)
                answer = await answer_to(LANDINGS[how](sftp))
            if answer == "OK":
                break
            assert "No space left on device" in answer
            assert contents(house) == before
            assert house.at("folder/part") == TWO
            assert (house.staged(), await house.counts_truly()) == ([], True)
            assert [what for what in house.real.events if what != "arriving"] in (["failed"], ["aborted"], [])
            assert ("arriving" in house.real.events) == ("failed" in house.real.events)
        assert step > 1
        assert house.real.events == LANDED


# The count of the quota


@pytest.mark.parametrize("path", ["file", "sync_users.csv"])
@pytest.mark.parametrize("mode", ["wb", "ab", "r+b"])
@pytest.mark.parametrize("meanwhile", ["removed", "moved away", "replaced"])
async def test_a_file_changed_while_another_session_takes_its_name_is_counted_right(
    house: SftpHouse, path: str, mode: str, meanwhile: str
) -> None:
    async with house.client() as sftp, house.client() as other:
        await put(sftp, path, ONE)
        async with sftp.open(path, mode) as file:
            await file.write(TWO)
            if meanwhile == "removed":
                await other.remove(path)
            elif meanwhile == "moved away":
                await other.rename(path, "moved")
            else:
                await put(other, path, b"other")
        assert await house.counts_truly()


async def test_a_new_file_that_another_session_makes_first_is_counted_once(house: SftpHouse) -> None:
    async with house.client() as sftp, house.client() as other:
        async with sftp.open("file", "wb") as file:
            await file.write(TWO)
            await put(other, "file", ONE)
        assert house.at("file") == TWO
        assert await house.counts_truly()


# Similar names


@pytest.mark.parametrize("path", ["Sync_Users.csv", "sync_users (1).csv", "in/sync_users.csv", "sync-users.csv.txt"])
@pytest.mark.parametrize("how", ["put", "rename"])
@pytest.mark.logs("upload_ignored")
async def test_a_file_under_a_similar_name_is_kept_and_reported_to_the_hook(
    house: SftpHouse, path: str, how: str
) -> None:
    async with house.client() as sftp:
        await sftp.mkdir("in")
        if how == "put":
            await put(sftp, path, ONE)
        else:
            await put(sftp, "part", ONE)
            await sftp.rename("part", path)
    assert house.real.events == ["ignored"]
    assert (house.real.last.path, house.real.last.size) == (f"/{path}", len(ONE))
    assert "/sync_users.csv" in house.real.reasons[0]
    assert house.at(path) == ONE


@pytest.mark.parametrize(
    "path", ["sync_users.csv.filepart", "sync_users.csv.sha256", "users.csv", "sync_users.csv.tmp"]
)
async def test_a_file_under_an_unrelated_name_is_not_reported(house: SftpHouse, path: str) -> None:
    async with house.client() as sftp:
        await put(sftp, path, ONE)
    assert house.real.events == []


async def test_a_file_moved_away_from_its_path_is_not_reported(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "sync_users.csv", ONE)
        await sftp.mkdir("archive")
        await sftp.rename("sync_users.csv", "archive/sync_users.csv")
    assert house.real.events == LANDED


# Folders of the server


async def test_the_results_folder_can_only_be_read(house: SftpHouse) -> None:
    house.publish("results/report.json", b"{}")
    async with house.client() as sftp:
        await put(sftp, "mine", ONE)
        assert await sftp.listdir("results") == [".", "..", "report.json"]
        async with sftp.open("results/report.json", "rb") as file:
            assert await file.read() == b"{}"
            with pytest.raises(asyncssh.SFTPError):
                await file.utime((1, 1))
        for refused in (
            put(sftp, "results/mine", b""),
            put(sftp, "results/report.json", b""),
            sftp.mkdir("results/folder"),
            sftp.remove("results/report.json"),
            sftp.rename("results/report.json", "report.json"),
            sftp.rename("mine", "results/mine"),
            sftp.posix_rename("mine", "results/report.json"),
            sftp.truncate("results/report.json", 0),
            sftp.utime("results/report.json", (1, 1)),
            sftp.rmdir("results"),
            sftp.rename("results", "other"),
        ):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await refused
    assert house.at("results/report.json") == b"{}"


async def test_the_test_folder_can_be_filled_but_not_removed_renamed_or_replaced(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "test/mine", ONE)
        await sftp.remove("test/mine")
        await sftp.mkdir("folder")
        for refused in (
            sftp.rmdir("test"),
            sftp.rename("test", "other"),
            sftp.posix_rename("folder", "test"),
            sftp.rmdir("/"),
            sftp.rename("/", "other"),
        ):
            with pytest.raises(asyncssh.SFTPPermissionDenied):
                await refused
    assert house.stored.is_folder("acme", "test")


async def test_a_folder_at_the_hooks_path_is_refused_by_every_upload_and_stays(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await sftp.mkdir("sync_users.csv")
        await put(sftp, "part", ONE)
        with pytest.raises(asyncssh.SFTPError):
            await put(sftp, "sync_users.csv", ONE)
        with pytest.raises(asyncssh.SFTPError):
            await sftp.posix_rename("part", "sync_users.csv")
    assert house.stored.is_folder("acme", "sync_users.csv")
    assert house.real.events == []


async def test_folders_can_be_moved_but_not_too_deep_or_into_themselves(house: SftpHouse) -> None:
    deep = "/".join("d" * 40)
    async with house.client() as sftp:
        await sftp.makedirs(deep)
        await sftp.makedirs("x/y")
        await sftp.rename("x", "z")
        with pytest.raises(asyncssh.SFTPError):
            await sftp.rename("z", "z/y/z")
        await sftp.makedirs("/".join("e" * 40))
        with pytest.raises(asyncssh.SFTPError, match="folders"):
            await sftp.rename("e", f"{deep}/e")
    assert house.stored.is_folder("acme", "z/y")


@pytest.mark.only_on("sqlite", MEASURED)
async def test_a_file_that_replaces_a_folder_during_its_rename_does_not_land_unseen(house: SftpHouse) -> None:
    async with renaming(house, "folder", "sync_users.csv", replace=True) as (_, rename):
        (house.files / "folder").rename(house.files / "aside")
        house.publish("folder", ONE)
        with pytest.raises(FileNotFoundError):
            await rename
    assert house.visible is None
    assert house.real.events == []


@pytest.mark.only_on("sqlite", MEASURED)
async def test_a_folder_made_during_a_plain_rename_is_not_replaced(house: SftpHouse) -> None:
    async with renaming(house, "folder", "new", replace=False) as (space, rename):
        await changes.make_folder(space, parse_path(b"/new"), TenantLimits())
        with pytest.raises(FileExistsError):
            await rename


@pytest.mark.only_on("sqlite", MEASURED)
async def test_an_empty_folder_removed_by_two_at_once_is_counted_once(house: SftpHouse) -> None:
    house.stored.make_folder("acme", "empty")
    async with renaming(house, "folder", "empty", replace=True) as (space, rename):
        await changes.remove_folder(space, parse_path(b"/empty"))
        await rename
        assert await house.counts_truly()


@asynccontextmanager
async def renaming(
    house: SftpHouse, old: str, new: str, *, replace: bool
) -> AsyncIterator[tuple[Space, asyncio.Task[None]]]:
    """Yield while a folder is being renamed, at the moment when it is measured."""
    house.stored.make_folder("acme", old)
    async with house.client() as sftp:
        await sftp.statvfs("/")
        (space,) = house.listener._sessions._opened.values()
        paths = [parse_path(path.encode()) for path in (old, new)]
        task = asyncio.create_task(changes.rename(space, paths[0], paths[1], replace=replace))
        await asyncio.sleep(0)
        assert not task.done()
        yield space, task


async def test_a_missing_folder_is_reported_when_it_is_opened(house: SftpHouse) -> None:
    async with house.client() as sftp:
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp._handler.opendir(b"/missing")
        with pytest.raises(asyncssh.SFTPError):
            await sftp.open("missing/file", "wb")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.open("missing", "rb")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.open("missing", "r+b")


async def test_a_large_folder_is_listed_completely(house: SftpHouse) -> None:
    names = {f"file {number}" for number in range(1000)}
    house.stored.publish_all("acme", sorted(names), b"")
    async with house.client() as sftp:
        assert set(await sftp.listdir()) == names | {".", "..", "results", "test"}


async def test_clients_see_neither_owners_nor_modes_of_this_machine(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "file", ONE)
        if chosen_engine() == EMBEDDED:
            os.chmod(house.files / "file", 0o4777)
        attrs = await sftp.stat("file")
        assert (attrs.uid, attrs.gid, attrs.permissions) == (0, 0, 0o100600)
        assert (await sftp.stat("results")).permissions == 0o040500
        assert (await sftp.stat("/")).permissions == 0o040700


async def test_a_client_gets_the_reason_of_a_hook_that_refuses_at_the_end(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "sync_users.csv", ONE)
        house.real.fail_landed = HookRefused("this is not a list")
        with pytest.raises(asyncssh.SFTPFailure, match="this is not a list"):
            await put(sftp, "sync_users.csv", TWO)
    assert house.visible == ONE
    assert house.real.reasons == ["this is not a list"]
    assert house.staged() == []


@pytest.mark.logs("hook_failed")
async def test_a_file_under_a_similar_name_stays_if_it_cannot_be_recorded(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(upload: Upload, reason: str) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(house.real, "ignored", fails)
    async with house.client() as sftp, sftp.open("sync_users.CSV", "wb") as file:
        await file.write(b"x")
    assert house.at("sync_users.CSV") == b"x"
