"""Servers on one database agree: a decision that one of them takes holds on all of them within two seconds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncssh
import httpx
import pytest

from tests.support.balanced import Balanced, balanced
from tests.support.clients import POSTGRES, needs
from tests.support.cluster import ClusterNode
from tests.support.importing import people
from tests.support.own_postgres import own_postgres
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import url_of_new
from tests.support.site import FROM_OURS
from tests.support.stopwatch import Stopwatch
from tests.support.waiting import DEADLINE_S, eventually

pytestmark = needs(POSTGRES, "haproxy", "pgbouncer", "sftp")

HOLDS_S = 2.0
"""The time after which a decision holds on all servers; and a little more, because the machine is busy."""
SLACK_S = 2.0
POOL = 30
"""The connections of pgbouncer to PostgreSQL. Each server holds one for good, and some while it works."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    folder = tmp_path_factory.mktemp("agreeing")
    with balanced(folder, url_of_new(folder)) as started:
        yield started


@pytest.fixture
def polling(tmp_path: Path) -> Iterator[Balanced]:
    """Start servers that reach PostgreSQL only by pgbouncer in transaction mode, where LISTEN hears nothing."""
    with own_postgres() as server, pgbouncer(server.url, POOL) as between, balanced(tmp_path, between.url) as started:
        yield started


def token_of(house: Balanced, tenant: str) -> str:
    """Add a tenant; return the token of an owner of it."""
    house.add_tenant(tenant)
    return house.cli("token", "create", tenant, "--role", "owner").text.strip()


@asynccontextmanager
async def asking(node: ClusterNode, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the API of one server."""
    url, headers = f"http://{node.host}:{node.http_port}", {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=DEADLINE_S) as client:
        yield client


async def holds(check: Callable[[], Awaitable[Any]], watch: Stopwatch) -> None:
    """Wait until `check` is true, which has to be within two seconds."""
    await eventually(check, DEADLINE_S)
    assert watch.seconds() < HOLDS_S + SLACK_S


# Decisions


async def revoke_a_key_on_one(house: Balanced, tenant: str) -> None:
    """Revoke the key of sessions on all servers by the API of one; see them end, and their uploads with them."""
    token = token_of(house, tenant)
    (key,) = house.cli("key", "list", tenant, "--json").json
    async with AsyncExitStack() as stack:
        connections = await house.one_on_each(tenant, stack)
        clients = [await stack.enter_async_context(each.start_sftp_client()) for each in connections]
        files = [await each.open("/sync_users.csv", "wb") for each in clients]
        for file in files:
            await file.write(people("ann"))
        async with asking(house.nodes[-1], token) as client:
            answer = await client.delete(f"/api/v1/tenants/{tenant}/keys/{quote(key['fingerprint'], safe='')}")
            assert answer.status_code == 204
        watch = stack.enter_context(Stopwatch(house.nodes))
        for each in connections:
            async with asyncio.timeout(DEADLINE_S):
                await each.wait_closed()
        assert watch.seconds() < HOLDS_S + SLACK_S
        with pytest.raises(asyncssh.PermissionDenied):
            await house.connect(tenant)
        await eventually(lambda: states(house, tenant) == ["aborted"] * len(files))


def states(house: Balanced, tenant: str) -> list[str]:
    return [each["state"] for each in house.cli("import", "list", tenant, "--json").json]


async def test_a_key_that_one_server_revokes_ends_its_sessions_and_uploads_on_all(house: Balanced) -> None:
    await revoke_a_key_on_one(house, "revoked")


async def test_a_setting_that_one_server_changes_holds_on_all(house: Balanced) -> None:
    token = token_of(house, "changed")
    async with AsyncExitStack() as stack:
        connections = await house.one_on_each("changed", stack)
        clients = [await stack.enter_async_context(each.start_sftp_client()) for each in connections]
        for client in clients:
            assert not await is_refused(client)
        async with asking(house.nodes[0], token) as client:
            answer = await client.patch("/api/v1/tenants/changed/settings", json={"max_file_bytes": 1000})
            assert answer.status_code == 200, answer.text
        watch = stack.enter_context(Stopwatch(house.nodes))
        for each in clients:
            await holds(lambda: is_refused(each), watch)  # noqa: B023 - used at once


async def is_refused(client: asyncssh.SFTPClient) -> bool:
    """Return whether an upload of 2,000 bytes is refused."""
    try:
        async with client.open("/some-file", "wb") as file:
            await file.write(bytes(2000))
    except asyncssh.SFTPError:
        return True
    return False


async def test_a_held_import_is_approved_on_one_server_and_ends_on_all(house: Balanced) -> None:
    token = token_of(house, "held")
    house.cli("tenant", "set", "held", "deactivate_missing=true")
    house.put("held", people(*(f"p{number}" for number in range(20))))
    assert house.wait("held", 1)["state"] == "completed"
    house.put("held", people("p0"))
    assert house.wait("held", 2)["state"] == "held"
    async with asking(house.nodes[1], token) as client:
        answer = await client.post("/api/v1/tenants/held/imports/2/approve")
        assert answer.status_code in (200, 202), answer.text
    for node in house.nodes:
        async with asking(node, token) as client:
            ended = (await client.get("/api/v1/tenants/held/imports/2", params={"wait": 30})).json()
            assert (ended["state"], ended["counts"]["deactivated"]) == ("completed", 19)


# Pages


async def follow_an_import_on_all(house: Balanced, tenant: str) -> None:
    """Follow imports on all servers, and upload a file to one: each stream says that its import has ended."""
    token = token_of(house, tenant)
    path = f"/api/v1/tenants/{tenant}/events"
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(asking(node, token)) for node in house.nodes]
        streams = [await stack.enter_async_context(each.stream("GET", path)) for each in clients]
        lines = [each.aiter_lines() for each in streams]
        for each in lines:
            assert (await anext(each)).startswith("retry:")
        watch = stack.enter_context(Stopwatch(house.nodes))
        await asyncio.to_thread(house.put, tenant, people("ann"))

        async def ended(events: AsyncIterator[str]) -> float:
            async for line in events:
                if line.startswith("data:") and json.loads(line.removeprefix("data:"))["state"] == "completed":
                    return watch.seconds()
            raise AssertionError("the stream has ended")

        async with asyncio.timeout(DEADLINE_S):
            times = await asyncio.gather(*map(ended, lines))
        assert max(times) - min(times) < HOLDS_S + SLACK_S


async def test_pages_on_all_servers_follow_an_import_on_one(house: Balanced) -> None:
    await follow_an_import_on_all(house, "live")


def test_a_sign_in_a_dry_run_and_its_sending_need_not_reach_the_same_server(house: Balanced) -> None:
    token = token_of(house, "pages")
    with house.client(**FROM_OURS, origin=house.url) as browser:
        assert browser.post("/sign-in", data={"token": token}).status_code == 303
        file = {"file": ("ann.csv", people("ann"), "text/csv")}
        tested = browser.post("/tenants/pages/try", files=file).headers["location"].partition("?")[0]
        assert house.wait("pages", int(tested.rpartition("/")[2]))["state"] == "completed"
        for _ in range(2 * len(house.nodes)):
            assert browser.get(tested).status_code == 200
        sent = browser.post(f"{tested}/send")
        assert sent.status_code == 303, sent.text
        number = int(sent.headers["location"].partition("?")[0].rpartition("/")[2])
        assert house.wait("pages", number)["counts"]["created"] == 1
        for _ in range(2 * len(house.nodes)):
            assert "ann@example.com" in browser.get("/tenants/pages/users").text


# Without LISTEN


async def test_servers_that_only_poll_hold_a_decision_and_follow_an_import(
    polling: Balanced,
) -> None:
    await revoke_a_key_on_one(polling, "revoked")
    await follow_an_import_on_all(polling, "live")
