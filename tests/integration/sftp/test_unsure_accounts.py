"""While an account cannot be read, its sessions wait, and logins are to be tried again."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from engine.sessions import OwnSessions
from importer.errors import DatabaseAway, DatabaseFault
from keys.ring import Verdict
from server.faults import Faults
from server.sftp.auth import BUSY
from server.sftp.connection import PATIENCE_S, Connection
from tests.support.clients import needs
from tests.support.keypairs import keypair
from tests.support.sftp import SftpHouse, sftp_house
from tests.support.waiting import DEADLINE_S, eventually


class NoKeys:
    """A ring without keys."""

    def may_log_in(self, *_: object) -> Verdict:
        return Verdict(False, "the tenant has no such key")


class Told:
    """The accounts of a house, with what the test changes in them."""

    def __init__(self, house: SftpHouse) -> None:
        self._account = house.accounts.account
        self.changes: dict[str, Any] = {}
        house.accounts.account = self

    def __call__(self, name: str) -> Any:
        account = self._account(name)
        return account and replace(account, **self.changes)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SftpHouse]:
    async with sftp_house(tmp_path) as opened:
        yield opened


@pytest.fixture
def told(house: SftpHouse) -> Told:
    return Told(house)


async def become_unsure(house: SftpHouse, told: Told) -> None:
    """Let the account be as it was now, and wait until the open session knows."""
    told.changes["sure_until"] = now = time.monotonic()
    (session,) = house.listener._sessions.connections
    await eventually(lambda: session._sure_until == now, what="the next look")


async def test_a_session_waits_until_its_account_is_sure_again(house: SftpHouse, told: Told) -> None:
    async with house.client() as sftp:
        file = await sftp.open("/sync_users.csv", "wb")
        await become_unsure(house, told)
        await file.write(b"while it is away")
        closing = asyncio.create_task(file.close())
        done, _ = await asyncio.wait([closing], timeout=1)
        assert not done
        assert house.real.events == []
        told.changes["sure_until"] = math.inf
        await closing
    assert house.visible == b"while it is away"


@pytest.mark.logs("upload_aborted")
@pytest.mark.logs("session_ended")
async def test_a_key_that_was_revoked_meanwhile_publishes_nothing(house: SftpHouse, told: Told) -> None:
    async with house.client() as sftp:
        file = await sftp.open("/sync_users.csv", "wb")
        await become_unsure(house, told)
        await file.write(b"while it is away")
        closing = asyncio.create_task(file.close())
        await asyncio.wait([closing], timeout=0.5)
        told.changes |= {"sure_until": math.inf, "ring": NoKeys()}
        with pytest.raises((asyncssh.Error, OSError)):
            await closing
    await house.nothing_open()
    assert house.visible is None
    assert house.real.events == ["aborted"]


async def test_the_accounts_of_open_sessions_are_read_together_before_each_look(
    house: SftpHouse, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []

    async def renew(names: list[str]) -> None:
        seen.append(("together", *names))

    monkeypatch.setattr(house.accounts, "renew", renew)
    async with house.connect(), house.connect():
        monkeypatch.setattr(Connection, "check", lambda self, now: seen.append((self.login.tenant,)))
        seen.clear()  # a look may have begun before both had logged in
        await eventually(lambda: seen.count(("together", "acme")) > 1, what="two looks")
    start = seen.index(("together", "acme"))
    assert seen[start : start + 4] == [("together", "acme"), ("acme",), ("acme",), ("together", "acme")]


@pytest.mark.logs("session_ended", "loop_fault")
async def test_a_session_ends_for_its_key_although_others_cannot_be_checked(
    house: SftpHouse, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    Faults().watch(asyncio.get_running_loop())
    check = Connection.check

    async def renew(_: object) -> None:
        raise DatabaseFault

    def checked(self: Connection, now: float) -> None:
        if self is first:
            raise DatabaseFault
        check(self, now)

    async with house.connect(), house.connect():
        sessions = house.listener._sessions.connections
        first, _ = sessions
        monkeypatch.setattr(house.accounts, "renew", renew)
        monkeypatch.setattr(Connection, "check", checked)
        told.changes["ring"] = NoKeys()
        await eventually(lambda: [*sessions] == [first])


@pytest.mark.logs("session_ended")
async def test_a_session_ends_after_its_patience(
    house: SftpHouse, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "server.sftp.connection")
    async with house.connect() as connection:
        await become_unsure(house, told)
        (session,) = house.listener._sessions.connections
        over = told.changes["sure_until"] + PATIENCE_S
        caplog.clear()
        session.check(over - 0.001)
        assert caplog.messages == []
        session.check(over + 0.001)
        assert caplog.messages == [
            f"A session of acme was ended: its key could not be read for {PATIENCE_S:g} seconds."
        ]
        async with asyncio.timeout(DEADLINE_S):
            await connection.wait_closed()


@pytest.mark.parametrize("number", [0, 1], ids=["right key", "wrong key"])
@pytest.mark.logs("login_refused")
async def test_a_login_is_to_be_tried_again_and_costs_no_penalty(house: SftpHouse, told: Told, number: int) -> None:
    told.changes["sure_until"] = -math.inf
    for _ in range(20):
        with pytest.raises(asyncssh.DisconnectError) as refused:
            async with house.connect(client_keys=[keypair(number=number)]):
                pass
        assert BUSY in refused.value.reason
    assert house.metrics.bans == 0
    assert {result for _, result in house.metrics.logins} == {"limited"}
    told.changes["sure_until"] = math.inf
    if number == 0:
        async with house.client() as sftp:
            assert await sftp.listdir("/")


@pytest.mark.logs("login_refused")
async def test_a_login_whose_session_cannot_be_counted_is_refused_with_that_reason(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """As by a database that can be read and not written."""

    class Uncounted(OwnSessions):
        async def open(self, tenant: str, most: int) -> int | None:
            raise DatabaseAway("it is read-only", "the database cannot be written now")

    caplog.set_level("INFO", "server.sftp.auth")
    house.listener._sessions.shared = Uncounted()
    with pytest.raises(asyncssh.DisconnectError, match=BUSY):
        async with house.connect():
            pass
    await eventually(lambda: house.metrics.logins == [("acme", "limited")])
    assert caplog.messages == [
        "A login was refused: its session cannot be counted (the database cannot be written now: it is read-only)."
    ]


@pytest.mark.logs("login_refused")
async def test_a_client_that_leaves_while_its_session_is_counted_gets_no_penalty(
    house: SftpHouse, caplog: pytest.LogCaptureFixture
) -> None:
    """Its key and signature are valid, and the database needs longer than the client waits."""
    asked = asyncio.Event()

    class Waiting(OwnSessions):
        async def open(self, tenant: str, most: int) -> int | None:
            asked.set()
            await asyncio.Event().wait()
            return None

    async def connect() -> None:
        async with house.connect():
            pass

    caplog.set_level("INFO", "server.sftp.auth")
    house.listener._sessions.shared = Waiting()
    for count in range(1, 6):
        asked.clear()
        leaving = asyncio.create_task(connect())
        await asked.wait()
        leaving.cancel()
        await eventually(lambda: house.metrics.logins == [("acme", "limited")] * count)  # noqa: B023 - waited for
    assert house.metrics.bans == 0
    assert {*caplog.messages} == {"A login was refused: the connection ended while its session was being counted."}


@needs("sftp")
async def test_openssh_shows_that_a_login_is_to_be_tried_again(house: SftpHouse, told: Told) -> None:
    told.changes["sure_until"] = -math.inf
    code, said = await house.sftp("ls /")
    assert code != 0
    assert BUSY in said
