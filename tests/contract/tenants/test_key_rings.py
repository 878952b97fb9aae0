"""The keys of a tenant: each engine stores them whole, and two writers lose no key of each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys.errors import KeyRefused
from keys.ring import KeyRing
from tests.support.engines import ENGINES, RINGS, each_of
from tests.support.keypairs import keypair, public_line

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)

RingOf = Callable[..., KeyRing]


@pytest.fixture(params=each_of(RINGS))
async def ring_of(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[RingOf]:
    """Yield a function that returns the ring of a tenant, `acme` or `globex`, as another process has it."""
    async with ENGINES[request.param](tmp_path)("acme", "globex") as store:
        yield lambda tenant="acme": RINGS[request.param](tmp_path, store, tenant)


@pytest.fixture
def ring(ring_of: RingOf) -> KeyRing:
    return ring_of()


async def test_keys_are_in_the_order_in_which_they_were_added(ring: KeyRing, ring_of: RingOf) -> None:
    for number in (2, 0, 1):
        await ring.add(public_line(number=number))
    await ring.revoke((await ring.keys())[0].fingerprint)
    await ring.add(public_line(number=2))
    assert [key.comment for key in await ring_of().keys()] == ["key 0", "key 1", "key 2"]


async def test_the_keys_of_another_tenant_are_its_own(ring: KeyRing, ring_of: RingOf) -> None:
    added = await ring.add(public_line())
    other = ring_of("globex")
    assert await other.keys() == ()
    await other.add(public_line())
    await other.revoke(added.fingerprint)
    assert await ring.keys() == (added,) == (await ring.find(added.fingerprint),)


async def test_a_key_keeps_its_comment_expiry_and_networks(ring: KeyRing, ring_of: RingOf) -> None:
    await ring.add(public_line(), "the HR server", "2027-01-31", ["192.0.2.0/24", "2001:db8::/32"], now=NOW)
    (key,) = await ring_of().keys()
    assert key.to_json() == {
        "fingerprint": keypair().get_fingerprint(),
        "type": "ssh-ed25519",
        "key": public_line().split(" ")[1],
        "comment": "the HR server",
        "added_at": "2026-06-01T12:00:00Z",
        "expires": "2027-01-31",
        "networks": ["192.0.2.0/24", "2001:db8::/32"],
    }


async def test_the_comment_of_the_line_is_kept_unless_another_is_given(ring: KeyRing) -> None:
    assert (await ring.add(public_line())).comment == "key 0"
    assert (await ring.add(public_line(number=1), "")).comment == ""


async def test_of_keys_with_the_same_comment_only_one_is_revoked(ring: KeyRing, ring_of: RingOf) -> None:
    first, second = [await ring.add(public_line(number=number), "the HR server") for number in range(2)]
    await ring.revoke(first.fingerprint)
    assert await ring_of().keys() == (second,)


async def test_the_same_key_twice_is_refused(ring: KeyRing) -> None:
    await ring.add(public_line())
    with pytest.raises(KeyRefused) as caught:
        await ring.add(public_line(), "another comment")
    assert caught.value.code == "key_duplicate"
    assert len(await ring.keys()) == 1


async def test_an_expiry_in_the_past_is_refused(ring: KeyRing) -> None:
    with pytest.raises(KeyRefused, match="already past"):
        await ring.add(public_line(), expires="2026-05-31", now=NOW)
    assert (await ring.add(public_line(), expires="2026-06-01", now=NOW)).expires == "2026-06-01"


async def test_a_key_is_revoked_by_its_fingerprint_with_or_without_prefix(ring: KeyRing) -> None:
    first, second = await ring.add(public_line()), await ring.add(public_line(number=1))
    await ring.revoke(first.fingerprint.removeprefix("SHA256:"))
    await ring.revoke(second.fingerprint)
    assert await ring.keys() == ()


async def test_revoking_an_unknown_key_is_refused(ring: KeyRing) -> None:
    await ring.add(public_line())
    with pytest.raises(KeyRefused) as caught:
        await ring.revoke("SHA256:nothing")
    assert caught.value.code == "key_unknown"
    assert len(await ring.keys()) == 1


async def test_two_writers_do_not_overwrite_each_other(ring: KeyRing, ring_of: RingOf) -> None:
    lines = [public_line(number=number) for number in range(16)]
    await asyncio.gather(*(ring_of().add(line) for line in lines))
    assert len(await ring.keys()) == 16


async def test_a_key_above_the_limit_is_refused(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keys.ring.KEYS_MAX", 2)
    for number in range(2):
        await ring.add(public_line(number=number))
    with pytest.raises(KeyRefused, match="at most 2 keys"):
        await ring.add(public_line(number=2))
    assert len(await ring.keys()) == 2


async def test_writers_at_once_do_not_pass_the_limit(ring_of: RingOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keys.ring.KEYS_MAX", 5)
    ended = await asyncio.gather(
        *(ring_of().add(public_line(number=number)) for number in range(16)), return_exceptions=True
    )
    assert sum(isinstance(each, KeyRefused) for each in ended) == 11
    assert len(await ring_of().keys()) == 5


async def test_a_refused_key_stores_nothing(ring: KeyRing) -> None:
    for refused in ("no key", keypair().export_private_key("openssh").decode()):
        with pytest.raises(KeyRefused):
            await ring.add(refused)
    assert await ring.keys() == ()
