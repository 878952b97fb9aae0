"""Three real servers behind the HAProxy of deploy/: faults at random moments, a freeze, and a rolling upgrade."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path

import asyncssh
import psycopg
import pytest

from tests.support import hook_node_kills, node_kills
from tests.support.balanced import Balanced, balanced
from tests.support.clients import POSTGRES, needs
from tests.support.cluster import ClusterNode
from tests.support.importing import people
from tests.support.node_faults import is_ready
from tests.support.own_postgres import own_postgres
from tests.support.postgres import url_of_new
from tests.support.waiting import DEADLINE_S, eventually, wait_for_none, wait_until

pytestmark = needs(POSTGRES, "haproxy", "sftp")

KILLS, STOPS, FREEZES = 5, 1, 1
TRIES = 4
"""The most connections that a client needs for a file while three servers are replaced one after another."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Balanced]:
    with balanced(tmp_path, url_of_new(tmp_path)) as started:
        started.add_tenant("acme", max_sessions="20")
        yield started


def signaled(node: ClusterNode, sign: signal.Signals) -> None:
    assert node.process
    node.process.send_signal(sign)


async def test_no_fault_of_servers_or_database_loses_halves_or_doubles_an_import(tmp_path: Path) -> None:
    with own_postgres() as server:
        fates = await node_kills.play(tmp_path, server, KILLS, seed=1, stops=STOPS, freezes=FREEZES)
    assert fates["with OK"] > KILLS


async def test_each_file_for_a_hook_is_delivered_in_order_despite_faults(tmp_path: Path) -> None:
    with own_postgres() as server:
        fates = await hook_node_kills.play(tmp_path, server, KILLS, seed=1, stops=STOPS, freezes=FREEZES)
    assert fates["acknowledged"] > KILLS


def test_clients_of_sftp_and_pages_reach_every_ready_server_with_their_address(house: Balanced) -> None:
    numbers = count(1)

    def all_reached() -> bool:
        """Send a file; return whether each server has had a login: one that is late may be left out for a moment."""
        number = next(numbers)
        house.put("acme", people(f"user{number}"))
        assert house.wait("acme", number)["counts"]["created"] == 1
        return all(house.logins().values())

    wait_until(all_reached, what="a login on each server")
    logins = [line for node in house.nodes for line in node.lines() if line["event"] == "login"]
    assert {line["address"] for line in logins} == {"127.0.0.1"}
    with house.client() as browser:
        for _ in house.nodes:
            page = browser.get("/sign-in")
            assert page.status_code == 200
            assert "max-age" in page.headers["strict-transport-security"]
        assert browser.get("/metrics").status_code == 404


async def test_a_server_that_is_not_ready_gets_no_connections_until_it_is(house: Balanced) -> None:
    first = house.nodes[0]
    signaled(first, signal.SIGSTOP)
    await asyncio.to_thread(house.wait_taken, 1, 2)
    for _ in range(4):
        async with house.connect("acme") as connection:
            assert connection
    assert house.logins()[0] == 0
    signaled(first, signal.SIGCONT)
    await eventually(lambda: asyncio.to_thread(is_ready, first), what="the server to be ready")
    await asyncio.to_thread(house.wait_taken, 0, 1, 2)

    async def reached() -> bool:
        with suppress(asyncssh.DisconnectError, OSError):  # of a server that is not ready for a moment
            async with house.connect("acme"):
                pass
        return house.logins()[0] > 0

    await eventually(reached, what="a login on the server")


async def test_a_connection_that_a_frozen_server_never_greets_is_closed_soon(house: Balanced) -> None:
    for node in house.nodes:
        signaled(node, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises((asyncssh.Error, OSError)):
        await house.connect("acme")
    assert time.monotonic() - began < DEADLINE_S
    for node in house.nodes:
        signaled(node, signal.SIGCONT)


async def test_an_upload_that_others_reported_gets_no_ok_of_the_server_that_was_frozen(house: Balanced) -> None:
    async with AsyncExitStack() as stack:
        connections = await house.one_on_each("acme", stack)
        client = await stack.enter_async_context(connections[0].start_sftp_client())
        file = await client.open("/sync_users.csv", "wb")
        await file.write(people("ann"))
        signaled(house.nodes[0], signal.SIGSTOP)
        closing = asyncio.create_task(file.close())
        await eventually(lambda: house.state("acme", 1) == "aborted", what="the upload to be reported")
        signaled(house.nodes[0], signal.SIGCONT)
        with pytest.raises((asyncssh.Error, OSError)):
            await closing
    await eventually(lambda: asyncio.to_thread(is_ready, house.nodes[0]), what="the server to be ready")
    house.put("acme", people("bob"))
    assert house.wait("acme")["id"] == 2
    assert house.state("acme", 1) == "aborted"


# A rolling upgrade


class Senders:
    """Clients that send each file until it has its OK."""

    def __init__(self, house: Balanced) -> None:
        self.house = house
        self.over = asyncio.Event()
        self.acknowledged: list[str] = []
        self.answers: Counter[int] = Counter()

    async def send(self, name: str) -> None:
        number = 0
        while not self.over.is_set():
            number += 1
            user = f"{name}{number}"
            for _ in range(TRIES):
                if await self.is_sent(people(user)):
                    break
            else:
                raise AssertionError(f"a file was not taken in {TRIES} tries")
            self.acknowledged.append(user)

    async def have_sent(self, count: int) -> None:
        """Wait until so many more files have their OK."""
        wanted = len(self.acknowledged) + count
        await eventually(lambda: len(self.acknowledged) >= wanted, what="files to be sent")

    async def is_sent(self, content: bytes) -> bool:
        """Send a file. Return False if the connection was closed; raise any other error."""
        try:
            async with (
                asyncio.timeout(DEADLINE_S),
                self.house.connect("acme") as connection,
                connection.start_sftp_client() as client,
            ):
                file = await client.open("/sync_users.csv", "wb")
                await file.write(content)
                await asyncio.sleep(0.02)
                node_kills.require_connected(client)
                await file.close()
                return True
        except (ConnectionError, asyncssh.DisconnectError, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection):
            return False
        except asyncssh.ChannelOpenError as error:
            if "closed" not in error.reason:  # while the session was opened
                raise
            return False

    async def read(self, token: str) -> None:
        async with self.house.async_client(authorization=f"Bearer {token}") as asking:
            while not self.over.is_set():
                answer = await asking.get("/api/v1/tenants/acme/imports", params={"limit": 1})
                self.answers[answer.status_code] += 1
                await asyncio.sleep(0.01)


async def test_an_upgrade_of_one_server_after_another_loses_no_file_and_no_request(house: Balanced) -> None:
    token = house.cli("token", "create", "acme", "--role", "owner").text.strip()
    senders = Senders(house)
    async with asyncio.TaskGroup() as group:
        for name in ("ann", "bob", "carl"):
            group.create_task(senders.send(name))
        group.create_task(senders.read(token))
        for node in house.nodes:
            await senders.have_sent(5)
            assert await asyncio.to_thread(node.stop) == 0
            await senders.have_sent(5)
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(house.wait_taken, 0, 1, 2)
        senders.over.set()
    with psycopg.connect(house.env["HEADCOUNT_DATABASE_URL"], autocommit=True) as db:
        wait_for_none(lambda: int(db.execute(node_kills.NOT_ENDED).fetchall()[0][0]), what="the imports to end")
        states = {state for _, _, state, *_ in db.execute(node_kills.IMPORTS)}
        users = {email for _, email in db.execute(node_kills.USERS)}
    assert states <= {"completed", "unchanged"}  # a file that had landed without an OK changes nothing again
    assert {f"{user}@example.com" for user in senders.acknowledged} <= users
    # On a busy machine, the database may be away for a moment: then a server can only say so.
    away = any('"database_away"' in node.log.read_text() for node in house.nodes)
    assert 200 in senders.answers
    assert senders.answers.keys() <= ({200, 503} if away else {200}), senders.answers
