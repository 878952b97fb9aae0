"""The uses of keys while headcount.db cannot be written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.sqlite.database import transaction
from engine.sqlite.store import open_store
from server.tenants import key_uses as key_uses_module
from server.tenants.key_uses import KeyUses
from server.tenants.local.folder import server_database
from server.tenants.tenants import Tenants
from tests.contract.tenants.test_key_uses import ANN, FIRST, Stand
from tests.support.installation import open_tenants
from tests.support.keypairs import public_line
from tests.support.waiting import eventually


@pytest.fixture
async def tenants(tmp_path: Path) -> AsyncIterator[Tenants]:
    async with open_tenants(tmp_path) as opened:
        await opened.add("acme", [public_line(number=number) for number in (1, 2)])
        yield opened


@pytest.fixture
def stand(tenants: Tenants) -> Stand:
    return Stand(tenants.store, tenants.ring("acme"))


async def test_uses_that_a_busy_database_refuses_are_written_later(
    tenants: Tenants, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.sqlite.database.BUSY_TIMEOUT_S", 0.01)
    async with open_store(server_database(tenants.data_dir)) as store:
        uses = KeyUses(store.key_uses(), tenants.ring, lambda: stand.now)
        uses.used("acme", ANN, "192.0.2.7")
        async with transaction(tenants.store.ledger.db):
            await uses.stop()
            assert await uses.of("acme") == {ANN: FIRST}
        assert await stand.written() == {}
        await uses.stop()
    assert await stand.written() == {ANN: FIRST}


@pytest.mark.logs("key_uses_unwritten")
async def test_uses_that_fail_to_be_written_are_written_later(
    tenants: Tenants, stand: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_uses_module, "WRITE_S", 0.01)
    await tenants.store.ledger.db.execute("ALTER TABLE key_uses RENAME TO away")
    stand.uses.start()
    stand.uses.used("acme", ANN, "192.0.2.7")
    await eventually(lambda: [each for each in caplog.records if getattr(each, "event", "") == "key_uses_unwritten"])
    await tenants.store.ledger.db.execute("ALTER TABLE away RENAME TO key_uses")

    async def is_written() -> bool:
        return await stand.written() == {ANN: FIRST}

    await eventually(is_written, what="the use to be written")
    await stand.uses.stop()
