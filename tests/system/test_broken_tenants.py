"""A broken tenant stops no other: the real server beside unusable folders, until they are restored."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from importer.folder import TenantFolder
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, wait_until
from tests.support.writing import by_hand

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")

Break = Callable[[TenantFolder], None]

REPAIRED_S = DEADLINE_S
"""The server looks every 2 seconds; a busy machine needs longer."""


def _away(folder: TenantFolder) -> None:
    for path in folder.root.glob("users.db*"):
        path.unlink()


def missing(folder: TenantFolder) -> None:
    _away(folder)


def empty(folder: TenantFolder) -> None:
    _away(folder)
    folder.users_db.touch()


def garbage(folder: TenantFolder) -> None:
    _away(folder)
    folder.users_db.write_bytes(b"not a database" * 1000)


def truncated(folder: TenantFolder) -> None:
    content = folder.users_db.read_bytes()
    _away(folder)
    folder.users_db.write_bytes(content[: len(content) // 3])


def a_folder(folder: TenantFolder) -> None:
    _away(folder)
    folder.users_db.mkdir()


def newer(folder: TenantFolder) -> None:
    by_hand(folder.users_db, "PRAGMA user_version = 99")


def no_ring(folder: TenantFolder) -> None:
    folder.keys.write_text("{ no ring")


def lost_ring(folder: TenantFolder) -> None:
    folder.keys.unlink()


def no_folder(folder: TenantFolder) -> None:
    shutil.rmtree(folder.root)


def no_uploads(folder: TenantFolder) -> None:
    shutil.rmtree(folder.uploads)
    folder.uploads.write_text("a file")


BREAKS = [missing, empty, garbage, truncated, a_folder, newer, no_ring, lost_ring, no_folder, no_uploads]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path) as server:
        server.add_tenant("acme")
        server.add_tenant("other")
        server.put("acme", people("ann", "bob"))
        assert server.wait("acme")["state"] == "completed"
        yield server


def keep(server: ServerProcess) -> Path:
    """Copy all folders, as a backup of a stopped server does."""
    backup = server.folder / "backup"
    shutil.copytree(server.data / "tenants", backup)
    return backup


def restore(server: ServerProcess, backup: Path, tenant: str = "acme") -> None:
    """Restore a folder in one step: the server never finds a half of it, which it might repair."""
    root = server.files(tenant).root
    whole = shutil.copytree(backup / tenant, backup / f"{tenant}-again")
    with suppress(FileNotFoundError):
        root.rename(backup / f"{tenant}-broken")
    whole.rename(root)


def reasons(server: ServerProcess) -> dict[str, str | None]:
    return {each["name"]: each["broken"] for each in server.cli("tenant", "list", "--json").json}


def gauge(server: ServerProcess) -> float:
    text = server.get("/metrics").text
    return float(next(line for line in text.splitlines() if line.startswith("headcount_tenants_broken ")).split()[1])


def refusals_of(server: ServerProcess, tenant: str) -> list[str]:
    """Return the log lines about refused logins of this tenant."""
    return [line["message"] for line in server.lines() if line["event"] == "login_refused" and line["user"] == tenant]


@needs("sftp")
def test_the_server_starts_beside_broken_tenants_which_work_again_when_restored(
    server: ServerProcess,
) -> None:
    names = {f"t-{spoil.__name__.replace('_', '-')}": spoil for spoil in BREAKS}
    for name in names:
        server.add_tenant(name)
    server.stop()
    backup = keep(server)
    for name, spoil in names.items():
        spoil(server.files(name))
    server.start()

    assert server.events().count("tenant_broken") == gauge(server) == len(names)
    ready = server.get("/readyz")
    assert (ready.status_code, ready.json()["tenants_broken"]) == (200, len(names))
    assert "t-" not in ready.text
    found = reasons(server)
    assert found.pop("acme") is found.pop("other") is None
    for name, why in found.items():
        assert str(server.files(name).root) in (why or ""), name
        assert server.cli("tenant", "show", name, "--json").json["broken"] == why
        assert server.sftp(name, "ls").returncode != 0
        wait_until(
            lambda name=name: any("broken" in each for each in refusals_of(server, name)),
            REPAIRED_S,
            "the log to say why",
        )
    server.put("acme", people("ann", "bob", "zoe"))
    assert server.wait("acme")["state"] == "completed"

    for name in names:
        restore(server, backup, name)
    wait_until(
        lambda: server.events().count("tenant_mended") == len(names), REPAIRED_S, "the tenants to be used again"
    )
    for name in names:
        server.put(name, people("ann"))
        assert server.wait(name)["state"] == "completed"
    assert gauge(server) == 0
    assert set(reasons(server).values()) == {None}


@needs("sftp")
def test_imports_of_a_broken_tenant_wait_and_run_when_it_is_restored(server: ServerProcess) -> None:
    server.stop()
    backup = keep(server)
    by_hand(  # an upload was published, and the server was stopped before its import
        server.data / "headcount.db",
        "UPDATE tenants SET last_import_id = 2 WHERE name = 'acme'",
        "INSERT INTO imports (tenant, id, state, dry_run, sequence, path, size, uploaded_at)"
        " VALUES ('acme', 2, 'queued', 0, 99, '/sync_users.csv', 9, '2026-01-01T00:00:00.000Z')",
    )
    for uploads in (server.files("acme").uploads, backup / "acme" / "uploads"):
        (uploads / "2.csv").write_bytes(people("ann", "bob", "dee"))
    missing(server.files("acme"))
    server.start()
    wait_until(lambda: server.report("acme", 2)["message"], REPAIRED_S, "the import to say why it waits")
    assert server.state("acme", 2) == "queued"
    assert not server.files("acme").users_db.exists(), "it is never created again"
    restore(server, backup)
    assert server.wait("acme", 2)["state"] == "completed"
    assert server.users("acme")["dee@example.com"] == "active"


@needs("sftp")
def test_a_tenant_that_breaks_while_the_server_runs_is_refused_and_its_import_waits(server: ServerProcess) -> None:
    server.stop()
    backup = keep(server)
    server.start()
    missing(server.files("acme"))
    server.sftp("acme", "ls")
    wait_until(lambda: "tenant_broken" in server.events(), REPAIRED_S, "the tenant to be broken")
    assert server.sftp("acme", "ls").returncode != 0
    restore(server, backup)
    wait_until(lambda: "tenant_mended" in server.events(), REPAIRED_S, "the tenant to be used again")
    assert server.sftp("acme", "ls").returncode == 0


@needs("sftp")
def test_a_missing_copy_breaks_its_tenant_and_its_import_runs_once_the_copy_is_there(server: ServerProcess) -> None:
    server.cli("tenant", "set", "acme", "require_checksum=true")
    server.put("acme", people("ann", "bob", "eve"))
    copy = server.files("acme").copy(2)
    kept = copy.read_bytes()
    server.stop()
    copy.unlink()
    server.start()
    assert "2.csv" in (reasons(server)["acme"] or "")
    server.cli("tenant", "set", "acme", "require_checksum=false")
    whole = server.folder / "kept"
    whole.write_bytes(kept)
    whole.rename(copy)
    assert server.wait("acme", 2)["state"] == "completed"


@needs("sftp")
def test_foreign_folders_in_staging_and_uploads_are_ignored(server: ServerProcess) -> None:
    server.stop()
    for place in (server.files("acme").staging, server.files("acme").uploads):
        (place / "lost+found").mkdir()
        (place / "9.csv").mkdir()
    server.start()
    assert "tenant_broken" not in server.events()
    server.put("acme", people("ann", "bob", "fay"))
    assert server.wait("acme")["state"] == "completed"


@needs("sftp")
def test_owners_learn_that_a_tenant_is_broken_and_the_operator_why(server: ServerProcess) -> None:
    operator = server.cli("token", "create", "--operator").text.strip()
    owner = server.cli("token", "create", "acme", "--role", "owner").text.strip()
    garbage(server.files("acme"))
    for path in ("users", "settings", "imports"):
        answer = server.get(f"/api/v1/tenants/acme/{path}", Authorization=f"Bearer {owner}")
        if path == "imports" and answer.status_code == 200:
            continue
        assert answer.status_code == 503, answer.text
        assert answer.json()["code"] == "tenant_broken"
        assert str(server.data) not in answer.text
    told = server.get("/api/v1/tenants/acme/imports", Authorization=f"Bearer {operator}").json()["detail"]
    assert "users.db is damaged" in told
    rows = server.get("/api/v1/tenants", Authorization=f"Bearer {operator}").json()["tenants"]
    assert {row["name"]: bool(row["broken"]) for row in rows} == {"acme": True, "other": False}


@pytest.mark.parametrize("content", [None, b""])
def test_a_data_folder_that_lost_headcount_db_is_refused(server: ServerProcess, content: bytes | None) -> None:
    server.stop()
    for path in server.data.glob("headcount.db*"):
        path.unlink()
    if content is not None:
        (server.data / "headcount.db").write_bytes(content)
    for arguments in (("serve",), ("tenant", "list"), ("tenant", "add", "third"), ("token", "list")):
        done = server.command(*arguments)
        assert done.returncode == 1
        assert "Restore headcount.db from a backup" in done.stderr
    assert (server.data / "headcount.db").exists() == (content is not None)


def test_an_interrupted_creation_of_a_data_folder_is_finished(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    (server.data / "tenants" / ".adding").mkdir(parents=True)
    (server.data / "headcount.db").touch()
    with server:
        server.add_tenant("acme")
        assert reasons(server) == {"acme": None}


@needs("sftp")
def test_a_tenant_with_a_lost_key_ring_works_again_when_keys_are_added(server: ServerProcess) -> None:
    lost_ring(server.files("acme"))
    server.stop()
    server.start()
    why = reasons(server)["acme"] or ""
    assert "keys.json is missing" in why
    assert "headcount key add acme FILE" in why
    server.cli("key", "add", "acme", str(server.private_key("acme").with_suffix(".pub")))
    wait_until(lambda: "tenant_mended" in server.events(), REPAIRED_S, "the tenant to be used again")
    assert server.sftp("acme", "ls").returncode == 0
