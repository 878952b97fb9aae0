"""The uses of keys while they cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.tenants.access import key_uses as key_uses_module
from server.tenants.access.key_uses import KeyUses
from server.tenants.tenants import Tenants
from tests.contract.tenants.test_key_uses import ANN, FIRST, Stand
from tests.support.installation import Installation, installation
from tests.support.keypairs import public_line
from tests.support.waiting import eventually


@pytest.fixture
def stored(tmp_path: Path) -> Installation:
    return installation(tmp_path)


@pytest.fixture
async def tenants(stored: Installation) -> AsyncIterator[Tenants]:
    async with stored.open() as opened:
        await opened.add("acme", [public_line(number=number) for number in (1, 2)])
        yield opened


@pytest.fixture
def stand(tenants: Tenants) -> Stand:
    return Stand(tenants.store, tenants.ring("acme"))


async def test_uses_that_a_busy_database_refuses_are_written_later(
    stored: Installation, tenants: Tenants, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.impatient(monkeypatch, 0.01)
    async with stored.store() as store:
        uses = KeyUses(store.key_uses(), tenants.ring, lambda: stand.now)
        uses.used("acme", ANN, "192.0.2.7")
        with stored.writing("key_uses"):
            await uses.stop()
            assert await uses.of("acme") == {ANN: FIRST}
        assert await stand.written() == {}
        await uses.stop()
    assert await stand.written() == {ANN: FIRST}


async def test_a_use_is_shown_at_every_moment_while_it_is_being_written(stored: Installation, stand: Stand) -> None:
    stand.uses.start()
    with stored.writing("key_uses"):
        stand.uses.used("acme", ANN, "192.0.2.7")
        for _ in range(20):
            assert await stand.uses.of("acme") == {ANN: FIRST}
            await asyncio.sleep(0.01)
    await stand.uses.stop()
    assert await stand.written() == {ANN: FIRST}


@pytest.mark.logs("key_uses_unwritten")
async def test_uses_that_fail_to_be_written_are_written_later(
    stored: Installation, stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_uses_module, "WRITE_S", 0.01)
    with stored.without("key_uses"):
        stand.uses.start()
        stand.uses.used("acme", ANN, "192.0.2.7")
        unwritten = "key_uses_unwritten"
        await eventually(lambda: [each for each in caplog.records if getattr(each, "event", "") == unwritten])

    async def is_written() -> bool:
        return await stand.written() == {ANN: FIRST}

    await eventually(is_written, what="the use to be written")
    await stand.uses.stop()
