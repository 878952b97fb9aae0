"""When and from where keys were last used: visible at once, stored, and deleted with the key."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.key_uses import Use
from engine.store import Store
from keys.file_ring import FileRing
from keys.public import parse_public_key
from keys.ring import KeyRing
from server.tenants.access import key_uses as key_uses_module
from server.tenants.access.key_uses import KeyUses
from tests.support.keypairs import public_line
from tests.support.waiting import eventually

ANN, BO = (parse_public_key(public_line(number=number)).fingerprint for number in (1, 2))
FIRST, SECOND = Use("2026-03-01T12:00:00.000Z", "192.0.2.7"), Use("2026-03-02T12:00:00.000Z", "2001:db8::1")


class Stand:
    """A tenant with two keys, and clocks that are set by hand."""

    def __init__(self, store: Store, ring: KeyRing) -> None:
        self.store = store
        self.ring = ring
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.uses = self.anew()

    def anew(self) -> KeyUses:
        """Return the uses as another process knows them, or this one after a start."""
        return KeyUses(self.store.key_uses(), lambda _: self.ring, lambda: self.now)

    async def written(self) -> dict[str, Use]:
        return await self.anew().of("acme")


@pytest.fixture
async def stand(store: Store, tmp_path: Path) -> Stand:
    ring = FileRing(tmp_path / "keys.json")
    for number in (1, 2):
        await ring.add(public_line(number=number))
    return Stand(store, ring)


async def test_a_use_is_known_at_once_and_stored_when_the_server_stops(stand: Stand) -> None:
    stand.uses.used("acme", ANN, "192.0.2.7")
    assert await stand.uses.of("acme") == {ANN: FIRST}
    assert await stand.written() == {}
    await stand.uses.stop()
    assert await stand.written() == {ANN: FIRST}


async def test_the_newest_use_of_each_key_counts_written_or_not(stand: Stand) -> None:
    stand.uses.used("acme", ANN, "192.0.2.7")
    stand.uses.used("acme", BO, "192.0.2.7")
    await stand.uses.stop()
    stand.now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    stand.uses.used("acme", ANN, "2001:db8::1")
    assert await stand.uses.of("acme") == {ANN: SECOND, BO: FIRST}


async def test_uses_are_written_while_the_server_runs(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_uses_module, "WRITE_S", 0.01)
    stand.uses.start()
    for fingerprint in (ANN, BO):
        stand.uses.used("acme", fingerprint, "192.0.2.7")

        async def is_written(fingerprint: str = fingerprint) -> bool:
            return fingerprint in await stand.written()

        await eventually(is_written)
    await stand.uses.stop()


async def test_the_use_of_a_revoked_key_is_deleted_and_not_restored_with_the_key(stand: Stand) -> None:
    stand.uses.used("acme", ANN, "192.0.2.7")
    await stand.uses.stop()
    stand.uses.used("acme", ANN, "192.0.2.7")
    await stand.uses.forget("acme", ANN)
    assert await stand.uses.of("acme") == {}
    assert await stand.written() == {}


async def test_the_use_of_a_key_revoked_by_another_process_is_not_written(stand: Stand) -> None:
    for fingerprint in (ANN, BO):
        stand.uses.used("acme", fingerprint, "192.0.2.7")
    await stand.ring.revoke(ANN)
    await stand.uses.stop()
    assert await stand.written() == {BO: FIRST}


async def test_the_uses_of_a_removed_tenant_are_deleted(stand: Stand) -> None:
    stand.uses.used("acme", ANN, "192.0.2.7")
    await stand.uses.stop()
    stand.uses.used("acme", BO, "192.0.2.7")
    await stand.store.tenants().remove("acme")
    await stand.uses.stop()
    assert await stand.written() == {}


async def test_uses_are_written_and_those_of_other_keys_removed_in_one_step(store: Store) -> None:
    uses = store.key_uses()
    await uses.write("acme", {ANN: FIRST, BO: FIRST}, None)
    await uses.write("acme", {ANN: SECOND}, {ANN})
    assert await uses.of("acme") == {ANN: SECOND}
    await uses.write("initech", {ANN: FIRST}, None)
    assert await uses.of("initech") == {}
