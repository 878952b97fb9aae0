"""Keys of the real server on PostgreSQL: a revoked key is out at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.support.clients import POSTGRES, needs
from tests.support.postgres import url_of_new
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, eventually

pytestmark = needs(POSTGRES)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    secret = tmp_path / "secret"
    secret.write_bytes(os.urandom(32))
    secret.chmod(0o600)
    env = {"HEADCOUNT_DATABASE_URL": url_of_new(tmp_path), "HEADCOUNT_SECRET_KEY_FILE": str(secret)}
    with ServerProcess(tmp_path, env=env) as started:
        started.add_tenant("acme")
        yield started


async def logs_in(server: ServerProcess) -> bool:
    try:
        async with server.connect("acme"):
            return True
    except (asyncssh.Error, OSError):
        return False


def said(server: ServerProcess, event: str, why: str) -> bool:
    return any(why in line["message"] for line in server.lines() if line["event"] == event)


async def test_a_revoked_key_ends_its_session_and_opens_no_other(server: ServerProcess) -> None:
    (key,) = server.cli("key", "list", "acme", "--json").json
    async with server.connect("acme") as connection:
        server.cli("key", "revoke", "acme", key["fingerprint"])
        await asyncio.wait_for(connection.wait_closed(), DEADLINE_S)
    assert not await logs_in(server)
    await eventually(lambda: said(server, "session_ended", "no such key"))
