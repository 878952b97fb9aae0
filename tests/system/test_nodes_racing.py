"""Sessions of one tenant on different servers that race: for the quota, for one path, and for the last session."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncssh
import psycopg
import pytest

from tests.support.balanced import Balanced, balanced
from tests.support.clients import POSTGRES, needs
from tests.support.importing import people
from tests.support.node_kills import IMPORTS, NOT_ENDED
from tests.support.postgres import url_of_new
from tests.support.waiting import eventually, wait_for_none

pytestmark = needs(POSTGRES, "haproxy", "sftp")

ROUNDS = 8
QUOTA, FILE = 100_000, 60_000
"""Bytes of the quota, and of a file: two of them do not fit."""
TAKEN = """
    SELECT coalesce(sum(size), 0) FROM names JOIN tenants ON tenants.id = tenant_id
    WHERE tenants.name = %s AND counts"""
OPEN = "SELECT count(*) FROM open_sessions JOIN tenants ON tenants.id = tenant_id WHERE name = %s"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    folder = tmp_path_factory.mktemp("racing")
    with balanced(folder, url_of_new(folder)) as started:
        yield started


@pytest.fixture
def db(house: Balanced) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(house.env["HEADCOUNT_DATABASE_URL"], autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def on_each_server(house: Balanced, tenant: str) -> AsyncIterator[list[asyncssh.SFTPClient]]:
    """Yield a client of each server."""
    async with AsyncExitStack() as stack:
        connections = await house.one_on_each(tenant, stack)
        yield [await stack.enter_async_context(each.start_sftp_client()) for each in connections]


async def is_put(client: asyncssh.SFTPClient, path: str, content: bytes) -> bool:
    """Upload a file; return whether the server took it."""
    try:
        async with client.open(path, "wb") as file:
            await file.write(content)
    except asyncssh.SFTPError:
        return False
    return True


async def read(client: asyncssh.SFTPClient, path: str) -> bytes:
    async with client.open(path, "rb") as file:
        return bytes(await file.read())


def number_of(db: psycopg.Connection[Any], query: str, *values: str) -> int:
    found = db.execute(query, values).fetchone()
    assert found
    return int(found[0])


async def test_uploads_racing_on_servers_for_the_last_bytes_never_pass_the_quota(
    house: Balanced, db: psycopg.Connection[Any]
) -> None:
    house.add_tenant("full", quota_bytes=str(QUOTA))
    async with on_each_server(house, "full") as clients:
        for number in range(ROUNDS):
            paths = [f"/{number}-{place}" for place in range(len(clients))]
            done = await asyncio.gather(
                *(is_put(client, path, bytes(FILE)) for client, path in zip(clients, paths, strict=True))
            )
            assert sum(done) <= 1
            assert number_of(db, TAKEN, "full") == sum(done) * FILE
            for client, path, has in zip(clients, paths, done, strict=True):
                if has:
                    await client.remove(path)
        for client in clients:  # one alone fits, on each server
            await eventually(lambda: is_put(client, "/alone", bytes(FILE)))  # noqa: B023 - used at once
            await client.remove("/alone")


async def test_files_racing_on_servers_for_one_path_leave_the_one_that_landed_last(
    house: Balanced, db: psycopg.Connection[Any]
) -> None:
    house.add_tenant("path")
    sent: set[str] = set()
    seen: list[str] = []
    async with on_each_server(house, "path") as clients:
        for number in range(ROUNDS):
            files = [people(f"u{number}x{place}") for place in range(len(clients))]
            done = await asyncio.gather(
                *(is_put(client, "/sync_users.csv", file) for client, file in zip(clients, files, strict=True))
            )
            assert all(done)
            sent |= {hashlib.sha256(file).hexdigest() for file in files}
            shown = [await read(client, "/sync_users.csv") for client in clients]
            assert len(set(shown)) == 1
            seen.append(hashlib.sha256(shown[0]).hexdigest())
    await asyncio.to_thread(wait_for_none, lambda: number_of(db, NOT_ENDED), "the imports to end")
    mine = [row for row in db.execute(IMPORTS) if row[0] == "path"]
    assert [row[2] for row in mine] == ["completed"] * len(sent)
    assert {row[1] for row in mine} == sent
    assert [row[1] for row in mine][2::3] == seen, "the servers showed another file than the newest"
    order = [row[4] for row in mine]
    assert order == sorted(order), "applied in another order than they landed"


async def test_logins_racing_on_all_servers_never_pass_the_limit_of_a_tenant(
    house: Balanced, db: psycopg.Connection[Any]
) -> None:
    most = 3
    house.add_tenant("busy", max_sessions=str(most))
    for _ in range(3):
        tried = await asyncio.gather(*(house.connect("busy") for _ in range(9)), return_exceptions=True)
        opened = [each for each in tried if not isinstance(each, BaseException)]
        refused = [each for each in tried if isinstance(each, BaseException)]
        assert len(opened) == most
        assert {type(each) for each in refused} == {asyncssh.DisconnectError}
        assert all("busy has 3 open, its limit" in str(each) for each in refused)
        assert number_of(db, OPEN, "busy") == most
        for each in opened:
            each.close()
            await each.wait_closed()
        await eventually(lambda: number_of(db, OPEN, "busy") == 0, what="the sessions to be counted no more")
