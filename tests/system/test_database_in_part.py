"""The real server on a PostgreSQL that runs, but cannot be written, or gives logins no connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.clients import POSTGRES, needs
from tests.support.importing import people
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, eventually, wait_until
from tests.system.test_serving_from_a_database import server_on

pytestmark = needs(POSTGRES, "sftp")

LATER = "The server cannot accept a login now. Try again later."
READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = on"
WRITABLE = "ALTER SYSTEM RESET default_transaction_read_only"
ALL_BUT_THE_PULSE = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE application_name = 'headcount' AND query NOT LIKE 'UPDATE marks SET text = text WHERE false%'"""


@pytest.fixture
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as started:
        yield started


@pytest.fixture
def server(postgres: OwnPostgres, tmp_path: Path) -> Iterator[ServerProcess]:
    with server_on(postgres.url, tmp_path) as started:
        started.add_tenant("acme")
        started.put("acme", people("ann"))
        started.wait("acme")
        yield started


def shows(server: ServerProcess, *, works: bool) -> None:
    """Wait until the health check and the metrics show whether the database works."""
    status = 200 if works else 503
    wait_until(lambda: server.get("/readyz").status_code == status, DEADLINE_S, "the health check")
    line = f'headcount_ready{{part="database"}} {float(works)}'
    wait_until(lambda: line in server.get("/metrics").text.splitlines(), DEADLINE_S, "the metric")
    assert server.get("/readyz").json()["database"] is works


async def test_a_database_that_becomes_read_only_makes_an_upload_wait_and_pages_go_on(
    server: ServerProcess, postgres: OwnPostgres
) -> None:
    """As that of a primary that became a standby, or of a service whose disk is full."""
    token = server.cli("token", "create", "acme", "--role", "owner").text.strip()
    with psycopg.connect(f"{postgres.url}&options=-cdefault_transaction_read_only%3Doff", autocommit=True) as admin:
        async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
            file = await sftp.open("/sync_users.csv", "wb")
            await file.write(people("ann", "bob"))
            admin.execute(READ_ONLY)
            admin.execute("SELECT pg_reload_conf()")
            await asyncio.to_thread(shows, server, works=False)
            closing = asyncio.create_task(file.close())
            listed = await asyncio.to_thread(
                server.get, "/api/v1/tenants/acme/imports", Authorization=f"Bearer {token}"
            )
            assert [each["state"] for each in listed.json()["imports"]] == ["completed"]
            assert not closing.done()
            admin.execute(WRITABLE)
            admin.execute("SELECT pg_reload_conf()")
            await closing
    report = await asyncio.to_thread(server.wait, "acme")
    assert report["counts"]["created"] == 1
    await eventually(lambda: "database_back" in server.events())
    (away,) = [line["message"] for line in server.lines() if line["event"] == "database_away"]
    assert "read-only" in away


def test_a_server_whose_logins_get_no_connection_is_not_ready(server: ServerProcess, postgres: OwnPostgres) -> None:
    """All are used up, so a balancer sends its clients to other servers, which may have one."""
    with ExitStack() as used, psycopg.connect(postgres.url, autocommit=True) as admin:

        def use_up() -> None:
            with suppress(psycopg.OperationalError):
                while True:
                    used.enter_context(psycopg.connect(postgres.url))

        def is_refused() -> bool:
            use_up()
            admin.execute(ALL_BUT_THE_PULSE)
            use_up()
            return LATER in server.sftp("acme", "ls /").stderr

        wait_until(is_refused, DEADLINE_S, "a refused login")
        shows(server, works=False)
        assert server.get("/readyz").json()["reasons"] == {"database": "the database cannot be reached"}
    shows(server, works=True)
    assert server.sftp("acme", "ls /").returncode == 0
