"""The real server on a PostgreSQL that runs, but cannot be written, has no disk, or gives logins no connection."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg
import pytest

from tests.support.clients import POSTGRES, TMPFS, needs
from tests.support.disks import small_disk
from tests.support.importing import people
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.postgres_server import as_postgres
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, eventually, wait_until
from tests.system.test_serving_from_a_database import read, server_on

pytestmark = needs(POSTGRES, "sftp")

LATER = "The server cannot accept a login now. Try again later."
READ_ONLY = "ALTER SYSTEM SET default_transaction_read_only = on"
WRITABLE = "ALTER SYSTEM RESET default_transaction_read_only"
LOGIN_WAITS_S = 15.0
"""How long a login waits for a connection before it is refused."""
ALL_BUT_THE_PULSE = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE application_name = 'headcount' AND query NOT LIKE 'UPDATE marks SET text = text WHERE false%'"""


THE_LOCK = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'headcount node'"


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


async def test_a_database_that_becomes_read_only_makes_an_upload_wait_and_reads_go_on(
    server: ServerProcess, postgres: OwnPostgres
) -> None:
    """As that of a primary that became a standby, or of a service whose disk is full."""
    token = server.cli("token", "create", "acme", "--role", "owner").text.strip()
    with psycopg.connect(f"{postgres.url}&options=-cdefault_transaction_read_only%3Doff", autocommit=True) as admin:
        async with (
            server.connect("acme") as connection, connection.start_sftp_client() as sftp,
            server.connect("acme") as other, other.start_sftp_client() as reader,
        ):  # fmt: skip
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
            async with reader.open("/sync_users.csv", "rb") as before:
                assert await before.read() == people("ann")
            assert not closing.done()  # so nothing waited for what this waits for
            admin.execute(WRITABLE)
            admin.execute("SELECT pg_reload_conf()")
            await closing
    report = await asyncio.to_thread(server.wait, "acme")
    assert report["counts"]["created"] == 1
    await eventually(lambda: "database_back" in server.events())
    (away,) = [line["message"] for line in server.lines() if line["event"] == "database_away"]
    assert "read-only" in away


@pytest.mark.parametrize(
    ("ended", "why"),
    [
        (ALL_BUT_THE_PULSE, "the database cannot be reached"),
        (THE_LOCK, "the database has not heard of this server for 12 seconds"),
    ],
    ids=["logins", "taken for gone"],
)
def test_a_server_whose_logins_get_no_connection_is_not_ready(
    server: ServerProcess, postgres: OwnPostgres, ended: str, why: str
) -> None:
    """All are used up, so a balancer sends its clients to other servers, which may have one."""
    with ExitStack() as used, psycopg.connect(postgres.url, autocommit=True) as admin:

        def use_up() -> None:
            with suppress(psycopg.OperationalError):
                while True:
                    used.enter_context(psycopg.connect(postgres.url))

        def is_refused() -> bool:
            use_up()  # most of them before: PostgreSQL takes a server for gone that is frozen for long
            server.freeze()  # it would take a connection again before they are used up
            admin.execute(ended)
            use_up()
            server.thaw()
            return LATER in server.sftp("acme", "ls /", logins=1).stderr

        wait_until(is_refused, 8 * LOGIN_WAITS_S, "a refused login")
        shows(server, works=False)
        wait_until(lambda: server.get("/readyz").json().get("reasons") == {"database": why}, DEADLINE_S, why)
    shows(server, works=True)
    assert server.sftp("acme", "ls /").returncode == 0


@needs(TMPFS)
def test_an_upload_for_which_the_database_has_no_disk_is_counted_and_all_else_works(
    server: ServerProcess, postgres: OwnPostgres, tmp_path: Path
) -> None:
    local, folder = tmp_path / "big", postgres.data.parent / "small"
    local.write_bytes(os.urandom(12 * 1024**2))
    with small_disk(folder, 6), psycopg.connect(postgres.url, autocommit=True) as admin:
        if as_postgres():
            shutil.chown(folder, "postgres", "postgres")
        admin.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
        admin.execute("ALTER TABLE chunks SET TABLESPACE small")
        assert server.sftp("acme", f'put "{local}" /big').returncode != 0
        assert server.get("/readyz").status_code == 200
        assert read(server, "/sync_users.csv") == people("ann")
        counted = 'headcount_uploads_total{result="aborted",tenant="acme"} 1.0'
        wait_until(lambda: counted in server.get("/metrics").text.splitlines(), what="the upload to be counted")
        (line,) = [each["message"] for each in server.lines() if each["event"] == "upload_aborted"]
        assert "the storage of the server is full" in line
        admin.execute("ALTER TABLE chunks SET TABLESPACE pg_default")
        assert server.sftp("acme", f'put "{local}" /big').returncode == 0
