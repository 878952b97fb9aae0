"""Bans of source addresses, with a real server and real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncssh
import pytest

from tests.support.keypairs import keypair
from tests.support.sftp import HOST, SftpHouse, sftp_house
from tests.support.waiting import eventually

GOOD, BAD = "127.0.0.7", "127.0.0.66"
WRONG = [keypair(number=number) for number in range(10, 15)]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SftpHouse]:
    async with sftp_house(tmp_path) as house:
        house.stop_clock_of_bans()
        yield house


async def greeting(house: SftpHouse, source: str) -> bytes:
    """Return the first line that a connection from `source` gets; empty if it is closed at once."""
    reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(source, 0))
    try:
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def flood(house: SftpHouse, source: str, times: int = 20) -> None:
    """Open and close `times` connections without a login, one by one; return when the server has ended all."""
    for _ in range(times):
        await greeting(house, source)
    await all_logged_in(house)


async def refused(house: SftpHouse, source: str, *keys: asyncssh.SSHKey) -> None:
    """Connect once with wrong keys."""
    with pytest.raises(asyncssh.PermissionDenied):
        async with house.connect(client_keys=list(keys), local_addr=(source, 0)):
            pass
    await all_logged_in(house)


async def all_logged_in(house: SftpHouse) -> None:
    """Wait until the server has ended all connections without a login: they have their penalty then."""
    await eventually(lambda: not [each for each in house.listener._sessions.connections if each.login is None])


async def banned(house: SftpHouse, source: str = BAD) -> bool:
    return source in house.listener.gate.bans()


async def test_a_client_that_offers_five_wrong_keys_is_not_banned(house: SftpHouse) -> None:
    await refused(house, BAD, *WRONG)
    assert not house.listener.gate.bans()
    async with house.client(client_keys=[*WRONG, keypair()], local_addr=(BAD, 0)) as sftp:
        assert await sftp.listdir("/")


async def test_refused_logins_ban_only_their_source(house: SftpHouse, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(4):
        if not await banned(house):
            await refused(house, BAD, WRONG[0])
    assert await greeting(house, BAD) == b""
    assert await greeting(house, GOOD) == b"SSH-2.0-Headcount\r\n"
    assert house.listener.gate.bans()[BAD].reason == "refused logins"
    said = [record for record in caplog.records if getattr(record, "event", "") == "source_banned"]
    assert [record.getMessage().partition(" is banned for ")[0] for record in said] == [BAD]
    assert house.metrics.bans == 1


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
async def test_clients_of_a_broken_tenant_ban_no_address(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, penalty_no_login_s=0) as house:
        house.folder.users_db.write_bytes(b"garbage" * 1000)
        for _ in range(6):
            await refused(house, BAD, WRONG[0])
        assert not house.listener.gate.bans()


@pytest.mark.parametrize("user", ["acme", "umbrella"])
async def test_the_end_of_a_refused_login_reads_its_tenant_once(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    looked: list[str] = []
    account = house.accounts.account
    monkeypatch.setattr(house.accounts, "account", lambda name: looked.append(name) or account(name))
    with pytest.raises(asyncssh.PermissionDenied):
        async with house.connect(username=user, client_keys=[], local_addr=(BAD, 0)):
            pass
    await eventually(lambda: house.metrics.logins)
    await eventually(lambda: not house.listener._sessions.connections)
    assert looked == [user]


@pytest.mark.logs("login")
async def test_a_flood_without_logins_is_banned_while_a_tenant_elsewhere_works(house: SftpHouse) -> None:
    await flood(house, BAD)
    before = house.metrics.logins.count(("", "limited"))
    for _ in range(5):
        assert await greeting(house, BAD) == b""
    assert house.metrics.logins.count(("", "limited")) == before + 5
    async with house.client(local_addr=(GOOD, 0)) as sftp:
        assert await sftp.listdir("/")


async def test_a_connection_of_a_banned_source_is_closed_before_it_gets_an_object(
    house: SftpHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await flood(house, BAD)
    made: list[object] = []
    monkeypatch.setattr(house.listener._sessions, "connection", made.append)
    assert await greeting(house, BAD) == b""
    assert made == []


async def test_a_login_ends_the_penalties_of_its_source(house: SftpHouse) -> None:
    for _ in range(2):
        await refused(house, BAD, WRONG[0])
        await refused(house, BAD, WRONG[0])
        async with house.connect(local_addr=(BAD, 0)):
            pass
    assert house.metrics.bans == 0


async def test_bans_of_an_address_with_a_session_are_short(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, penalty_no_login_s=300, penalty_min_s=2) as house:
        clock = house.stop_clock_of_bans()
        async with house.client(local_addr=(BAD, 0)) as sftp:
            await flood(house, BAD, 5)
            assert house.listener.gate.bans()[BAD].rest_s <= 2
            assert await sftp.listdir("/")
            clock.now += 2
            assert await greeting(house, BAD)
            await all_logged_in(house)
        await eventually(lambda: house.metrics.sessions == 0)
        clock.now += 2
        assert BAD not in house.listener.gate.bans()
        await flood(house, BAD, 1)
        assert house.listener.gate.bans()[BAD].rest_s > 200


async def test_networks_on_the_allow_list_are_neither_banned_nor_capped(tmp_path: Path) -> None:
    limits = {"unbanned_networks": "127.0.0.64/26", "max_handshakes_per_address": 1}
    async with sftp_house(tmp_path, **limits) as house:
        await flood(house, BAD, 30)
        idle = [await asyncio.open_connection(HOST, house.port, local_addr=(BAD, 0)) for _ in range(3)]
        for reader, _ in idle:
            assert await reader.readline() == b"SSH-2.0-Headcount\r\n"
        assert not house.listener.gate.bans()
        assert ("", "limited") not in house.metrics.logins
        for _, writer in idle:
            writer.close()


async def test_a_connection_without_a_login_within_the_grace_time_has_its_own_penalty(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, login_grace_s=0.2, penalty_grace_s=20) as house:
        reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(BAD, 0))
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        await eventually(lambda: house.listener.gate.bans().keys() == {BAD})
        assert "grace time" in house.listener.gate.bans()[BAD].reason


async def test_a_login_beyond_the_cap_of_sessions_is_limited_without_a_penalty(house: SftpHouse) -> None:
    await house.limit(max_sessions=1)
    async with house.connect():
        for _ in range(5):
            with pytest.raises((asyncssh.Error, OSError)):
                async with house.client(local_addr=(BAD, 0)):
                    pass
        await eventually(lambda: house.metrics.logins.count(("acme", "limited")) == 5)
    assert not house.listener.gate.bans()


async def test_a_connection_beyond_the_cap_of_handshakes_is_limited_without_a_penalty(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, max_handshakes_per_address=1, penalty_no_login_s=20) as house:
        reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(BAD, 0))
        assert await reader.readline() == b"SSH-2.0-Headcount\r\n"
        turned_away, other = await asyncio.open_connection(HOST, house.port, local_addr=(BAD, 0))
        assert b"The server cannot accept a login now" in await turned_away.read()
        other.close()
        assert house.metrics.logins == [("", "limited")]
        assert not house.listener.gate.bans()
        writer.close()


async def test_connections_that_a_stopping_server_ends_get_no_penalty(tmp_path: Path) -> None:
    async with sftp_house(tmp_path, penalty_no_login_s=20) as house:
        reader, writer = await asyncio.open_connection(HOST, house.port, local_addr=(BAD, 0))
        assert await reader.readline()
    with suppress(ConnectionError):
        await reader.read()
    writer.close()
    assert not house.listener.gate.bans()
