"""A download equals the file on the server with every cipher, window and packet size, and across new keys."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import asyncssh
import pytest
from asyncssh.sftp import start_sftp_client

from server.sftp.algorithms import CIPHERS, MACS
from tests.support.clients import needs
from tests.support.sftp import SftpHouse

KIB = 1024
CONTENT = os.urandom(1500 * KIB + 7)


@pytest.fixture(autouse=True)
def _there(house: SftpHouse) -> None:
    house.publish("big", CONTENT)


async def fetched(sftp: asyncssh.SFTPClient) -> bytes:
    async with sftp.open("big", "rb") as file:
        return await file.read()


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_a_download_is_complete_with_every_cipher(house: SftpHouse, cipher: str) -> None:
    async with house.client(encryption_algs=[cipher]) as sftp:
        assert await fetched(sftp) == CONTENT


@pytest.mark.parametrize("mac", MACS)
async def test_a_download_is_complete_with_every_mac(house: SftpHouse, mac: str) -> None:
    async with house.client(encryption_algs=["aes256-ctr"], mac_algs=[mac]) as sftp:
        assert await fetched(sftp) == CONTENT


@pytest.mark.parametrize(("window", "packet"), [(5000, 32 * KIB), (300 * KIB, 1024), (70_001, 40_000)])
async def test_a_download_is_complete_through_a_small_window(house: SftpHouse, window: int, packet: int) -> None:
    async with house.connect() as connection:
        writer, reader, _ = await connection.open_session(
            subsystem="sftp", encoding=None, window=window, max_pktsize=packet
        )
        loop = asyncio.get_running_loop()
        async with await start_sftp_client(connection, loop, "strict", reader, writer, "utf-8", "strict", 3) as sftp:
            assert await fetched(sftp) == CONTENT


@pytest.mark.parametrize("cipher", ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"])
async def test_a_download_is_complete_while_the_server_asks_for_new_keys(house: SftpHouse, cipher: str) -> None:
    async with house.client(encryption_algs=[cipher]) as sftp:
        (theirs,) = house.listener._sessions.connections
        inside: Any = theirs._conn
        inside._rekey_bytes = 200 * KIB
        before = inside._server_kexinit
        assert await fetched(sftp) == CONTENT
        assert inside._server_kexinit != before
        assert inside._rekey_bytes_sent < 700 * KIB


async def test_new_keys_are_exchanged_when_their_time_is_over(house: SftpHouse) -> None:
    async with house.client() as sftp:
        (theirs,) = house.listener._sessions.connections
        inside: Any = theirs._conn
        before, inside._rekey_time = inside._server_kexinit, 0.0
        assert await fetched(sftp) == CONTENT
        assert inside._server_kexinit != before


@needs("sftp")
async def test_a_download_is_complete_while_the_client_asks_for_new_keys(house: SftpHouse) -> None:
    back = house.work / "back"
    options = house.ssh_options
    house.ssh_options = lambda: [*options(), "-o", "RekeyLimit=200K"]  # type: ignore[method-assign]
    status, said = await house.sftp(f"get big {back}")
    assert status == 0, said
    assert back.read_bytes() == CONTENT
