"""The doctor finds what is wrong with folders of tenants and their files; after what it says is done, all is well."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.clients import TMPFS, needs
from tests.support.doctoring import OTHER, diagnosed, is_well, obey, places, restore_part
from tests.support.importing import people
from tests.support.run_house import open_run_house
from tests.support.server_process import ServerProcess
from tests.support.waiting import wait_until
from tests.support.writing import BYTES_STORED, by_hand

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a data folder to examine")


def test_a_missing_folder_is_found_and_well_when_the_tenant_is_removed(server: ServerProcess) -> None:
    shutil.rmtree(server.files("bolt").root)
    assert places(server) == [("bolt", "tenants/bolt", "error")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


@pytest.mark.parametrize("folder", ["tenants/acme", "tenants"])
def test_a_lost_folder_of_all_tenants_is_found_and_well_when_mounted(server: ServerProcess, folder: str) -> None:
    """To remove the tenants, as is said about one missing folder, would be harmful."""
    server.cli("tenant", "remove", "bolt", "--yes")
    away = server.folder / "unmounted"
    (server.data / folder).rename(away)
    (finding,) = diagnosed(server)
    assert (finding["tenant"], finding["file"]) == (None, str(server.data / "tenants"))
    assert "mount it" in finding["do"]
    assert "remove" not in finding["do"]
    away.rename(server.data / folder)
    assert is_well(server)


@pytest.mark.parametrize("name", ["lost+found", ".snapshot"])
@needs(TMPFS)
def test_what_the_file_system_has_among_tenants_is_not_looked_at(server: ServerProcess, name: str) -> None:
    for place in (server.data, server.data / "tenants", server.data / "removed", server.files("acme").root):
        (place / name).mkdir()
        (place / name / "x").touch()
        for path in (place / name, place / name / "x"):
            os.chown(path, OTHER, -1)
    assert is_well(server)


def test_a_lost_key_ring_is_found_and_well_when_keys_are_added(server: ServerProcess) -> None:
    server.files("bolt").keys.unlink()
    assert places(server) == [("bolt", "tenants/bolt/keys.json", "error")]
    obey(server, diagnosed(server)[0]["do"], FILE=str(server.private_key("bolt").with_suffix(".pub")))
    assert is_well(server)


def test_a_damaged_key_ring_is_found_and_well_when_restored(server: ServerProcess, backup: Path) -> None:
    server.files("bolt").keys.write_text("{ no ring")
    assert places(server) == [("bolt", "tenants/bolt/keys.json", "error")]
    restore_part(server, backup, "tenants/bolt/keys.json")
    assert is_well(server)


def test_a_folder_of_no_tenant_is_found_and_well_when_it_is_added(server: ServerProcess) -> None:
    shutil.copytree(server.files("bolt").root, server.data / "tenants" / "copied")
    assert places(server) == [("copied", "tenants/copied", "warning")]
    obey(server, diagnosed(server)[0]["do"])
    assert is_well(server)


def test_what_is_not_a_folder_of_a_tenant_is_found_and_well_when_moved(server: ServerProcess) -> None:
    (server.data / "tenants" / "my notes.txt").write_text("x")
    (server.data / "tenants" / "Acme").mkdir()
    assert {file for _, file, _ in places(server)} == {"tenants/my notes.txt", "tenants/Acme"}
    for each in diagnosed(server):
        obey(server, each["do"])
    assert is_well(server)


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_or_empty_file_of_a_waiting_import_is_found_and_well_when_restored(
    server: ServerProcess, backup: Path, content: bytes | None
) -> None:
    copy = server.files("acme").copy(2)
    copy.unlink()
    if content is not None:
        copy.write_bytes(content)
    assert places(server) == [("acme", "tenants/acme/uploads/2.csv", "error")]
    restore_part(server, backup, "tenants/acme/uploads/2.csv")
    assert is_well(server)


async def test_a_missing_file_of_a_waiting_run_is_found_and_well_when_it_is_there(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.add_tenant("acme")
    async with open_run_house(server.data) as house:
        run = await house.upload()
    copy = server.files("acme").run_copy(run.id)
    assert is_well(server)
    content = copy.read_bytes()
    for hurt in (copy.unlink, lambda: copy.write_bytes(b"")):
        hurt()
        assert places(server) == [("acme", f"tenants/acme/runs/{run.id}.file", "error")]
        copy.write_bytes(content)
        assert is_well(server)
    copy.unlink()
    by_hand(server.data / "headcount.db", BYTES_STORED)
    assert is_well(server)


def test_files_without_an_import_or_run_are_found_and_well_when_removed(server: ServerProcess) -> None:
    by_hand(
        server.data / "headcount.db", "UPDATE tenants SET last_import_id = 9, last_run_id = 9 WHERE name = 'acme'"
    )
    folder = server.files("acme")
    folder.copy(7).write_text("x")
    folder.said(8).write_text("{}\n")
    folder.run_copy(9).write_text("x")
    folder.run_reports(9).mkdir()
    assert places(server) == [
        ("acme", "tenants/acme/messages/8.jsonl", "warning"),
        ("acme", "tenants/acme/runs/9.file", "warning"),
        ("acme", "tenants/acme/uploads/7.csv", "warning"),
    ]
    for each in diagnosed(server):
        obey(server, each["do"])
    assert is_well(server)
    assert folder.copy(1).exists()


def test_newer_files_beside_databases_of_one_moment_are_found_and_well_when_removed(
    server: ServerProcess, backup: Path
) -> None:
    """After a downgrade, for example: no file would be lost, so the advice does not remove the tenant."""
    server.cli("tenant", "set", "acme", "paused_until=")
    with server:
        assert server.wait("acme", 2)["state"] == "completed"
        server.put("acme", people("ann", "bob", "cy", "dee"))
        assert server.wait("acme", 3)["state"] == "completed"
        server.stop()
    restore_part(server, backup, "headcount.db")
    restore_part(server, backup, "tenants/acme/users.db")
    restore_part(server, backup, "tenants/acme/uploads/2.csv")
    findings = diagnosed(server)
    assert findings
    for each in findings:
        assert each["severity"] == "warning"
        assert "tenant" not in each["do"].replace("/tenants/", "")
        obey(server, each["do"])
    assert is_well(server)


def test_a_headcount_db_older_than_its_tenants_keeps_the_files_that_waited(
    server: ServerProcess, backup: Path
) -> None:
    server.cli("tenant", "set", "acme", "paused_until=")
    with server:
        assert server.wait("acme", 2)["state"] == "completed"
        server.cli("tenant", "set", "acme", f"paused_until={datetime.now(UTC).year + 1}-01-02T00:00:00Z")
        server.put("acme", people("ann", "zoe"))
        server.stop()
    restore_part(server, backup, "headcount.db")
    by_hand(server.data / "headcount.db", "UPDATE tenants SET last_import_id = 1", "DELETE FROM imports WHERE id = 2")
    waiting = server.files("acme").copy(3).read_bytes()
    for _ in range(3):
        for each in diagnosed(server):
            obey(server, each["do"])
    assert is_well(server)
    assert (server.data / "removed" / "acme-uploads" / "3.csv").read_bytes() == waiting


def test_a_headcount_db_older_than_its_tenants_is_found_and_well_at_the_end(
    server: ServerProcess, backup: Path
) -> None:
    server.cli("tenant", "set", "acme", "paused_until=")
    with server:
        assert server.wait("acme", 2)["state"] == "completed"
        server.put("acme", people("ann", "bob", "cy", "dee"))
        assert server.wait("acme", 3)["state"] == "completed"
        users = server.users("acme")
        server.stop()
    restore_part(server, backup, "headcount.db")
    assert ("acme", "tenants/acme", "error") in places(server)
    shutil.copytree(server.files("bolt").root, server.data / "removed" / "acme-20250101T000000.000000Z")
    for _ in range(3):  # the second time, the files of the imports that the tenant had are left
        for each in diagnosed(server):
            obey(server, each["do"])
    assert is_well(server)
    with server:
        assert server.users("acme") == users
        server.put("acme", people("ann", "bob", "cy", "dee", "eve"))
        assert server.wait("acme")["counts"]["created"] == 1
        assert server.report("acme")["id"] > 3
        wait_until(lambda: is_well(server), what="the end of its work")
