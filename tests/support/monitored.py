"""Real causes of alerts and figures of a dashboard, for a running server."""

from __future__ import annotations

import asyncio

import asyncssh

from server.sftp.auth import BUSY
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until

CREW = tuple(f"user{number}" for number in range(20))
STRANGER = "127.0.0.77"
BAN_S = "600"
"""HEADCOUNT_PENALTY_REFUSED_S: one refused login is a ban, which outlives the test."""


def held_import(server: ServerProcess, tenant: str) -> int:
    """Let an import of `tenant`, which has `deactivate_missing`, be held; return its id."""
    server.put(tenant, people(*CREW))
    first = server.wait(tenant)
    assert first["state"] == "completed"
    server.put(tenant, people(CREW[0]))
    report = server.wait(tenant)
    assert report["state"] == "held"
    return int(report["id"])


def ban(server: ServerProcess, tenant: str) -> None:
    """Let a stranger log in as `tenant` with an unknown key, and wait until that is a ban."""
    wait_until(lambda: not _is_busy(refused_login(server, tenant)), what="an answer about the key")
    wait_until(lambda: "source_banned" in server.events(), what="the ban")


def refused_login(server: ServerProcess, tenant: str) -> Exception:
    """Let a stranger try to log in with an unknown key; return what the client was told."""
    return asyncio.run(_refused_login(server, tenant))


async def _refused_login(server: ServerProcess, tenant: str) -> Exception:
    key = asyncssh.generate_private_key("ssh-ed25519")
    options = {"username": tenant, "client_keys": [key], "agent_path": None, "known_hosts": None, "config": None}
    try:
        async with asyncssh.connect("127.0.0.1", server.sftp_port, local_addr=(STRANGER, 0), **options):
            raise AssertionError("an unknown key logged in")
    except (asyncssh.Error, OSError) as error:
        return error


def _is_busy(error: Exception) -> bool:
    """Return whether the database did not answer in time: then it bans no client."""
    return BUSY in str(error)
