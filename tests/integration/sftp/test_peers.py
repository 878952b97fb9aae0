"""Third-party clients with the real listener: the same four promises hold for all."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.sftp.test_sftp_clients import CONTENT, SHORTER, landed_whole
from tests.support.clients import needs
from tests.support.peers import PEERS, Peer
from tests.support.sftp import SftpHouse
from tests.support.waiting import eventually

REPORT = b'{"state": "completed"}'


@pytest.fixture(params=[pytest.param(peer, id=name, marks=needs(*peer.NEEDS)) for name, peer in PEERS.items()])
async def peer(
    request: pytest.FixtureRequest, house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Peer]:
    kind: type[Peer] = request.param
    async with kind(house) as peer:
        yield peer
        landed = list(house.real.events)
    await house.nothing_open()
    assert house.real.events == landed
    assert "Traceback" not in peer.said
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
def local(house: SftpHouse) -> Path:
    path = house.work / "local.csv"
    path.write_bytes(CONTENT)
    return path


async def landed(house: SftpHouse, times: int, content: bytes = CONTENT) -> None:
    """Wait for the last of `times` uploads: sshfs closes a file after cp has ended."""
    await eventually(lambda: len(house.real.events) >= 2 * times and not house.staged(), what="the upload to land")
    assert house.real.events == ["arriving", "landed"] * times
    landed_whole(house, content)


async def test_a_put_at_the_path_of_a_hook_lands_once(house: SftpHouse, peer: Peer, local: Path) -> None:
    await peer.put(local, "sync_users.csv")
    await landed(house, 1)


async def test_the_same_put_again_lands_once_more(house: SftpHouse, peer: Peer, local: Path) -> None:
    for day in (1, 2):
        await peer.put(local, "sync_users.csv")
        await landed(house, day)


async def test_a_rename_to_the_path_of_a_hook_lands_every_day(house: SftpHouse, peer: Peer, local: Path) -> None:
    for day, content in enumerate((CONTENT, SHORTER)):
        local.write_bytes(content)
        await peer.put(local, "sync_users.part")
        assert len(house.real.events) == 2 * day
        await peer.rename("sync_users.part", "sync_users.csv")
        await landed(house, day + 1, content)
        assert house.at("sync_users.part") is None
    assert house.real.kept()[0] == CONTENT


async def test_a_report_is_fetched_completely(house: SftpHouse, peer: Peer) -> None:
    house.publish("results/sync_users-1.json", REPORT)
    await peer.get("results/sync_users-1.json", house.work / "report.json")
    assert (house.work / "report.json").read_bytes() == REPORT
    assert house.real.events == []
