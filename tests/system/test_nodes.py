"""Several real servers on one database: any of them may be killed or frozen, and what one decides holds on all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import asyncssh
import psycopg
import pytest

from ground.moments import rfc3339, utc_now
from tests.support.clients import POSTGRES, needs
from tests.support.cluster import ClusterNode, cluster
from tests.support.importing import crowd, people
from tests.support.node_faults import is_ready
from tests.support.postgres import url_of_new
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import DEADLINE_S, eventually, wait_until

pytestmark = needs(POSTGRES, "sftp")

HOLDS_S = 2.0
"""The time after which a decision holds on all servers; and a little more, because the machine is busy."""
SLACK_S = 2.0

WAITING = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass)"
KNOWN = "SELECT 1 FROM nodes WHERE pid = %s"
LOST = """
    UPDATE imports SET state = 'running', started_at = uploaded_at, claim = nextval('claims'),
        node = (SELECT number FROM nodes WHERE pid = %s)"""
ELSEWHERE = """
    UPDATE open_sessions SET node = (SELECT number FROM nodes WHERE pid = %s), number = nextval('session_numbers')
    WHERE number > (SELECT min(number) FROM open_sessions)"""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[ClusterNode]]:
    with cluster(tmp_path, url_of_new(tmp_path), 2, HEADCOUNT_PENALTY_NO_LOGIN_S="60") as started:
        started[0].add_tenant("acme", max_sessions="3")
        yield started


def test_a_file_that_one_server_takes_is_shown_by_the_other(nodes: list[ClusterNode]) -> None:
    first, second = nodes
    first.put("acme", people("ann"))
    assert second.wait("acme")["counts"]["created"] == 1
    token = second.cli("token", "create", "acme", "--role", "owner").text.strip()
    for each in nodes:
        answer = each.get("/api/v1/tenants/acme/imports", Authorization=f"Bearer {token}").json()
        assert [found["state"] for found in answer["imports"]] == ["completed"]


def test_the_import_of_a_frozen_server_is_taken_up_and_the_server_changes_nothing(
    nodes: list[ClusterNode],
) -> None:
    first, second = nodes
    assert first.process
    with psycopg.connect(first.env["HEADCOUNT_DATABASE_URL"], autocommit=True) as db:
        second.freeze()  # the first one gets the import
        with db.transaction():
            db.execute("LOCK TABLE users IN EXCLUSIVE MODE")  # the import stays within its transaction
            first.put("acme", crowd(20_000))
            wait_until(lambda: db.execute(WAITING).fetchone() == (True,), what="the import to write users")
            first.freeze()
        second.thaw()
        wait_until(lambda: not db.execute(KNOWN, (first.process.pid,)).fetchall(), what="the first server to be gone")
    assert second.wait("acme", 1)["state"] == "completed"
    report = second.report("acme", 1)
    first.thaw()
    wait_until(lambda: "server_unheard" in first.events(), what="the first server to come back")
    second.put("acme", people("ann"))
    assert second.wait("acme", 2)["state"] in ("completed", "held")
    assert second.report("acme", 1) == report
    wait_until(lambda: is_ready(first), what="the first server to be ready")


def test_only_the_server_that_leads_shows_tenants_and_messages(nodes: list[ClusterNode]) -> None:
    names = 'headcount_users{state="active"', 'headcount_outbox_length{channel="mail"}', "headcount_feed_stale{"

    def shown() -> list[list[str]]:
        return sorted([name for name in names if name in each.get("/metrics").text] for each in nodes)

    nodes[0].cli("tenant", "set", "acme", "stale_after_days=1")
    wait_until(lambda: shown() == [[], [*names]], what="one server to lead")


def test_a_start_of_which_its_server_does_not_know_is_taken_up(nodes: list[ClusterNode]) -> None:
    first, _ = nodes
    assert first.process
    first.cli("tenant", "set", "acme", f"paused_until={rfc3339(utc_now() + timedelta(days=1))}")
    first.put("acme", people("ann"))
    with psycopg.connect(first.env["HEADCOUNT_DATABASE_URL"]) as db:
        # As if the answer of PostgreSQL to its start had been lost.
        assert db.execute(LOST, (first.process.pid,)).rowcount == 1
    first.cli("tenant", "set", "acme", "paused_until=")
    assert first.wait("acme", 1)["state"] == "completed"


async def test_an_upload_of_a_killed_server_is_listed_by_another_one(nodes: list[ClusterNode]) -> None:
    first, second = nodes
    async with first.connect("acme") as connection, connection.start_sftp_client() as client:
        file = await client.open("/sync_users.csv", "wb")
        await file.write(people("ann"))
        await asyncio.to_thread(first.kill)
        await eventually(lambda: second.state("acme", 1) == "aborted")


async def test_a_key_that_is_revoked_ends_its_sessions_on_all_servers(nodes: list[ClusterNode]) -> None:
    public = nodes[0].private_key("acme").with_suffix(".pub")
    connections = [await each.connect("acme") for each in nodes]
    nodes[0].cli("key", "revoke", "acme", asyncssh.read_public_key(str(public)).get_fingerprint())
    with Stopwatch(nodes) as watch:
        for each in connections:
            async with asyncio.timeout(DEADLINE_S):
                await each.wait_closed()
        assert watch.seconds() < HOLDS_S + SLACK_S


async def test_a_ban_of_one_server_holds_on_the_other_until_it_is_lifted(nodes: list[ClusterNode]) -> None:
    first, second = nodes

    async def greeted(node: ClusterNode) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.sftp_port, local_addr=("127.0.0.66", 0))
        try:
            return await reader.read(4) == b"SSH-"
        except ConnectionError:
            return False
        finally:
            writer.close()

    while await greeted(first):
        pass

    async def becomes(answer: bool) -> None:
        for _ in range(10):  # fewer connections than a ban takes
            await asyncio.sleep(HOLDS_S)
            if await greeted(second) is answer:
                return
        raise AssertionError(f"the other server never greeted: {answer}")

    await becomes(False)
    first.cli("ban", "lift", "127.0.0.66")
    await becomes(True)


async def test_sessions_of_all_servers_count_for_the_limit_of_a_tenant(nodes: list[ClusterNode]) -> None:
    first, second = nodes
    opened = [await each.connect("acme") for each in (first, second, first)]
    for each in nodes:
        with pytest.raises(asyncssh.DisconnectError, match="acme has 3 open, its limit"):
            await each.connect("acme")
    opened[0].close()
    await opened[0].wait_closed()

    async def admitted() -> bool:
        try:
            opened.append(await second.connect("acme"))
        except asyncssh.DisconnectError:
            return False
        return True

    await eventually(admitted)
    for connection in opened:
        connection.abort()


async def test_sessions_above_the_limit_of_all_servers_are_ended(nodes: list[ClusterNode]) -> None:
    first, second = nodes
    opened = [await first.connect("acme") for _ in range(3)]
    assert second.process
    with psycopg.connect(first.env["HEADCOUNT_DATABASE_URL"]) as db:
        # As if the first server had been taken for gone, and the clients had come to the second.
        db.execute(ELSEWHERE, (second.process.pid,))
    for each in opened[1:]:
        async with asyncio.timeout(DEADLINE_S):
            await each.wait_closed()
    await eventually(lambda: "session_ended" in first.events(), what="the line of the log")
    opened[0].abort()
