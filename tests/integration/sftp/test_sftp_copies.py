"""The quota counts the copies of waiting imports and runs of hooks, and a copy that is still visible once."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import asyncssh
import pytest

from importer.model import ImportState
from server.files.local import space as space_module
from server.files.local.measuring import measure_copies
from server.files.local.space import FEW_COPIES
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.runs import ended, put_in_line, start
from tests.support.sftp import SftpHouse, sftp_house
from tests.support.waiting import eventually

KIB = 1024
FILE = b"x" * 100 * KIB


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SftpHouse]:
    async with sftp_house(tmp_path) as built:
        await built.limit(quota_bytes=250 * KIB)
        yield built


def set_state(house: SftpHouse, number: int, state: str) -> None:
    """Put import `number` into `state`."""
    house.stored.have_import("acme", number, state)


async def put(sftp: asyncssh.SFTPClient, content: bytes = FILE, path: str = "sync_users.csv") -> None:
    async with sftp.open(path, "wb") as file:
        await file.write(content)


async def free(sftp: asyncssh.SFTPClient) -> int:
    """Return the free KiB."""
    space = await sftp.statvfs("/")
    return space.bavail * space.frsize // KIB


@pytest.mark.parametrize("state", ["queued", "running", "held"])
async def test_a_copy_that_an_import_needs_counts_once_its_file_is_replaced(house: SftpHouse, state: str) -> None:
    set_state(house, 1, state)
    set_state(house, 2, "queued")
    async with house.client() as sftp:
        await put(sftp)
        assert await free(sftp) == 148, "the copy is the visible file"
        await put(sftp)
        assert await free(sftp) == 48
        with pytest.raises(
            asyncssh.SFTPError, match=r"quota exceeded: .*102,400 bytes of files that are queued, running or held"
        ):
            await put(sftp)
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await put(sftp, path="other")
        set_state(house, 1, "completed")
        await put(sftp, path="other")
        assert house.at("other") == FILE


@pytest.mark.parametrize("state", ["completed", "failed", "superseded", "unchanged", "discarded", "aborted"])
async def test_a_copy_of_an_import_that_ended_does_not_count(house: SftpHouse, state: str) -> None:
    set_state(house, 1, state)
    async with house.client() as sftp:
        for _ in range(4):
            await put(sftp)
        assert await free(sftp) == 148


async def test_a_copy_that_a_run_of_a_hook_needs_counts_until_the_run_ends(house: SftpHouse) -> None:
    runs = house.tenants.store.runs()
    number = await put_in_line(runs)
    house.stored.keep_run_copy("acme", number, FILE)
    async with house.client() as sftp:
        await put(sftp, path="other")
        assert await free(sftp) == 48
        run = await start(runs, number)
        with pytest.raises(asyncssh.SFTPError, match="102,400 bytes of files that are queued, running or held"):
            await put(sftp, path="third")
        await runs.finish(ended(run, ImportState.FAILED), published=True)
        await put(sftp, path="third")


@pytest.mark.only_on("sqlite", "copies are measured on the disk")
async def test_many_copies_are_not_measured_at_every_upload_and_never_count_too_low(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space_module, "MANY_COPIES_AGE_S", 3600.0)
    measured: list[int] = []

    def measuring(copies: Sequence[Path]) -> int:
        measured.append(len(copies))
        return measure_copies(copies)

    monkeypatch.setattr(space_module, "measure_copies", measuring)
    runs, folder = house.tenants.store.runs(), house.tenants.folder("acme")
    folder.runs.mkdir(exist_ok=True)
    waiting = [await put_in_line(runs) for _ in range(FEW_COPIES + 1)]
    async with house.client() as sftp:
        await put(sftp, path="a")
        os.link(house.files / "a", folder.run_copy(waiting[0]))
        await put(sftp, b"x", path="a")
        await sftp.remove("a")
        await put(sftp, FILE, path="b")
        assert measured == [FEW_COPIES + 1]
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await put(sftp, FILE, path="c")
        assert measured == [FEW_COPIES + 1]
        monkeypatch.setattr(space_module, "MANY_COPIES_AGE_S", 0.0)
        assert await free(sftp) == 48
        for number in waiting:
            await runs.finish(ended(await start(runs, number), ImportState.COMPLETED), published=True)
        assert await free(sftp) == 148
        assert await house.counts_truly()


@pytest.mark.only_on("sqlite", "copies are measured on the disk")
async def test_many_copies_of_visible_files_are_measured_again_when_one_is_removed(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space_module, "MANY_COPIES_AGE_S", 0.0)
    monkeypatch.setattr(space_module, "UNCOUNTED_COPIES_AGE_S", 3600.0)
    measured: list[int] = []

    def measuring(copies: Sequence[Path]) -> int:
        measured.append(measure_copies(copies))
        return measured[-1]

    monkeypatch.setattr(space_module, "measure_copies", measuring)
    runs, folder = house.tenants.store.runs(), house.tenants.folder("acme")
    folder.runs.mkdir(exist_ok=True)
    waiting = [await put_in_line(runs) for _ in range(FEW_COPIES + 1)]
    house.stop_watching()  # it measures the copies, too
    async with house.client() as sftp:
        await put(sftp, b"x", path="a")
        os.link(house.files / "a", folder.run_copy(waiting[0]))
        for path in ("b", "c"):
            await put(sftp, b"x", path=path)
        assert measured == [0]
        await sftp.remove("a")
        await put(sftp, b"x", path="d")
        assert measured == [0, 1]


@pytest.mark.only_on("sqlite", "copies are measured on the disk")
async def test_a_tested_file_counts_at_once_beside_many_copies_of_visible_files(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age in ("MANY_COPIES_AGE_S", "UNCOUNTED_COPIES_AGE_S"):
        monkeypatch.setattr(space_module, age, 3600.0)
    runs, folder = house.tenants.store.runs(), house.tenants.folder("acme")
    folder.runs.mkdir(exist_ok=True)
    waiting = [await put_in_line(runs) for _ in range(FEW_COPIES + 1)]
    async with house.client() as sftp:
        await put(sftp, b"x", path="a")
        folder.run_copy(waiting[0]).write_bytes(FILE)
        (space,) = house.listener._sessions._opened.values()
        await space.recount()  # as when a file is tested on the page
        await put(sftp, FILE, path="b")
        with pytest.raises(asyncssh.SFTPError, match=r"quota exceeded: .*102,400 bytes of files that are queued"):
            await put(sftp, FILE, path="c")


async def test_a_copy_counts_once_after_its_file_is_renamed_or_removed(house: SftpHouse) -> None:
    set_state(house, 1, "queued")
    async with house.client() as sftp:
        await put(sftp)
        await sftp.rename("sync_users.csv", "moved")
        assert await free(sftp) == 148
        await sftp.remove("moved")
        assert await free(sftp) == 148, "the removed file is kept for its import"


async def test_a_copy_counts_as_soon_as_a_rename_replaces_its_file(house: SftpHouse) -> None:
    set_state(house, 1, "queued")
    async with house.client() as sftp, house.client() as other:
        await put(sftp)
        await put(sftp, path="new")
        open_file = await other.open("open", "wb")
        await sftp.posix_rename("new", "sync_users.csv")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await open_file.write(b"x" * 60 * KIB)


async def test_copies_of_removed_files_count_for_uploads_that_were_open_before(house: SftpHouse) -> None:
    for number in (1, 2, 3):
        set_state(house, number, "queued")
    house.stop_watching()  # it counts the copies, too
    async with house.client() as sftp:
        uploads = [await sftp.open("sync_users.csv", "wb") for _ in range(4)]
        # The copies are counted again at each landing, or also at each other change.
        for upload in uploads[: 3 if chosen_engine() == EMBEDDED else 2]:
            await upload.write(FILE)
            await upload.close()
            await sftp.remove("sync_users.csv")
        with pytest.raises(asyncssh.SFTPError, match="204,800 bytes of files that are queued, running or held"):
            await uploads[3].write(FILE)


async def test_an_import_that_ends_while_a_client_writes_frees_quota(house: SftpHouse) -> None:
    set_state(house, 1, "running")
    async with house.client() as sftp:
        await put(sftp)
        await put(sftp)
        async with sftp.open("sync_users.csv", "wb") as file:
            usage = await house.usage()
            assert usage.waiting == len(FILE)
            set_state(house, 1, "completed")
            await eventually(lambda: usage.waiting == 0, what="the copy to stop counting")
            await file.write(FILE)


async def test_while_the_queue_cannot_be_read_the_last_known_copies_count(
    house: SftpHouse,
) -> None:
    set_state(house, 1, "queued")
    async with house.client() as sftp:
        await put(sftp)
        await put(sftp)
        (space,) = house.listener._sessions._opened.values()
        house.accounts.close()
        assert house.accounts.waiting_copies("acme") is None
        assert (await space.recounted()).waiting == len(FILE)


def test_only_files_without_another_name_count_as_copies(tmp_path: Path) -> None:
    for name in ("alone", "visible", "ended"):
        (tmp_path / name).write_bytes(FILE)
    for copy, of in (("copy", "visible"), ("dry run", "ended"), ("dry run of alone", "alone")):
        os.link(tmp_path / of, tmp_path / copy)
    (tmp_path / "folder").mkdir()
    copies = [tmp_path / name for name in ("alone", "dry run of alone", "copy", "dry run", "folder", "missing")]
    assert measure_copies(copies) == len(FILE)
