"""A session sees its own open uploads at free paths: some clients create a file and then ask for its attributes."""

from __future__ import annotations

import asyncssh
import pytest

from tests.support.sftp import SftpHouse
from tests.support.waiting import eventually


async def test_an_open_upload_is_seen_by_its_own_session_and_no_other(house: SftpHouse) -> None:
    async with house.client() as sftp, house.client() as other:
        async with sftp.open("sync_users.csv", "wb") as file:
            await file.write(b"x" * 100)
            for look in (sftp.lstat, sftp.stat):
                assert (await look("sync_users.csv")).size == 100
            assert "sync_users.csv" not in await sftp.listdir("/")
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await other.lstat("sync_users.csv")
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await other.remove("sync_users.csv")
        assert (await other.lstat("sync_users.csv")).size == 100
    assert house.real.events == ["arriving", "landed"]


async def test_a_session_sees_the_file_at_a_path_and_not_its_open_upload_to_it(house: SftpHouse) -> None:
    house.publish("file", b"old")
    async with house.client() as sftp:
        async with sftp.open("file", "wb") as file:
            await file.write(b"newer")
            assert (await sftp.lstat("file")).size == 3
            await sftp.rename("file", "moved")
        assert (await sftp.lstat("file")).size == 5
    assert house.at("moved") == b"old"
    assert await house.counts_truly()


async def test_size_and_times_set_by_path_change_the_open_upload(house: SftpHouse) -> None:
    async with house.client() as sftp:
        async with sftp.open("file", "wb") as file:
            await file.write(b"x" * 100)
            await sftp.setstat("file", asyncssh.SFTPAttrs(permissions=0o644))
            await sftp.truncate("file", 10)
            await sftp.utime("file", (1_000_000_000, 1_000_000_000))
        found = await sftp.stat("file")
        assert (found.size, found.mtime) == (10, 1_000_000_000)
    assert await house.counts_truly()


@pytest.mark.parametrize("path", ["sync_users.csv", "file"])
async def test_an_upload_that_is_removed_while_it_is_open_publishes_nothing(house: SftpHouse, path: str) -> None:
    async with house.client() as sftp:
        async with sftp.open(path, "wb") as file:
            await file.write(b"x" * 100)
            await sftp.remove(path)
            with pytest.raises(asyncssh.SFTPNoSuchFile):
                await sftp.lstat(path)
        assert path not in await sftp.listdir("/")
        assert await house.counts_truly()
    assert house.real.events == []
    assert house.staged() == []


async def test_a_removed_upload_that_is_interrupted_is_not_reported(house: SftpHouse) -> None:
    async with house.connect() as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(b"x")
        await sftp.remove("sync_users.csv")
        connection.abort()
    await house.nothing_open()
    assert house.real.events == []


@pytest.mark.parametrize("how", ["rename", "posix_rename"])
async def test_an_upload_that_is_renamed_while_it_is_open_is_published_there(house: SftpHouse, how: str) -> None:
    async with house.client() as sftp:
        async with sftp.open("part", "wb") as file:
            await file.write(b"x" * 100)
            await getattr(sftp, how)("part", "sync_users.csv")
            assert house.real.events == []
            assert (await sftp.lstat("sync_users.csv")).size == 100
            await file.write(b"y" * 10)
        assert await house.counts_truly()
    assert house.real.events == ["arriving", "landed"]
    assert house.visible == b"x" * 100 + b"y" * 10
    assert house.at("part") is None


async def test_an_upload_renamed_over_a_file_replaces_it_at_its_end(house: SftpHouse) -> None:
    house.publish("file", b"old")
    async with house.client() as sftp:
        async with sftp.open("part", "wb") as file:
            await file.write(b"newer")
            with pytest.raises(asyncssh.SFTPFailure, match="already"):
                await sftp.rename("part", "file")
            await sftp.posix_rename("part", "file")
            assert house.at("file") == b"old"
        assert await house.counts_truly()
    assert house.at("file") == b"newer"


async def test_an_upload_renamed_to_a_hook_and_interrupted_is_reported_to_it(house: SftpHouse) -> None:
    async with house.connect() as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("part", "wb")
        await file.write(b"x" * 7)
        await sftp.rename("part", "sync_users.csv")
        connection.abort()
    await house.nothing_open()
    await eventually(lambda: house.real.events == ["aborted"])
    assert house.real.last.size == 7


@pytest.mark.parametrize("place", ["results/file", "test", "/", "missing/file"])
async def test_an_open_upload_cannot_be_renamed_to_a_path_of_the_server(house: SftpHouse, place: str) -> None:
    async with house.client() as sftp:
        async with sftp.open("file", "wb") as file:
            await file.write(b"x")
            with pytest.raises((asyncssh.SFTPPermissionDenied, asyncssh.SFTPNoSuchFile)):
                await sftp.rename("file", place)
        assert (await sftp.stat("file")).size == 1
