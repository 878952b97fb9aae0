"""Bans while they cannot be written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from server.tenants.tenants import Tenants
from tests.contract.tenants.test_bans import A, House, ban
from tests.support.installation import Installation, installation
from tests.support.waiting import eventually


@pytest.fixture
def stored(tmp_path: Path) -> Installation:
    return installation(tmp_path)


@pytest.fixture
async def tenants(stored: Installation) -> AsyncIterator[Tenants]:
    async with stored.open() as opened:
        yield opened


@pytest.fixture
def house(tenants: Tenants) -> House:
    return House(tenants.store)


@pytest.mark.logs("bans_unwritten")
async def test_bans_that_cannot_be_written_hold_and_are_written_later(
    stored: Installation, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.sftp.bans.keeper.ROUND_S", 0.01)
    gate, keeper = await house.start()
    with stored.without("bans"):
        ban(gate, "192.0.2.1")
        keeper.start()
        await eventually(lambda: [each for each in caplog.records if getattr(each, "event", "") == "bans_unwritten"])
        assert not gate.admits(ip_address(A))
    await eventually(house.book.sources, what="the ban to be written")
    await keeper.stop()


@pytest.mark.only_on("sqlite", "a setting of the engine's connection refuses writes")
async def test_a_disk_that_refuses_bans_is_logged_once_without_a_traceback(
    tenants: Tenants, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.sftp.bans.keeper.ROUND_S", 0.01)
    gate, keeper = await house.start()
    write, tries = house.book.write, 0

    async def counted(*args: Any, **kwargs: Any) -> set[str]:
        nonlocal tries
        tries += 1
        return await write(*args, **kwargs)

    monkeypatch.setattr(house.book, "write", counted)
    await tenants.store.ledger.db.execute("PRAGMA query_only=ON")
    ban(gate, "192.0.2.1")
    keeper.start()
    await eventually(lambda: tries >= 5, what="tries to write the ban")
    await tenants.store.ledger.db.execute("PRAGMA query_only=OFF")
    await eventually(house.book.sources, what="the ban to be written")
    await keeper.stop()
    (line,) = [each for each in caplog.records if getattr(each, "event", "") == "bans_unwritten"]
    assert "the database is read-only for the server" in line.message
    assert line.exc_info is None
