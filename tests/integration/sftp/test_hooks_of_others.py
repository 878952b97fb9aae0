"""Hooks other than those of imports: patterns, their folders, files that they refuse before these land."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncssh
import pytest

from server.files.local.leftovers import clear_staging, mark
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.keypairs import public_line
from tests.support.sftp import SftpHouse, sftp_house
from tests.support.waiting import eventually

ONE, TWO = b"one\n", b"two,two\n"
LANDED = ["arriving", "landed"]
HOOKED = ("/invoices/*.csv", "/stores/*/report.pdf")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SftpHouse]:
    async with sftp_house(tmp_path, hooked=HOOKED) as house:
        yield house


async def put(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    async with sftp.open(path, "wb") as file:
        await file.write(content)


async def test_every_file_that_matches_a_pattern_lands_at_its_hook(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "invoices/march.csv", ONE)
        await put(sftp, "invoices/part", TWO)
        await sftp.rename("invoices/part", "invoices/april.csv")
        await sftp.truncate("invoices/april.csv", 3)
        await put(sftp, "invoices/note.pdf", TWO)
        assert await house.counts_truly()
    assert house.other.events == LANDED * 3
    heard = [(upload.path, upload.origin, upload.size) for what, upload in house.other.heard if what == "landed"]
    assert heard == [
        ("/invoices/march.csv", "close", len(ONE)),
        ("/invoices/april.csv", "rename", len(TWO)),
        ("/invoices/april.csv", "resize", 3),
    ]
    assert house.other.kept() == [ONE, TWO, TWO[:3]]
    assert house.real.events == []


async def test_the_folders_of_hooks_are_made_and_stay(house: SftpHouse) -> None:
    async with house.client() as sftp:
        assert {"invoices", "stores"} <= set(await sftp.listdir("/"))
        with pytest.raises(asyncssh.SFTPFailure, match="already exists"):
            await sftp.mkdir("invoices")
        for change in (sftp.rmdir("invoices"), sftp.rename("invoices", "x"), sftp.posix_rename("test", "stores")):
            with pytest.raises(asyncssh.SFTPPermissionDenied, match="belongs to"):
                await change
        await sftp.mkdir("more")
        with pytest.raises(asyncssh.SFTPPermissionDenied, match="/invoices belongs to a hook"):
            await sftp.posix_rename("more", "invoices")
        with pytest.raises(asyncssh.SFTPPermissionDenied, match="/invoices belongs to a hook"):
            await put(sftp, "invoices", ONE)
        before = (await sftp.stat("invoices")).mtime
        await sftp.utime("invoices", (1, 1))
        assert (await sftp.stat("invoices")).mtime == before
        assert await house.counts_truly()
        assert (await house.usage()).files == 1


async def test_the_folders_of_a_hook_follow_the_choice_of_the_tenant(house: SftpHouse) -> None:
    house.on = []
    async with house.client() as sftp:
        assert not {"invoices", "stores"} & set(await sftp.listdir("/"))
        await sftp.mkdir("invoices")
        await put(sftp, "invoices/march.csv", ONE)
        assert house.other.events == []
        house.on = ["hook_0"]
        await put(sftp, "invoices/march.csv", TWO)
        assert house.other.events == LANDED
        assert await house.counts_truly()
        assert (await house.usage()).files == 1
        house.on = []
        await sftp.remove("invoices/march.csv")
        assert (await house.usage()).files == 1
        assert await house.counts_truly()
        await sftp.rmdir("invoices")
        assert await house.counts_truly()


async def test_a_file_in_the_place_of_a_folder_of_a_hook_can_be_removed(tmp_path: Path) -> None:
    async with sftp_house(tmp_path) as house, house.client() as sftp:
        await put(sftp, "invoices", ONE)
    async with sftp_house(tmp_path, hooked=HOOKED) as house:
        async with house.client() as sftp:
            assert await house.counts_truly()
            await sftp.remove("invoices")
            assert await house.counts_truly()
        async with house.client() as sftp:
            await put(sftp, "invoices/march.csv", ONE)
            assert await house.counts_truly()
        assert house.other.events == LANDED


@pytest.mark.only_on("sqlite", "no other engine has links")
async def test_a_link_in_the_place_of_a_folder_of_a_hook_leads_nowhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    async with sftp_house(tmp_path, hooked=["/in/deep/*.csv"]) as house:
        (house.files / "in").symlink_to(outside)
        async with house.client() as sftp:
            with pytest.raises(asyncssh.SFTPError):
                await put(sftp, "in/deep/a.csv", ONE)
    assert list(outside.iterdir()) == []


async def test_a_folder_with_files_cannot_be_moved_to_where_hooks_run(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await sftp.mkdir("new")
        await put(sftp, "new/report.pdf", ONE)
        with pytest.raises(asyncssh.SFTPPermissionDenied, match="files in a moved folder would get no hook"):
            await sftp.rename("new", "stores/berlin")
        await sftp.mkdir("stores/paris")
        await sftp.rename("new/report.pdf", "stores/paris/report.pdf")
        await sftp.rename("new", "stores/berlin")
        await put(sftp, "stores/berlin/report.pdf", TWO)
        assert await house.counts_truly()
    assert house.other.events == LANDED * 2


async def test_similar_names_and_interrupted_uploads_are_reported_to_the_hook(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "invoices/march.xlsx", ONE)
    assert house.other.events == ["ignored"]
    assert house.other.reasons[-1].startswith("/invoices/march.xlsx was not processed (it is a workbook")
    async with house.client() as sftp:
        file = await sftp.open("invoices/march.csv.filepart", "wb")
        await file.write(ONE)
    await eventually(lambda: house.other.events == ["ignored", "aborted"], what="the interrupted upload")
    assert house.other.last.path == "/invoices/march.csv.filepart"
    await house.nothing_open()


@pytest.mark.only_on("sqlite", "a file is left in the folder of drafts")
async def test_an_upload_that_a_killed_server_left_is_reported_to_the_hook(house: SftpHouse) -> None:
    house.folder.staging.mkdir(exist_ok=True)
    left = house.folder.staging / "0123"
    left.write_bytes(ONE)
    with left.open("rb+") as file:
        mark(file.fileno(), "/invoices/march.csv")
    assert await clear_staging(house.folder.root, "acme", house.hooks) == 1
    assert house.other.events == ["aborted"]


@pytest.mark.parametrize("name", [b"invoices/L\xf6hne.csv", "invoices/a\u202eb.csv".encode(), b"invoices/a\nb.csv"])
async def test_a_name_that_a_hook_cannot_be_told_is_refused_in_words(house: SftpHouse, name: bytes) -> None:
    async with house.client() as sftp:
        with pytest.raises(asyncssh.SFTPError, match="only names of printable UTF-8 characters"):
            await sftp.open(name, "wb")
        await put(sftp, "part", ONE)
        with pytest.raises(asyncssh.SFTPError, match="only names of printable UTF-8 characters"):
            await sftp.rename(b"part", name)
        assert (await sftp.stat("part")).size == len(ONE)
        file = await sftp.open("other", "wb")
        await file.write(ONE)
        with pytest.raises(asyncssh.SFTPError, match="only names of printable UTF-8 characters"):
            await sftp.rename(b"other", name)
        await file.close()
    assert house.other.events == []
    assert house.at("other") is not None


async def sent(sftp: asyncssh.SFTPClient) -> None:
    await put(sftp, "invoices/march.csv", TWO)


async def renamed(sftp: asyncssh.SFTPClient) -> None:
    await put(sftp, "part", TWO)
    await sftp.posix_rename("part", "invoices/march.csv")


async def resized(sftp: asyncssh.SFTPClient) -> None:
    await sftp.truncate("invoices/march.csv", 2)


WAYS = {"close": sent, "rename": renamed, "resize": resized}


@pytest.mark.parametrize("way", WAYS)
async def test_a_refused_file_does_not_land_and_the_old_one_stays(house: SftpHouse, way: str) -> None:
    async with house.client() as sftp:
        await put(sftp, "invoices/march.csv", ONE)
        house.other.unwanted = "this file has a virus"
        with pytest.raises(asyncssh.SFTPFailure, match="this file has a virus"):
            await WAYS[way](sftp)
        assert house.at("invoices/march.csv") == ONE
        assert await house.counts_truly()
        if way == "rename":
            assert house.at("part") == TWO
    assert house.other.events == LANDED
    assert house.staged() == []
    assert house.metrics.uploads[-1] == ("acme", "refused")


@pytest.mark.parametrize("way", WAYS)
async def test_a_hook_is_offered_the_complete_file_while_others_land(house: SftpHouse, way: str) -> None:
    async with house.client() as sftp, house.client() as other:
        await put(sftp, "invoices/march.csv", ONE)
        house.other.asked.clear()
        house.other.may_answer.clear()
        sending = asyncio.ensure_future(WAYS[way](sftp))
        await house.other.asked.wait()
        assert house.other.offered[-1].read_bytes() == (ONE[:2] if way == "resize" else TWO)
        assert house.at("invoices/march.csv") == ONE
        await put(other, "sync_users.csv", ONE)
        assert house.real.events == LANDED
        house.other.may_answer.set()
        await sending
    assert house.other.events == LANDED * 2
    assert house.other.last.origin == way
    assert house.staged() == []


async def test_an_offered_file_is_on_disk_and_cannot_be_written(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        synced.append(os.fstat(fd).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    async with house.client() as sftp, house.client() as other:
        house.other.may_answer.clear()
        file = await sftp.open("invoices/march.csv", "wb")
        await file.write(ONE)
        closing = asyncio.ensure_future(file.close())
        await house.other.asked.wait()
        offered = house.other.offered[-1]
        if chosen_engine() == EMBEDDED:  # others store the bytes when the hook has accepted them
            assert offered.stat().st_ino in synced
        late = await other.open("invoices/march.csv", "wb")
        await late.write(b"late")
        assert offered.read_bytes() == ONE
        house.other.may_answer.set()
        await closing
        await late.close()
    assert house.other.kept() == [ONE, b"late"]


@asynccontextmanager
async def renaming(house: SftpHouse, old: str, new: str) -> AsyncIterator[asyncio.Future[None]]:
    """Yield while a hook decides on a file that is renamed to its path; then it accepts the file."""
    async with house.client() as sftp:
        house.other.asked.clear()
        house.other.may_answer.clear()
        rename = asyncio.ensure_future(sftp.rename(old, new))
        await house.other.asked.wait()
        try:
            yield rename
        finally:
            house.other.may_answer.set()
            await asyncio.wait([rename])


async def test_a_file_replaced_while_a_hook_decides_on_its_rename_does_not_land(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "part", ONE)
        async with renaming(house, "part", "invoices/march.csv") as rename:
            await put(sftp, "part", TWO)
        with pytest.raises(asyncssh.SFTPError, match="another session removed, moved or replaced the file"):
            await rename
        assert house.at("part") == TWO
        assert await house.counts_truly()
    assert house.other.events == house.staged() == []


async def test_no_bytes_escape_the_quota_while_a_hook_decides_on_a_rename(house: SftpHouse) -> None:
    await house.limit(quota_bytes=100)
    async with house.client() as sftp:
        await put(sftp, "part", bytes(60))
        async with renaming(house, "part", "invoices/march.csv") as rename:
            await put(sftp, "small", bytes(30))
            await sftp.remove("part")
            with pytest.raises(asyncssh.SFTPError, match="quota"):
                await put(sftp, "part", bytes(60))
            await sftp.remove("small")
        with pytest.raises(asyncssh.SFTPError, match="another session removed, moved or replaced the file"):
            await rename
        assert await house.counts_truly()
        await put(sftp, "part", bytes(60))
        await sftp.rename("part", "invoices/march.csv")
        assert await house.counts_truly()
    assert house.other.events == LANDED


async def test_a_file_renamed_to_a_hook_lands_at_the_path_that_the_hook_was_told(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await sftp.makedirs("stores/x")
        await put(sftp, "part", ONE)
        async with renaming(house, "part", "stores/x/report.pdf") as rename:
            await sftp.rename("stores/x", "plain")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await rename
        assert house.names("plain") == []
        await sftp.mkdir("stores/x")
        async with renaming(house, "part", "stores/x/report.pdf") as rename:
            await sftp.rename("stores/x", "plain/x")
            await sftp.mkdir("stores/x")
        await rename
        assert house.at("stores/x/report.pdf") == ONE
        assert await house.counts_truly()
    assert house.other.events == LANDED


@pytest.mark.parametrize("way", ["close", "rename"])
async def test_a_server_that_stops_while_a_hook_decides_lands_nothing(tmp_path: Path, way: str) -> None:
    async with sftp_house(tmp_path, hooked=HOOKED) as house, house.client() as sftp:
        await put(sftp, "invoices/march.csv", ONE)
        house.other.asked.clear()
        house.other.may_answer.clear()
        sending = asyncio.ensure_future(WAYS[way](sftp))
        await house.other.asked.wait()
        await house.listener.close(0)
        with pytest.raises((asyncssh.Error, OSError, asyncio.CancelledError)):
            await sending
        assert house.at("invoices/march.csv") == ONE
        assert house.other.events == LANDED
    await house.begin_anew()
    assert house.other.events == ([*LANDED, "aborted"] if way == "close" else LANDED)
    assert (house.at("part") is not None) is (way == "rename")
    assert house.staged() == []


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_leaves_while_a_hook_decides_lands_nothing(house: SftpHouse, way: str) -> None:
    with suppress(asyncssh.Error, OSError):
        async with house.connect() as connection, connection.start_sftp_client() as sftp:
            await put(sftp, "invoices/march.csv", ONE)
            house.other.asked.clear()
            house.other.may_answer.clear()
            sending = asyncio.ensure_future(WAYS[way](sftp))
            await house.other.asked.wait()
            connection.abort()
            await sending
    await eventually(lambda: not house.listener._sessions.tasks, what="the session to end")
    assert house.at("invoices/march.csv") == ONE
    assert (house.at("part") is not None) is (way == "rename")
    assert house.other.events == (LANDED if way == "rename" else [*LANDED, "aborted"])
    assert house.other.reasons == ([] if way == "rename" else ["the client left before the hook accepted the file"])
    assert house.staged() == []
    assert await house.counts_truly()


async def test_a_client_that_waits_for_a_hook_is_not_idle(house: SftpHouse) -> None:
    async with house.client() as sftp:
        house.other.may_answer.clear()
        sending = asyncio.ensure_future(put(sftp, "invoices/march.csv", ONE))
        await house.other.asked.wait()
        (connection,) = house.listener._sessions.connections
        connection.active_at = time.monotonic() - 10_000
        connection.check(time.monotonic())
        house.other.may_answer.set()
        await sending
        await sftp.stat("/")
        connection.check(time.monotonic() + 20_000)
        with pytest.raises((asyncssh.Error, OSError)):
            await sftp.stat("/")
    assert house.other.events == LANDED


async def test_two_files_that_a_hook_decides_on_at_once_land_one_after_the_other(house: SftpHouse) -> None:
    async with house.client() as sftp, house.client() as other:
        house.other.may_answer.clear()
        first = asyncio.ensure_future(put(sftp, "invoices/march.csv", ONE))
        await house.other.asked.wait()
        house.other.asked.clear()
        second = asyncio.ensure_future(put(other, "invoices/march.csv", TWO))
        await house.other.asked.wait()
        house.other.may_answer.set()
        await asyncio.gather(first, second)
        visible = house.at("invoices/march.csv")
    assert visible == house.other.kept()[-1]
    assert house.other.events == LANDED * 2


@pytest.mark.parametrize("way", WAYS)
async def test_a_fault_in_the_decision_of_a_hook_lands_nothing(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    async def faulty(upload: object, file: Path) -> None:
        raise RuntimeError("a cell of the file")

    async with house.client() as sftp:
        await put(sftp, "invoices/march.csv", ONE)
        monkeypatch.setattr(house.other, "accepting", faulty)
        with pytest.raises(asyncssh.SFTPFailure) as refused:
            await WAYS[way](sftp)
        assert "a cell of the file" not in str(refused.value)
        assert house.at("invoices/march.csv") == ONE
        assert await house.counts_truly()
    assert house.other.events == LANDED
    assert house.staged() == []


@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("path", ["sync_users.csv", "sync_users.csv.part", "invoices/a.csv", "Sync_Users.csv"])
async def test_the_hooks_hear_nothing_of_the_uploads_of_a_removed_tenant(
    house: SftpHouse, path: str, closed: bool
) -> None:
    with suppress(asyncssh.Error, OSError):
        async with house.client() as sftp:
            file = await sftp.open(path, "wb")
            await file.write(ONE)
            await house.tenants.remove("acme")
            await house.tenants.add("acme", [public_line()])
            if closed:
                await file.close()
            await eventually(lambda: not house.listener._sessions.tasks, what="the session to end")
    await house.nothing_open()
    assert house.real.events == house.other.events == []
