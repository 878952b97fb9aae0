"""Commands of the operator beside a running server, and how soon they take effect."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.jumping_clock import JumpingClock
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until

pytestmark = needs("sftp")

KNOWN_S = 0.0 if chosen_engine() == EMBEDDED else 2.0
"""For how long a revoked key may be accepted: a database is asked for the keys of a tenant twice a second at most."""
SETTINGS_S = 2.0
"""The same of a setting, also if a database does not answer at once."""
NAMES = (f"tenant-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start one server for all of these tests; each has its own tenant."""
    with ServerProcess(tmp_path_factory.mktemp("server")) as running:
        yield running
        assert running.stop() == 0
        assert "internal_error" not in running.log.read_text()
        assert "Traceback" not in running.log.read_text()


@pytest.fixture
def tenant(server: ServerProcess) -> str:
    name = next(NAMES)
    server.add_tenant(name)
    return name


def fingerprint(server: ServerProcess, tenant: str) -> str:
    return str(server.cli("key", "list", tenant, "--json").json[0]["fingerprint"])


def refuses(server: ServerProcess, tenant: str, command: str, within_s: float) -> None:
    """Assert that the server refuses a command of sftp that begins `within_s` from now, or earlier."""
    until = time.monotonic() + within_s
    begun = time.monotonic()
    while server.sftp(tenant, command).returncode == 0:
        assert begun < until, f"it was done more than {within_s:g} s later"
        begun = time.monotonic()


def test_a_tenant_can_log_in_as_soon_as_it_is_added(server: ServerProcess) -> None:
    for _ in range(3):
        name = next(NAMES)
        server.add_tenant(name)
        assert server.sftp(name, "ls").returncode == 0


def test_the_list_of_keys_shows_when_each_was_last_used(server: ServerProcess, tenant: str) -> None:
    def key() -> dict[str, str]:
        found: dict[str, str] = server.cli("key", "list", tenant, "--json").json[0]
        return found

    assert key()["last_used_at"] is None
    began = datetime.now(UTC)
    assert server.sftp(tenant, "ls").returncode == 0
    wait_until(lambda: key()["last_used_at"])
    assert began <= datetime.fromisoformat(key()["last_used_at"]) <= datetime.now(UTC)
    assert key()["last_used_from"] == "127.0.0.1"


def test_a_revoked_key_is_refused_at_once(server: ServerProcess, tenant: str) -> None:
    assert server.sftp(tenant, "ls").returncode == 0
    server.cli("key", "revoke", tenant, fingerprint(server, tenant))
    refuses(server, tenant, "ls", KNOWN_S)


async def test_revoking_a_key_ends_its_sessions_and_their_uploads(server: ServerProcess, tenant: str) -> None:
    async with server.connect(tenant) as connection, connection.start_sftp_client() as sftp:
        file = await sftp.open("/sync_users.csv", "wb")
        await file.write(people("ann"))
        await asyncio.to_thread(server.cli, "key", "revoke", tenant, fingerprint(server, tenant))
        await asyncio.wait_for(connection.wait_closed(), DEADLINE_S)
    assert server.stored.visible(tenant, "/sync_users.csv") is None
    await asyncio.to_thread(server.reaches, tenant, 1, "aborted")
    assert server.stored.unfinished(tenant) == []


async def test_an_expired_key_ends_its_sessions(tmp_path: Path) -> None:
    clock = JumpingClock(tmp_path / "clock")
    with ServerProcess(tmp_path, env=clock.env) as server:
        server.cli("tenant", "add", "acme")
        expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        server.cli("key", "add", "acme", str(server.make_key("acme")), "--expires", expires)
        async with server.connect("acme") as connection:
            assert (await asyncio.to_thread(server.sftp, "acme", "ls")).returncode == 0
            clock.step(timedelta(hours=1))
            await asyncio.wait_for(connection.wait_closed(), DEADLINE_S)
        assert (await asyncio.to_thread(server.sftp, "acme", "ls")).returncode != 0


async def test_removing_a_tenant_ends_only_its_sessions(server: ServerProcess, tenant: str) -> None:
    other = next(NAMES)
    server.add_tenant(other)
    async with server.connect(other) as theirs, theirs.start_sftp_client() as sftp:
        async with server.connect(tenant) as ours:
            await asyncio.to_thread(server.cli, "tenant", "remove", tenant, "--yes")
            await asyncio.wait_for(ours.wait_closed(), DEADLINE_S)
        assert "results" in await sftp.listdir("/")


def test_a_tenant_removed_during_its_import_affects_no_other(server: ServerProcess, tenant: str) -> None:
    with server.stored.writing_users(tenant):  # the first import cannot end before both have arrived
        server.put(tenant, people(*(f"p{number}" for number in range(150_000))))
        server.put(tenant, people("waiting"))
        server.reaches(tenant, 1, "running")
    aside = server.cli("tenant", "remove", tenant, "--yes", "--json").json["moved_to"]
    assert tenant in server.stored.removed()
    if chosen_engine() == EMBEDDED:
        assert (Path(aside) / "files" / "sync_users.csv").exists()
    other = next(NAMES)
    server.add_tenant(other)
    server.put(other, people("ann"))
    assert server.wait(other)["state"] == "completed"
    wait_until(lambda: server.get("/readyz").status_code == 200, what="the server to be well")
    server.add_tenant(tenant)
    server.put(tenant, people("bob"))
    assert (server.wait(tenant)["id"], set(server.users(tenant))) == (1, {"bob@example.com"})


def test_a_changed_limit_holds_within_a_second(server: ServerProcess, tenant: str) -> None:
    server.put(tenant, b"x" * 2000, "/notes.txt")
    server.cli("tenant", "set", tenant, "max_file_bytes=1kB")
    refuses(server, tenant, f'put "{_big(server)}" /more.txt', SETTINGS_S)


def test_a_network_that_is_no_longer_allowed_is_refused(server: ServerProcess, tenant: str) -> None:
    server.cli("tenant", "set", tenant, "allowed_networks=192.0.2.0/24")
    refuses(server, tenant, "ls", SETTINGS_S)


def _big(server: ServerProcess) -> Path:
    path = server.folder / "big.txt"
    path.write_bytes(b"x" * 5000)
    return path
