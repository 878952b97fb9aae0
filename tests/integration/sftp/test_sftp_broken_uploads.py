"""After any interruption of an upload the old file stays, nothing lands, and the hook gets one report."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from importer.errors import DatabaseUnusable
from server.files.ending import Endings
from tests.support.clients import needs
from tests.support.sftp import SftpHouse
from tests.support.waiting import eventually

BEFORE = b"what was there before\n"
BLOCK = b"x" * 32_000


@pytest.fixture
async def published(house: SftpHouse) -> SftpHouse:
    """A house whose hook has got one complete upload."""
    async with house.client() as sftp, sftp.open("sync_users.csv", "wb") as file:
        await file.write(BEFORE)
    house.real.heard.clear()
    return house


async def was_interrupted(house: SftpHouse, size: int | None = None) -> None:
    """Check that nothing was published, and that the hook got `aborted` once."""
    await house.nothing_open()
    assert house.real.events == ["aborted"]
    assert house.visible == BEFORE
    if size is not None:
        assert house.real.last.size == size


# The connection or the client ends


def channel_of(sftp: asyncssh.SFTPClient) -> Any:
    return sftp._handler._writer.channel  # type: ignore[union-attr]


ENDS: dict[str, Callable[[Any], None]] = {
    "the channel is closed": lambda channel: channel.close(),
    "the channel is aborted": lambda channel: channel.abort(),
    "end of file is sent": lambda channel: channel.write_eof(),
    "a signal is sent": lambda channel: channel.send_signal("INT"),
    "a break is sent": lambda channel: channel.send_break(100),
    "the connection is closed": lambda channel: channel.get_connection().close(),
    "the connection is aborted": lambda channel: channel.get_connection().abort(),
    "the connection is reset": lambda channel: _reset(channel),
}


def _reset(channel: Any) -> None:
    connection = channel.get_connection()
    raw = connection.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.abort()


@pytest.mark.parametrize("end", ENDS)
async def test_only_the_clients_own_close_publishes_an_upload(published: SftpHouse, end: str) -> None:
    with suppress(asyncssh.Error, OSError):
        async with published.client() as sftp:
            file = await sftp.open("sync_users.csv", "wb")
            other = await sftp.open("other", "wb")
            await file.write(BLOCK)
            await other.write(BLOCK)
            ENDS[end](channel_of(sftp))
            await was_interrupted(published, len(BLOCK))
    assert published.at("other") is None
    assert sorted(published.metrics.uploads) == [("acme", "aborted")] * 2 + [("acme", "completed")]


async def test_a_window_change_during_an_upload_is_ignored(published: SftpHouse) -> None:
    async with published.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(BLOCK)
        channel_of(sftp).change_terminal_size(80, 24)
        await file.write(b"end\n")
        await file.close()
    assert published.real.events == ["arriving", "landed"]
    assert published.visible == BLOCK + b"end\n"


async def test_a_window_change_and_then_a_lost_connection_publish_nothing(published: SftpHouse) -> None:
    with suppress(asyncssh.Error, OSError):
        async with published.client() as sftp:
            file = await sftp.open("sync_users.csv", "wb")
            await file.write(BLOCK)
            channel_of(sftp).change_terminal_size(80, 24)
            await file.write(BLOCK)
            _reset(channel_of(sftp))
            await was_interrupted(published, 2 * len(BLOCK))


@needs("sftp")
@pytest.mark.parametrize("victim", ["sftp", "ssh"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_killed_client_publishes_nothing(published: SftpHouse, victim: str, number: signal.Signals) -> None:
    big = _big_file(published)
    async with published.slow_sftp(f"put {big} sync_users.csv") as process:
        await published.half_way()
        os.kill(process.pid if victim == "sftp" else _child_of(process.pid), number)
        await was_interrupted(published)
        assert 0 < published.real.last.size < big.stat().st_size


@needs("sftp")
async def test_a_client_stopped_by_ctrl_c_closes_half_a_file_and_its_record_shows_it(published: SftpHouse) -> None:
    big = _big_file(published)
    async with published.slow_sftp(f"put {big} sync_users.csv") as process:
        await published.half_way()
        process.send_signal(signal.SIGINT)
        await eventually(lambda: published.real.events == ["arriving", "landed"])
    assert published.real.last.size < big.stat().st_size
    assert published.real.last.written is not None
    assert published.real.last.written.ends_full


@needs("sftp")
async def test_half_a_file_renamed_after_ctrl_c_keeps_its_record(published: SftpHouse) -> None:
    big = _big_file(published)
    async with published.slow_sftp(f"put {big} part", "rename part sync_users.csv") as process:
        await published.half_way()
        process.send_signal(signal.SIGINT)
        await eventually(lambda: published.real.events == ["arriving", "landed"])
    assert published.real.last.origin == "rename"
    assert published.real.last.written is not None
    assert published.real.last.written.ends_full


def _big_file(house: SftpHouse) -> Path:
    path = house.work / "big"
    path.write_bytes(b"some line of a file\n" * 400_000)
    return path


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


# The server ends, or ends the session


async def test_a_server_that_stops_publishes_nothing(published: SftpHouse) -> None:
    with suppress(asyncssh.Error, OSError):
        async with published.client() as sftp:
            file = await sftp.open("sync_users.csv", "wb")
            await file.write(BLOCK)
            await published.listener.close(5)
            await was_interrupted(published, len(BLOCK))
    assert "stopping" in published.real.reasons[0]


@pytest.mark.logs("session_ended")
async def test_a_revoked_key_ends_the_session_and_publishes_nothing(published: SftpHouse) -> None:
    with suppress(asyncssh.Error, OSError):
        async with published.client() as sftp:
            file = await sftp.open("sync_users.csv", "wb")
            await file.write(BLOCK)
            ring = published.tenants.ring("acme")
            await ring.revoke((await ring.keys())[0].fingerprint)
            await was_interrupted(published, len(BLOCK))


async def test_an_idle_client_is_disconnected_and_publishes_nothing(published: SftpHouse) -> None:
    with suppress(asyncssh.Error, OSError):
        async with published.client() as sftp:
            file = await sftp.open("sync_users.csv", "wb")
            await file.write(BLOCK)
            (connection,) = published.listener._sessions.connections
            connection.active_at -= published.settings.idle_timeout_s + 1
            await was_interrupted(published, len(BLOCK))
    assert "idle" in published.real.reasons[0]


# A write, or the hook, fails


async def test_a_write_beyond_the_quota_fails_and_its_close_publishes_nothing(
    published: SftpHouse,
) -> None:
    await published.limit(quota_bytes=100_000)
    async with published.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        for _ in range(3):
            await file.write(BLOCK)
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await file.write(BLOCK)
        with pytest.raises(asyncssh.SFTPError, match="earlier write"):
            await file.write(b"x")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await file.close()
    await was_interrupted(published, 3 * len(BLOCK))


async def test_a_file_longer_than_the_limit_is_refused(published: SftpHouse) -> None:
    await published.limit(max_file_bytes=50_000)
    async with published.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(BLOCK)
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await file.write(BLOCK)
        with pytest.raises(asyncssh.SFTPError):
            await file.close()
    await was_interrupted(published, len(BLOCK))


async def test_an_append_that_is_interrupted_at_its_first_write_publishes_nothing(published: SftpHouse) -> None:
    await published.limit(max_file_bytes=len(BEFORE))
    async with published.client() as sftp:
        file = await sftp.open("sync_users.csv", "ab")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await file.write(b"x")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await file.close()
    await was_interrupted(published, 0)


async def test_a_write_that_the_disk_refuses_publishes_nothing(published: SftpHouse) -> None:
    async with published.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(BLOCK)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # the system refuses, as with a full disk
        try:
            with pytest.raises(asyncssh.SFTPFailure, match="File too large"):
                await file.write(BLOCK)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        with pytest.raises(asyncssh.SFTPFailure, match="the upload was discarded because a write failed"):
            await file.close()
    await was_interrupted(published, len(BLOCK))


async def test_a_client_gets_an_error_if_its_import_cannot_be_queued(
    published: SftpHouse,
) -> None:
    published.real.refuse = "the queue is full"
    async with published.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(BLOCK)
        with pytest.raises(asyncssh.SFTPError, match="the queue is full"):
            await file.close()
    await published.nothing_open()
    assert published.real.events == []
    assert published.visible == BEFORE


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        pytest.param(
            *(
                ValueError("an internal fault"),
                "Internal error. Tell the operator of the server: its log has the cause",
            ),
            marks=pytest.mark.logs("sftp_request_failed"),
        ),
        pytest.param(
            *(
                DatabaseUnusable("/data/headcount.db is damaged"),
                "Internal error. Tell the operator of the server: its log has the cause",
            ),
            marks=pytest.mark.logs("sftp_request_failed"),
        ),
    ],
)
@pytest.mark.parametrize("by", ["close", "rename", "first close", "first rename"])
async def test_a_file_that_cannot_be_queued_fails_with_the_reason_and_the_old_file_stays(
    published: SftpHouse, fault: Exception, told: str, by: str
) -> None:
    if by.startswith("first"):
        published.stored.unpublish("acme", "sync_users.csv")
    published.real.fail_landed = fault
    async with published.client() as sftp:
        file = await sftp.open("sync_users.csv" if by.endswith("close") else "part", "wb")
        await file.write(BLOCK)
        if by.endswith("rename"):
            await file.close()
        with pytest.raises(asyncssh.SFTPError, match=told):
            await (file.close() if by.endswith("close") else sftp.posix_rename("part", "sync_users.csv"))
    await published.nothing_open()
    assert published.real.events == ["arriving", "failed"]
    assert published.real.kept()[-1] is None
    if by.startswith("first"):
        assert published.visible is None
    else:
        assert published.visible == BEFORE
    assert (published.at("part") is not None) == by.endswith("rename")


@pytest.mark.logs("sftp_session_failed")
async def test_a_file_that_cannot_be_discarded_keeps_no_other_file_open(
    published: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon, faults = Endings.abandon, [RuntimeError("an internal fault")]

    async def fails_once(*args: Any) -> None:
        await abandon(*args)
        if faults:
            raise faults.pop()

    monkeypatch.setattr(Endings, "abandon", fails_once)
    async with published.client() as sftp:
        for name in ("sync_users.csv", "other"):
            await (await sftp.open(name, "wb")).write(BLOCK)
    await published.nothing_open()
    assert published.real.events == ["aborted"]
    assert published.visible == BEFORE
    async with published.client() as sftp:
        assert await sftp.exists("sync_users.csv")


async def test_a_folder_removed_during_the_upload_fails_the_close(published: SftpHouse) -> None:
    async with published.client() as sftp:
        await sftp.mkdir("a")
        file = await sftp.open("a/file", "wb")
        await file.write(BLOCK)
        await sftp.rmdir("a")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await file.close()
    await published.nothing_open()


@pytest.mark.only_on("sqlite", "it is about descriptors of files on the disk")
async def test_a_canceled_session_keeps_its_files_open_until_its_thread_ends(
    published: SftpHouse,
) -> None:
    begun, go_on, found = threading.Event(), threading.Event(), []
    folder = os.open(published.files, os.O_RDONLY)

    def work() -> None:
        begun.set()
        go_on.wait(10)
        found.append(os.fstat(folder))

    async def session() -> None:
        try:
            await space.in_thread(work)
        finally:
            os.close(folder)

    async with published.client():
        (space,) = published.listener._sessions._opened.values()
        task = asyncio.create_task(session())
        await asyncio.to_thread(begun.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: found, what="the thread to end")


# The report of an interrupted upload


@pytest.mark.parametrize(
    ("path", "hears"),
    [
        ("sync_users.csv.filepart", "real"),
        ("test/sync_users.csv", "dry"),
        ("test/sync_users.csv.part", "dry"),
        ("other.csv", None),
        ("Sync_Users.csv", None),
    ],
)
async def test_an_interrupted_upload_is_reported_to_the_hook_it_was_meant_for(
    house: SftpHouse, path: str, hears: str | None
) -> None:
    async with house.client() as sftp:
        file = await sftp.open(path, "wb")
        await file.write(BLOCK)
    await house.nothing_open()
    assert house.real.events == (["aborted"] if hears == "real" else [])
    assert house.dry.events == (["aborted"] if hears == "dry" else [])
    assert ("acme", "aborted") in house.metrics.uploads
    if hears:
        hook = house.real if hears == "real" else house.dry
        assert (hook.last.path, hook.last.size) == (f"/{path}", len(BLOCK))


async def test_a_handle_that_changed_nothing_is_not_an_interrupted_upload(published: SftpHouse) -> None:
    async with published.client() as sftp:
        await sftp.open("sync_users.csv", "r+b")
        await sftp.open("sync_users.csv", "ab")
    await published.nothing_open()
    assert published.real.events == []


async def test_a_close_sent_right_before_the_end_of_the_connection_counts(published: SftpHouse) -> None:
    async with published.client() as sftp:
        file = await sftp.open("sync_users.csv", "wb")
        await file.write(BLOCK)
        closing: Awaitable[None] = asyncio.ensure_future(file.close())
        await asyncio.sleep(0)
        channel_of(sftp).write_eof()
        await closing
    assert published.real.events == ["arriving", "landed"]
