"""Bans: kept over restarts, lifted by a command, and never longer than the longest ban."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest

from engine.bans import Ban
from engine.store import Store
from ground.moments import rfc3339
from server.settings import ServerSettings
from server.sftp.bans.gate import Gate
from server.sftp.bans.keeper import BanKeeper
from server.sftp.bans.penalties import Offense
from server.tenants.access.bans import BanBook, BanRefused, read_source
from tests.support.sftp import Counted

A, B = "192.0.2.1", "2001:db8:0:1::/64"
MAX_S = 600


class House:
    """A store, clocks that the test sets, and the servers that run on it one after the other."""

    def __init__(self, store: Store) -> None:
        self.now = datetime(2026, 3, 31, tzinfo=UTC)
        self.running_s = 0.0
        self.book = BanBook(store.bans(), MAX_S, lambda: self.now)

    async def start(self, *, shares: bool = False) -> tuple[Gate, BanKeeper]:
        settings = ServerSettings(penalty_no_login_s=60)
        gate = Gate(settings, Counted(), lambda: self.running_s)  # type: ignore[arg-type]
        keeper = BanKeeper(gate, self.book, lambda: self.now, shares=shares)
        await keeper.restore()
        return gate, keeper

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.running_s += seconds


def ban(gate: Gate, *addresses: str) -> None:
    for address in addresses:
        gate.punish(ip_address(address), Offense.NO_LOGIN)


@pytest.fixture
def house(store: Store) -> House:
    return House(store)


async def test_bans_are_written_with_their_end_and_reason(house: House) -> None:
    gate, keeper = await house.start()
    ban(gate, "192.0.2.1", "2001:db8:0:1::7")
    await keeper.settle()
    until = rfc3339(house.now + timedelta(seconds=60))
    reason = "connections without a login"
    assert await house.book.list() == [Ban(A, until, reason), Ban(B, until, reason)]


async def test_a_ban_survives_a_restart_for_the_rest_of_its_time(house: House) -> None:
    gate, keeper = await house.start()
    ban(gate, "192.0.2.1")
    await keeper.settle()
    house.now += timedelta(seconds=50)  # while no server runs
    gate, _ = await house.start()
    assert not gate.admits(ip_address(A))
    assert gate.bans()[A].rest_s == pytest.approx(10)
    house.now += timedelta(seconds=50)
    gate, _ = await house.start()
    assert gate.admits(ip_address(A))
    assert await house.book.sources() == set()


async def test_a_longer_ban_is_written_again_and_an_expired_one_is_deleted(house: House) -> None:
    gate, keeper = await house.start()
    ban(gate, "192.0.2.1")
    await keeper.settle()
    ban(gate, "192.0.2.1")
    await keeper.settle()
    assert [each.until for each in await house.book.list()] == [rfc3339(house.now + timedelta(seconds=120))]
    house.pass_time(120)
    await keeper.settle()
    assert await house.book.sources() == set()


async def test_a_lifted_ban_is_lifted_in_the_running_server(house: House) -> None:
    gate, keeper = await house.start()
    ban(gate, "192.0.2.1", "2001:db8:0:1::7")
    await keeper.settle()
    assert (await house.book.lift("2001:db8:0:1::7")).source == B
    await keeper.settle()
    assert gate.bans().keys() == {A}
    assert gate.admits(ip_address("2001:db8:0:1::8"))
    ban(gate, "2001:db8:0:1::7")
    await keeper.settle()
    assert await house.book.sources() == {A, B}


async def test_servers_that_share_the_table_hold_and_lift_the_same_bans(house: House) -> None:
    (gate, keeper), (other, follower) = [await house.start(shares=True) for _ in range(2)]
    ban(gate, "192.0.2.1")
    await keeper.settle()
    await follower.settle()
    assert other.bans()[A].rest_s == pytest.approx(60)
    ban(other, "192.0.2.1")
    await follower.settle()
    await keeper.settle()
    assert gate.bans()[A].rest_s == pytest.approx(120)
    house.pass_time(60)
    await keeper.settle()
    await follower.settle()
    assert [gate.bans().keys(), other.bans().keys()] == [{A}, {A}], "it became longer"
    await house.book.lift(A)
    await keeper.settle()
    await follower.settle()
    assert [*gate.bans(), *other.bans()] == []
    assert await house.book.sources() == set()


async def test_a_ban_lifted_while_it_grows_stays_lifted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, keeper = await house.start()
    ban(gate, "192.0.2.1")
    await keeper.settle()
    ban(gate, "192.0.2.1")
    await house.book.lift(A)

    async def as_before() -> set[str]:
        return {A}

    monkeypatch.setattr(house.book, "sources", as_before)  # the server read the bans just before the command
    await keeper.settle()
    assert gate.bans() == {}
    monkeypatch.undo()
    assert await house.book.sources() == set()


async def test_setting_the_clock_makes_no_ban_longer_than_the_longest(house: House) -> None:
    gate, keeper = await house.start()
    ban(gate, "192.0.2.1")
    await keeper.settle()
    house.now -= timedelta(days=300)
    assert [each.until for each in await house.book.list()] == [rfc3339(house.now + timedelta(seconds=MAX_S))]
    restarted, _ = await house.start()
    assert restarted.bans()[A].rest_s <= MAX_S
    await keeper.settle()
    assert gate.bans()[A].rest_s == 60
    assert [each.until for each in await house.book.list()] == [rfc3339(house.now + timedelta(seconds=60))]
    house.now += timedelta(days=300)
    await keeper.settle()
    assert len(await house.book.list()) == 1, "a ban that holds is listed"


async def test_a_source_without_a_ban_cannot_be_lifted(house: House) -> None:
    with pytest.raises(BanRefused, match=r"192\.0\.2\.9 is not banned; see: headcount ban list"):
        await house.book.lift("192.0.2.9")
    with pytest.raises(BanRefused, match="is not an IP address"):
        await house.book.lift("acme")


def test_a_source_is_named_by_any_of_its_addresses() -> None:
    assert read_source("2001:db8:0:1:ffff::9") == read_source(B) == B
    assert read_source("::ffff:192.0.2.1") == A


async def test_bans_are_written_all_or_none_except_for_lifted_ones(store: Store) -> None:
    longer, shorter = Ban(B, "2026-03-31T02:00:00.000Z", "why"), Ban(A, "2026-03-31T01:00:00.000Z", "why")
    bans, latest = store.bans(), "2026-04-30T00:00:00.000Z"
    assert await bans.write([longer, shorter], [], known=()) == set()
    assert await bans.list(now="2026-03-31T00:00:00.000Z", latest=latest) == [longer, shorter]
    assert await bans.list(now=shorter.until, latest=latest) == [longer]
    assert [await bans.remove(A), await bans.remove(A)] == [True, False]
    assert await bans.write([shorter], [B], known={A, B}) == {A}
    assert await bans.sources() == set()
