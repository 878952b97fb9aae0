"""The limits of one client: quota, handles, channels, sessions, handshakes, memory, algorithms, time."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import asyncssh
import pytest
from asyncssh.constants import FXF_READ, FXP_INIT, FXP_OPEN, FXP_READ, MSG_GLOBAL_REQUEST
from asyncssh.packet import Boolean, SSHPacket, String, UInt32, UInt64
from asyncssh.sftp import SFTPLimits

from server.files.local.leftovers import clear_staging
from server.files.paths import parse_path
from server.sftp import entrance
from server.sftp.algorithms import offered
from tests.support.keypairs import public_line
from tests.support.sftp import HOST, SftpHouse, run, sftp_house
from tests.support.waiting import DEADLINE_S, eventually

KIB = 1024
REFUSED = {255, -signal.SIGPIPE}
"""How OpenSSH's sftp ends if the server closes the connection: at once, or when it writes to its ended ssh."""


async def put(sftp: asyncssh.SFTPClient, path: str, content: bytes) -> None:
    async with sftp.open(path, "wb") as file:
        await file.write(content)


async def free(sftp: asyncssh.SFTPClient) -> int:
    space = await sftp.statvfs("/")
    return space.bavail * space.frsize


# Quota


async def test_statvfs_reports_the_quota_and_its_free_part(house: SftpHouse) -> None:
    await house.limit(quota_bytes=1024 * KIB, quota_files=10)
    async with house.client() as sftp:
        before = await sftp.statvfs("/")
        assert before.blocks * before.frsize == 1024 * KIB
        assert before.bavail * before.frsize == 1024 * KIB
        assert (before.files, before.favail) == (10, 10)
        await put(sftp, "file", b"x" * 100 * KIB)
        await sftp.mkdir("folder")
        after = await sftp.statvfs("/folder")
        assert after.bavail * after.frsize == 924 * KIB
        assert after.favail == 8


async def test_the_quota_counts_visible_files_and_unfinished_uploads(house: SftpHouse) -> None:
    await house.limit(quota_bytes=300 * KIB)
    async with house.client() as sftp:
        await put(sftp, "visible", b"x" * 100 * KIB)
        open_file = await sftp.open("open", "wb")
        await open_file.write(b"x" * 100 * KIB)
        third = await sftp.open("third", "wb")
        await third.write(b"x" * 100 * KIB)
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await third.write(b"x", 100 * KIB)
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await third.close()
        assert await free(sftp) == 100 * KIB
        await open_file.close()
        assert await free(sftp) == 100 * KIB
        await sftp.remove("visible")
        assert await free(sftp) == 200 * KIB


async def test_the_running_total_stays_correct_after_every_operation(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "a", b"x" * 10 * KIB)
        await put(sftp, "a", b"x" * 30 * KIB)
        await put(sftp, "b", b"x" * 20 * KIB)
        await sftp.posix_rename("a", "b")
        async with sftp.open("b", "ab") as file:
            await file.write(b"x" * KIB)
        await sftp.truncate("b", 5 * KIB)
        await sftp.truncate("b", 8 * KIB)
        await put(sftp, "sync_users.csv", b"x" * KIB)
        await put(sftp, "sync_users.csv", b"x" * 2 * KIB)
        await put(sftp, "part", b"x" * 3 * KIB)
        await sftp.posix_rename("part", "sync_users.csv")
        broken = await sftp.open("broken", "wb")
        await broken.write(b"x" * KIB)
        async with sftp.open("b", "r+b"):
            pass
        await sftp.mkdir("d")
        await sftp.mkdir("e")
        await sftp.posix_rename("d", "e")
        await sftp.rename("b", "e/b")
    await house.nothing_open()
    usage = await house.usage()
    assert (usage.size, usage.files) == (11 * KIB, 3)
    assert (house.names(), house.names("e")) == (["e", "results", "sync_users.csv", "test"], ["b"])
    assert sum(len(house.at(path) or b"") for path in ("sync_users.csv", "e/b")) == usage.size


async def test_existing_files_count_against_the_quota(house: SftpHouse) -> None:
    house.stored.make_folder("acme", "deep/er")
    house.publish("deep/er/file", b"x" * 90 * KIB)
    house.publish("results/report", b"x" * 90 * KIB)
    await house.limit(quota_bytes=100 * KIB)
    async with house.client() as sftp:
        assert await free(sftp) == 8 * KIB  # 10 KiB in whole blocks
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await put(sftp, "more", b"x" * 11 * KIB)


async def test_a_hole_counts_as_its_length(house: SftpHouse) -> None:
    async with house.client() as sftp:
        file = await sftp.open("sparse", "wb")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await file.write(b"x", 1 << 60)
        await put(sftp, "file", b"x")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await sftp.truncate("file", 1 << 60)
    assert house.at("file") == b"x"


async def test_files_and_folders_are_limited_in_number_but_a_file_can_be_replaced(house: SftpHouse) -> None:
    await house.limit(quota_files=2)
    async with house.client() as sftp:
        await put(sftp, "one", b"1")
        await sftp.mkdir("two")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await sftp.open("three", "wb")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await sftp.mkdir("three")
        await put(sftp, "one", b"other")
        await sftp.rmdir("two")
        await put(sftp, "three", b"3")


@pytest.mark.logs("upload_refused")
async def test_uploads_that_cannot_begin_for_want_of_space_are_counted_and_logged(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Their clients send no byte, and no import would tell the operator of them."""
    await house.limit(quota_files=2)
    async with house.client() as sftp:
        await sftp.mkdir("folder")
        await sftp.mkdir("other")
        for path, kind in (("sync_users.csv", "quota"), ("sync_users.csv", "quota"), ("folder/a/b", "No such file")):
            with pytest.raises(asyncssh.SFTPError, match=kind):
                await sftp.open(path, "wb")
    assert house.metrics.uploads == [("acme", "refused")] * 2
    logged = [each for each in caplog.records if getattr(each, "event", None) == "upload_refused"]
    assert logged[0].getMessage() == (
        "An upload of '/sync_users.csv' could not begin: "
        "quota exceeded: at most 2 files and folders are allowed; delete some."
    )


async def test_changed_limits_apply_to_open_sessions_within_seconds(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "file", b"x" * 100)
        await house.limit(max_file_bytes=10)

        async def refused() -> bool:
            try:
                await put(sftp, "file", b"x" * 100)
            except asyncssh.SFTPError as error:
                return "quota" in str(error)
            return False

        await eventually(refused)


async def test_lowered_limits_still_allow_a_file_to_be_replaced_or_emptied(house: SftpHouse) -> None:
    async with house.client() as sftp:
        for name in ("one", "two", "three"):
            await put(sftp, name, b"x" * 100)
    await house.limit(quota_bytes=10)
    async with house.client() as sftp:
        await put(sftp, "empty", b"")
        await sftp.truncate("two", 0)
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await put(sftp, "one", b"x")
    await house.limit(quota_bytes=KIB, quota_files=1)
    async with house.client() as sftp:
        await put(sftp, "one", b"x")
        with pytest.raises(asyncssh.SFTPError, match="quota"):
            await sftp.mkdir("folder")
    assert house.at("one") == b"x"


async def test_a_file_longer_than_a_lowered_limit_cannot_be_changed_in_part(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "file", b"x" * 100)
    await house.limit(max_file_bytes=10)
    async with house.client() as sftp:
        for mode in ("r+b", "ab"):
            with pytest.raises(asyncssh.SFTPError, match="quota"):
                await sftp.open("file", mode)
        await put(sftp, "file", b"short")
        assert await house.counts_truly()


async def test_a_file_or_folder_that_cannot_be_made_is_not_counted(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await sftp.mkdir("folder")
        for refused in ("folder", "missing/folder"):
            with pytest.raises(asyncssh.SFTPError):
                await sftp.mkdir(refused)
        assert await house.counts_truly()


@pytest.mark.only_on("sqlite", "a folder of the engine is missing")
async def test_a_file_without_a_folder_of_drafts_is_not_counted(house: SftpHouse) -> None:
    async with house.client() as sftp:
        house.folder.staging.rmdir()
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.open("file", "wb")
        assert await house.counts_truly()


# Handles, channels, sessions


async def test_open_files_and_folders_are_limited_and_closing_one_frees_a_place(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, max_handles=3) as house, house.client() as sftp:
        await put(sftp, "file", b"x")
        opened = [await sftp.open("file", "rb") for _ in range(2)]
        listing = await sftp._handler.opendir(b"/")
        with pytest.raises(asyncssh.SFTPFailure, match="Too many open files"):
            await sftp.open("file", "rb")
        with pytest.raises(asyncssh.SFTPFailure, match="Too many open files"):
            await sftp._handler.opendir(b"/")
        await sftp._handler.close(listing)
        opened.append(await sftp.open("file", "rb"))
        limits = await sftp._handler._make_request(b"limits@openssh.com")
        assert SFTPLimits.decode(cast(SSHPacket, limits)).max_open_handles == 3


async def test_open_files_count_over_all_channels_of_a_connection(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, max_handles=3) as house, house.connect() as connection:
        channels = [await connection.start_sftp_client() for _ in range(3)]
        await put(channels[0], "file", b"x")
        for channel in channels:
            await channel.open("file", "rb")
        with pytest.raises(asyncssh.SFTPFailure, match="Too many open files: at most 3"):
            await channels[0].open("file", "rb")
        channels[1].exit()
        await channels[1].wait_closed()
        await eventually(lambda: house.listener._sessions.entrance.handles.taken_by("acme") == 2)
        await channels[0].open("file", "rb")


async def test_open_files_count_over_all_connections_of_a_tenant(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, max_tenant_handles=3) as house, house.client() as first:
        await put(first, "file", b"x")
        async with house.client() as second:
            for client in (first, second, second):
                await client.open("file", "rb")
            with pytest.raises(asyncssh.SFTPFailure, match="at most 3 in all connections together"):
                await first.open("file", "rb")
        await eventually(lambda: house.listener._sessions.entrance.handles.taken_by("acme") == 1)
        await first.open("file", "rb")


async def test_no_descriptor_stays_open_after_a_session_with_open_handles(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await put(sftp, "file", b"x")
    await _leave_handles_open(house)  # opens what stays open, such as connections to a database
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await _leave_handles_open(house)
    await eventually(lambda: len(os.listdir("/proc/self/fd")) <= before)


async def _leave_handles_open(house: SftpHouse) -> None:
    async with house.client() as sftp:
        for mode in ("rb", "ab", "r+b", "wb"):
            await sftp.open("file", mode)
        await sftp._handler.opendir(b"/")
        with suppress(asyncssh.SFTPError):
            await sftp.open("missing/file", "wb")
    await house.nothing_open()


@pytest.mark.only_on("sqlite", "no other engine needs a descriptor to list a folder")
async def test_a_folder_that_cannot_be_listed_without_descriptors_takes_none(house: SftpHouse) -> None:
    async with house.client() as sftp:
        await sftp.listdir("/")
        (files,) = house.listener._sessions._opened.values()
        house.stop_watching()  # or it opens and closes descriptors meanwhile
        next_free = os.open("/", os.O_RDONLY)
        os.close(next_free)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_free + 1, hard))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                await files.listing(parse_path(b"/"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        free = os.open("/", os.O_RDONLY)
        os.close(free)
        assert free == next_free


async def test_channels_of_a_connection_are_limited(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, max_channels=2) as house, house.connect() as connection:
        first = await connection.start_sftp_client()
        await connection.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.start_sftp_client()
        first.exit()
        await first.wait_closed()

        async def another() -> bool:
            try:
                await connection.start_sftp_client()
            except asyncssh.ChannelOpenError:
                return False
            return True

        await eventually(another)


async def test_sessions_of_a_tenant_are_limited(house: SftpHouse) -> None:
    await house.limit(max_sessions=2)
    async with house.client(), house.client() as second:
        with pytest.raises((asyncssh.Error, OSError)):
            async with house.client():
                pass
        assert await second.listdir("results") == [".", ".."]
        assert house.metrics.sessions == 2
    await eventually(lambda: house.metrics.sessions == 0)
    async with house.client():
        pass


async def test_a_session_beyond_the_limit_gets_the_reason(house: SftpHouse) -> None:
    await house.limit(max_sessions=1)
    async with house.client():
        with pytest.raises(asyncssh.DisconnectError, match="Too many connections: acme has 1 open"):
            async with house.client():
                pass
        status, said = await house.sftp("ls")
        assert status in REFUSED
        assert "Received disconnect" in said
        assert "Too many connections: acme has 1 open, its limit." in said


async def test_a_connection_beyond_the_limit_gets_no_details(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entrance, "LINGER_S", DEADLINE_S)  # a client of a busy machine is slow to send and to read
    async with sftp_house(tmp_path, max_connections=1) as house, house.client():
        for _ in range(5):
            status, said = await house.sftp("ls")
            assert status in REFUSED
            assert "The server cannot accept a login now. Try again later." in said
            assert "acme" not in said.replace(f"acme@{HOST}", "")


async def test_sessions_of_a_removed_tenant_end_within_seconds(house: SftpHouse) -> None:
    async with house.connect() as connection:
        await house.tenants.remove("acme")
        await asyncio.wait_for(connection.wait_closed(), DEADLINE_S)


async def test_a_new_tenant_of_the_same_name_gets_no_session_of_the_old_one(house: SftpHouse) -> None:
    async with house.connect() as connection:
        await house.tenants.remove("acme")
        await house.tenants.add("acme", [public_line()])
        await asyncio.wait_for(connection.wait_closed(), DEADLINE_S)


async def test_a_client_from_a_network_that_is_not_allowed_cannot_log_in(house: SftpHouse) -> None:
    await house.tenants.change_settings("acme", {"allowed_networks": ["192.0.2.0/24"]})
    with pytest.raises(asyncssh.PermissionDenied):
        await eventually(lambda: _logs_in(house))


async def _logs_in(house: SftpHouse) -> bool:
    async with house.connect():
        return False  # the server rereads settings within a second


# Before logging in


async def test_connections_without_a_login_are_limited_per_address(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, max_handshakes_per_address=3) as house:
        idle = [await asyncio.open_connection(HOST, house.port) for _ in range(3)]
        for reader, _ in idle:
            assert (await reader.readline()).startswith(b"SSH-2.0-")
        reader, writer = await asyncio.open_connection(HOST, house.port)
        assert await reader.readline() == b"SSH-2.0-Headcount\r\n"
        assert b"The server cannot accept a login now" in await reader.read()
        writer.close()
        idle.pop()[1].close()
        await eventually(lambda: _can_connect(house))
        for _, open_writer in idle:
            open_writer.close()


async def _can_connect(house: SftpHouse) -> bool:
    try:
        async with house.client():
            return True
    except (asyncssh.Error, OSError):
        return False


async def test_logged_in_connections_do_not_count_as_handshakes(tmp_path: Path) -> None:
    one = sftp_house(tmp_path, max_handshakes_per_address=1)
    async with one as house, house.client(), house.client(), house.client():
        pass


async def test_a_client_that_does_not_log_in_is_disconnected(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, login_grace_s=0.2) as house:
        reader, writer = await asyncio.open_connection(HOST, house.port)
        await asyncio.wait_for(_to_the_end(reader), DEADLINE_S)
        writer.close()


async def _to_the_end(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        await reader.read()


async def test_the_greeting_names_neither_library_nor_version(house: SftpHouse) -> None:
    reader, writer = await asyncio.open_connection(HOST, house.port)
    assert await reader.readline() == b"SSH-2.0-Headcount\r\n"
    writer.close()


@pytest.mark.logs("key_exchange_failed")
async def test_a_client_that_shares_no_algorithm_is_logged_with_both_lists(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "server.sftp"), pytest.raises((asyncssh.Error, OSError)):
        async with house.client(kex_algs=["diffie-hellman-group14-sha1"]):
            pass
    await eventually(lambda: "diffie-hellman-group14-sha1" in caplog.text)
    assert "curve25519-sha256" in caplog.text


async def test_older_algorithms_are_offered_only_with_the_setting(tmp_path: Path) -> None:
    old: dict[str, Any] = {
        "kex_algs": ["diffie-hellman-group14-sha1"], "encryption_algs": ["aes128-cbc"], "mac_algs": ["hmac-sha1"],
    }  # fmt: skip
    async with sftp_house(tmp_path, sftp_legacy_algorithms=True) as house, house.client(**old) as sftp:
        await put(sftp, "file", b"x" * 100_000)
    without: list[dict[str, Any]] = [
        {"kex_algs": old["kex_algs"]},
        {"encryption_algs": ["aes128-ctr"], "mac_algs": old["mac_algs"]},
    ]
    for options in without:
        async with sftp_house(tmp_path) as house:
            with pytest.raises((asyncssh.Error, OSError)):
                await house.connect(**options).__aenter__()


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in ("kex_algs", "encryption_algs") for name in offered(legacy=False)[kind]],
)
async def test_a_client_that_knows_only_one_of_the_algorithms_works(house: SftpHouse, kind: str, name: str) -> None:
    async with house.client(**{kind: [name]}) as sftp:
        await put(sftp, "file", b"x" * 1000)
    assert house.at("file") == b"x" * 1000


async def test_ssh_audit_finds_no_failure(house: SftpHouse) -> None:
    audit = Path(sys.executable).with_name("ssh-audit")
    patient = f"--timeout={DEADLINE_S:g}"
    status, said = await run(str(audit), "--skip-rate-test", patient, "--json", "-p", str(house.port), HOST)
    found = json.loads(said)
    notes = {each["algorithm"]: each["notes"] for kind in ("kex", "key", "enc", "mac") for each in found[kind]}
    assert {name: of["fail"] for name, of in notes.items() if "fail" in of} == {}
    assert set(notes) >= {*offered(legacy=False)["kex_algs"], *offered(legacy=False)["encryption_algs"]}
    assert status in (0, 2), "warnings at most"


# Memory


async def test_a_read_is_answered_with_at_most_the_configured_bytes(house: SftpHouse) -> None:
    house.publish("big", b"x" * 1_000_000)
    async with house.client() as sftp:
        handle = await sftp._handler.open(b"big", FXF_READ, asyncssh.SFTPAttrs())
        data, _ = await sftp._handler.read(handle, 0, 600 * 1024 * KIB)
        assert len(data) == 256 * KIB
        tail, _ = await sftp._handler.read(handle, 999_990, 1 << 31)
        assert tail == b"x" * 10


@pytest.mark.parametrize("window", [2 * 1024 * KIB, (1 << 32) - 1])
async def test_a_client_that_takes_no_answers_takes_no_memory(house: SftpHouse, window: int) -> None:
    house.publish("big", os.urandom(1024 * KIB))
    async with house.connect() as connection:
        writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None, window=window)
        handle = await _raw_open(writer, reader, b"big")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        connection._transport.pause_reading()  # type: ignore[union-attr]
        for number in range(1000):
            writer.write(_packet(FXP_READ, UInt32(number), String(handle), UInt64(0), UInt32(256 * KIB)))
        try:
            await _settled(house)
            assert house.metrics.moved["out"] < 16 * 1024 * KIB
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 * KIB  # of KiB
        finally:
            connection.abort()


async def test_connection_requests_with_unread_answers_cost_no_memory(house: SftpHouse) -> None:
    async with house.connect() as connection:
        (theirs,) = house.listener._sessions.connections
        transport = cast(Any, theirs._conn)._transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        inside = cast(Any, connection)
        inside._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        inside._transport.pause_reading()
        try:
            for number in range(20_000):
                inside.send_packet(MSG_GLOBAL_REQUEST, String("nothing@headcount.example"), Boolean(True))
                if number % 100 == 0:
                    await asyncio.sleep(0)
            await eventually(lambda: not theirs._drained.is_set(), what="a full queue of answers")
            assert transport.get_write_buffer_size() < 128 * KIB
        finally:
            connection.abort()


@pytest.mark.parametrize(
    ("request_name", "parts"), [("signal", [String("TERM")]), ("break", [UInt32(0)]), ("env", [])]
)
async def test_channel_requests_do_not_pile_up_while_the_session_waits(
    house: SftpHouse, request_name: str, parts: list[bytes]
) -> None:
    async with house.connect() as connection:
        writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
        writer.write(_packet(FXP_INIT, UInt32(3)))
        await reader.readexactly(4)
        (theirs,) = house.listener._sessions.connections
        (handler,) = theirs.handlers
        room, session = theirs._drained, cast(Any, handler._reader)._session
        room.clear()  # as if the client did not take its answers
        writer.write(_packet(FXP_INIT, UInt32(3)))
        channel = cast(Any, writer.channel)
        for number in range(100):
            told = parts or [String(f"NAME{number}"), String("x")]
            channel._send_request(request_name.encode(), *told)
        await cast(Any, connection)._make_global_request(b"nothing@headcount.example")  # answered after all of them
        assert len(session._recv_buf[None]) <= 3
        assert not session._chan._env
        room.set()


def _packet(kind: int, *parts: bytes) -> bytes:
    payload = bytes([kind]) + b"".join(parts)
    return UInt32(len(payload)) + payload


async def _raw_open(writer: Any, reader: Any, path: bytes) -> bytes:
    """Send INIT and OPEN by hand, because an SFTP client would take the answers."""
    writer.write(_packet(FXP_INIT, UInt32(3)))
    writer.write(_packet(FXP_OPEN, UInt32(0), String(path), UInt32(FXF_READ), UInt32(0)))
    answers = [await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big")) for _ in range(2)]
    packet = SSHPacket(answers[1])
    packet.get_bytes(5)
    return packet.get_string()


async def _settled(house: SftpHouse) -> None:
    """Wait until the server stops sending."""
    sent = -1
    while sent != house.metrics.moved["out"]:
        sent = house.metrics.moved["out"]
        await asyncio.sleep(0.2)


async def test_a_packet_longer_than_any_client_sends_ends_the_session(house: SftpHouse) -> None:
    async with house.client() as sftp:
        sftp._handler._writer.channel.write(UInt32(1 << 31))  # type: ignore[union-attr]
        await house.nothing_open()
    async with house.client():
        pass


async def test_a_malformed_request_gets_an_answer_and_the_session_continues(house: SftpHouse) -> None:
    async with house.client() as sftp:
        with pytest.raises(asyncssh.SFTPError):
            await sftp._handler._make_request(FXP_READ, String(b"no such handle"))
        with pytest.raises(asyncssh.SFTPError):
            await sftp._handler._make_request(b"copy-data", String(b"x"))
        assert "results" in await sftp.listdir()


@pytest.mark.only_on("sqlite", "a folder is replaced by a link")
@pytest.mark.logs("no_files")
async def test_a_tenant_whose_files_cannot_be_opened_gets_no_session_and_a_log_line(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house.files.rename(house.folder.root / "elsewhere")
    house.files.symlink_to(house.folder.root / "elsewhere")
    with pytest.raises((asyncssh.Error, OSError)):
        async with house.client():
            pass
    assert "cannot be opened" in caplog.text


# Files of earlier runs


@pytest.mark.only_on("sqlite", "a file is left in the folder of drafts")
async def test_unfinished_uploads_in_staging_are_removed_at_the_start(house: SftpHouse) -> None:
    (house.folder.staging / "left").write_bytes(b"x")
    assert await clear_staging(house.folder.root, "acme", house.hooks) == 1
    assert house.staged() == []
    assert await clear_staging(house.folder.root / "missing", "acme", house.hooks) == 0
    assert house.real.events == []
