"""The real server while its PostgreSQL is away: sessions wait, nothing is lost, and the log says it twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import httpx
import pytest

from tests.support.clients import POSTGRES, needs
from tests.support.importing import crowd, people
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.pgbouncer import PgBouncer, pgbouncer
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, eventually, wait_until
from tests.system.test_serving_from_a_database import names, read, server_on, states

pytestmark = needs(POSTGRES, "pgbouncer", "sftp")


@pytest.fixture
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as started:
        yield started


@pytest.fixture
def server(postgres: OwnPostgres, tmp_path: Path) -> Iterator[ServerProcess]:
    with server_on(postgres.url, tmp_path) as started:
        started.add_tenant("acme")
        yield started


def is_ready(server: ServerProcess) -> bool:
    return server.get("/readyz").status_code == 200


def quick(server: ServerProcess, path: str) -> httpx.Response:
    """Ask until an answer takes less than 2 s: a busy machine delays some, a wait for the database delays all."""

    def asked() -> httpx.Response | None:
        begun = time.monotonic()
        answer = server.get(path)
        return answer if time.monotonic() - begun < 2 else None

    answer = wait_until(asked, what=f"a quick answer of {path}")
    assert answer
    return answer


async def test_an_upload_and_a_session_outlive_a_restart_of_the_database(
    server: ServerProcess, postgres: OwnPostgres
) -> None:
    async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("/sync_users.csv", "wb")
        await file.write(people("ann"))
        await asyncio.to_thread(postgres.stop)
        await eventually(lambda: asyncio.to_thread(lambda: not is_ready(server)))
        await file.write(people("ann", "bob"), 0)
        closing = asyncio.create_task(file.close())
        listing = asyncio.create_task(sftp.listdir("/"))
        done, _ = await asyncio.wait([closing, listing], timeout=4)  # longer than an account is sure
        assert not done
        await asyncio.to_thread(postgres.start)
        await closing
        assert "sync_users.csv" in await listing
    report = await asyncio.to_thread(server.wait, "acme")
    assert (report["state"], report["counts"]["created"]) == ("completed", 2)


def test_the_log_says_once_that_the_database_is_away_and_once_that_it_is_back(
    server: ServerProcess, postgres: OwnPostgres
) -> None:
    before = len(server.lines())
    postgres.stop()
    wait_until(lambda: not is_ready(server), DEADLINE_S, "the server to notice")
    for _ in range(3):
        login = server.sftp("acme", "ls /", logins=1)
        assert "The server cannot accept a login now. Try again later." in login.stderr
    page = server.get("/api/v1/tenants/acme/imports", Authorization="Bearer nonsense")
    assert page.status_code == 503
    assert "the database cannot be reached" in page.json()["detail"]
    assert "socket" not in page.text
    assert str(postgres.url.partition("host=")[2].partition("&")[0]) not in page.text
    postgres.start()
    wait_until(lambda: is_ready(server), DEADLINE_S, "the server to be ready")
    wait_until(lambda: "database_back" in server.events(), DEADLINE_S, "the line of the log")
    lines = [line for line in server.lines()[before:] if line["event"] not in ("login_refused", "login")]
    assert [line["event"] for line in lines] == ["database_away", "database_back"], lines
    assert "connection" in lines[0]["message"]
    assert server.sftp("acme", "ls /").returncode == 0


def test_a_scrape_does_not_wait_for_a_database_that_is_away(server: ServerProcess, postgres: OwnPostgres) -> None:
    server.put("acme", people("ann"))
    assert server.wait("acme")["state"] == "completed"
    users, works = 'headcount_users{state="active",tenant="acme"} 1.0', 'headcount_ready{part="database"} 1.0'
    wait_until(lambda: {users, works} <= {*server.get("/metrics").text.splitlines()}, what="the metrics")
    postgres.stop()
    try:
        wait_until(lambda: not is_ready(server), DEADLINE_S, "the server to notice")
        assert quick(server, "/readyz").status_code == 503
        shown = quick(server, "/metrics").text.splitlines()
    finally:
        postgres.start()
    assert users in shown
    assert works.replace("1.0", "0.0") in shown
    wait_until(lambda: works in server.get("/metrics").text, DEADLINE_S, "the database to be back")


async def test_a_key_revoked_behind_the_back_of_a_server_publishes_nothing(
    postgres: OwnPostgres, tmp_path: Path
) -> None:
    with pgbouncer(postgres.url, 10) as between, server_on(between.url, tmp_path) as server:
        server.add_tenant("acme")
        (key,) = server.cli("key", "list", "acme", "--json").json
        async with server.connect("acme") as connection, connection.start_sftp_client() as sftp:
            file = await sftp.open("/sync_users.csv", "wb")
            await file.write(people("ann"))
            between.kill()
            await eventually(lambda: asyncio.to_thread(lambda: not is_ready(server)))
            await asyncio.sleep(2)  # so long, accounts are sure
            server.env["HEADCOUNT_DATABASE_URL"] = postgres.url
            server.cli("key", "revoke", "acme", key["fingerprint"])
            closing = asyncio.create_task(file.close())
            await asyncio.wait([closing], timeout=0.5)
            between.start()
            with pytest.raises((asyncssh.Error, OSError)):
                await closing
        await eventually(lambda: "session_ended" in server.events())
        await eventually(lambda: asyncio.to_thread(lambda: states_of_imports(server) == ["aborted"]))


def states_of_imports(server: ServerProcess) -> list[str]:
    return [each["state"] for each in server.cli("import", "list", "acme", "--json").json]


@pytest.fixture
def between(postgres: OwnPostgres) -> Iterator[PgBouncer]:
    with pgbouncer(postgres.url, 5) as started:
        yield started


def test_a_server_works_through_pgbouncer_over_kills_and_restarts(
    postgres: OwnPostgres, between: PgBouncer, tmp_path: Path
) -> None:
    with server_on(between.url, tmp_path) as server:
        server.add_tenant("acme", deactivate_missing="true")
        server.put("acme", people("ann", "bob"))
        assert server.wait("acme")["counts"]["created"] == 2
        token = server.cli("token", "create", "acme", "--role", "owner").text.strip()
        bearer = {"Authorization": f"Bearer {token}"}
        assert server.get("/api/v1/tenants/acme/imports", **bearer).json()["imports"][0]["state"] == "completed"
        assert names(server, "/results") == ["sync_users-1.json"]

        server.put("acme", crowd(4000))
        wait_until(lambda: server.report("acme", 2)["state"] in ("running", "held"), what="the import to run")
        server.kill()
        server.start()
        assert server.wait("acme", 2)["state"] == "held"
        assert server.cli("import", "approve", "acme", "--json").json["counts"]["created"] == 4000

        postgres.stop()
        wait_until(lambda: not is_ready(server), DEADLINE_S, "the server to notice")
        postgres.start()
        wait_until(lambda: is_ready(server), DEADLINE_S, "the server to be ready")
        server.put("acme", crowd(4000))
        assert server.wait("acme")["state"] == "unchanged"
        assert read(server, "/sync_users.csv") == crowd(4000)
        assert sum(state == "active" for state in states(server).values()) == 4000
        assert server.stop() == 0
