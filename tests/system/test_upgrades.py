"""Data folders of older versions are taken over by a real server, and those of a newer version are refused."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.sqlite.copies import copy_before
from engine.sqlite.database import migrations, newest_version
from importer.folder import TenantFolder
from tests.support import ROOT
from tests.support.clients import TMPFS, needs
from tests.support.disks import small_disk
from tests.support.fill_databases import ANN, BEN, CY, DEE, EVE, HEADER
from tests.support.operating import PAGE, at, commands
from tests.support.server_process import ServerProcess
from tests.support.steps import section, steps
from tests.support.waiting import wait_until
from tests.support.writing import by_hand

pytestmark = pytest.mark.only_on("sqlite", "it is about files of older schemas")

FIXTURES = ROOT / "tests" / "fixtures" / "databases"

Versions = dict[str, int]
"""The schemas of headcount.db (`server`) and users.db (`tenant`) in one data folder."""

VERSIONS = [
    {kind: min(number, newest_version(kind)) for kind in ("server", "tenant")}
    for number in range(1, max(newest_version("server"), newest_version("tenant")) + 1)
]

HELD = f"{HEADER}{ANN}\n".encode()
"""The file of the imports 6 (a dry run) and 8, which every kept headcount.db has as held."""

RUN = b"a;b\n1"
"""The file of the runs 6 and 7, which wait in a kept headcount.db that knows runs."""


def data_folder(folder: Path, versions: Versions) -> Path:
    """Write the data folder of an older version, with its tenants `acme` and `globex`, and return it."""
    data, tenant = folder / "data", versions["tenant"]
    for name, script in (
        ("acme", (FIXTURES / f"tenant-{tenant:03}.sql").read_text(encoding="utf-8")),
        ("globex", "".join(migrations("tenant")[:tenant]) + f"PRAGMA user_version={tenant};"),
    ):
        each = TenantFolder(data / "tenants" / name)
        for place in (each.files, each.uploads, each.runs):
            place.mkdir(mode=0o700, parents=True)
        for import_id in (6, 8):
            each.copy(import_id).write_bytes(HELD)
        for copy in each.run_copies((6, 7)):
            copy.write_bytes(RUN)
        database(each.users_db, script)
    data.chmod(0o700)
    database(data / "headcount.db", (FIXTURES / f"server-{versions['server']:03}.sql").read_text(encoding="utf-8"))
    return data


def database(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(script)


def databases(data: Path) -> dict[Path, str]:
    """Return the databases of a data folder, each with the kind of its schema."""
    users = {data / "tenants" / name / "users.db": "tenant" for name in ("acme", "globex")}
    return {data / "headcount.db": "server", **users}


def version_of(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        return int(version)


def content_of(path: Path) -> list[str]:
    """Return all statements that make a database with its rows, in an order that a copy does not change."""
    with closing(sqlite3.connect(path)) as db:
        return sorted(db.iterdump())


def are_upgraded(data: Path) -> bool:
    return all(version_of(path) == newest_version(kind) for path, kind in databases(data).items())


@needs("sftp")
@pytest.mark.parametrize("versions", VERSIONS, ids=lambda versions: f"{versions['server']}-{versions['tenant']}")
def test_a_start_takes_over_a_data_folder_of_any_version(tmp_path: Path, versions: Versions) -> None:
    data = data_folder(tmp_path, versions)
    older = {path: kind for path, kind in databases(data).items() if versions[kind] < newest_version(kind)}
    before = {copy_before(path, versions[kind]): content_of(path) for path, kind in older.items()}
    with ServerProcess(tmp_path) as server:
        wait_until(lambda: are_upgraded(data), what="the upgrade of all databases")
        assert server.get("/readyz").json()["tenants_broken"] == 0
        users = {user["email"]: user["state"] for user in server.cli("users", "list", "acme", "--json").json}
        assert users["ann@acme.example"] == "active"
        server.cli("import", "discard", "acme", "8")
        server.cli("key", "add", "acme", str(server.make_key("acme")))
        server.put("acme", (HEADER + "".join(f"{row}\n" for row in (ANN, BEN, CY, DEE, EVE))).encode())
        assert server.wait("acme")["state"] == "completed"
        assert server.cli("import", "undo", "acme", "--json").json["state"] == "undone"
        assert server.events().count("database_upgraded") == len(older)
        assert server.stop() == 0
    assert {copy: content_of(copy) for copy in data.rglob("*.schema-*")} == before


def test_a_command_tells_of_a_database_that_it_upgraded(tmp_path: Path) -> None:
    data_folder(tmp_path, VERSIONS[6])
    told = [
        json.loads(line) for line in ServerProcess(tmp_path).command("tenant", "list", "--json").stderr.splitlines()
    ]
    assert {each["code"]: each["severity"] for each in told}["database_upgraded"] == "notice"
    assert any("headcount.db.schema-7" in each["message"] for each in told)


def test_a_newer_database_of_the_server_is_refused_in_words_and_not_changed(tmp_path: Path) -> None:
    data = data_folder(tmp_path, VERSIONS[-1])
    newer = data / "headcount.db"
    by_hand(newer, f"PRAGMA user_version={newest_version('server') + 1}")
    before = newer.read_bytes()
    why = f"{newer} was written by a newer Headcount (schema {newest_version('server') + 1}); upgrade Headcount"
    server = ServerProcess(tmp_path)
    server.launch()
    assert server.died() == 1
    assert why in server.log.read_text()
    ran = server.cli("tenant", "list", check=False)
    assert (ran.code, ran.out, ran.err) == (1, b"", f"Error: {why}\n")
    assert newer.read_bytes() == before


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Path]:
    """An old data folder on a disk of 24 MiB, of which about 6 MB are free after a start."""
    with small_disk(tmp_path / "data", mebibytes=24):
        data = data_folder(tmp_path, VERSIONS[0])
        (data / "filler").write_bytes(b"x" * 5_000_000)
        yield data


def make_large(database: Path) -> None:
    """Let a database have 9 MB."""
    by_hand(database, "CREATE TABLE padding AS SELECT zeroblob(9000000) AS padded")


def why_broken(server: ServerProcess) -> str | None:
    return {each["name"]: each["broken"] for each in server.cli("tenant", "list", "--json").json}["acme"]


@needs(TMPFS)
def test_a_backup_without_space_for_the_upgrade_says_so(tmp_path: Path, cramped: Path) -> None:
    make_large(cramped / "headcount.db")
    (cramped / "headcount.reserve").write_bytes(b"x" * 4 * 1024**2)  # as the older server has made
    ran = ServerProcess(tmp_path).cli("backup", str(tmp_path / "backup"), check=False)
    why = f"the disk has no space to copy {cramped / 'headcount.db'} before its upgrade; free as much space as it has"
    assert (ran.code, ran.out, ran.err) == (1, b"", f"Error: {why}\n")


@needs(TMPFS)
def test_a_tenant_without_space_for_its_copy_is_upgraded_when_there_is_space(tmp_path: Path, cramped: Path) -> None:
    users = cramped / "tenants" / "acme" / "users.db"
    make_large(users)
    with ServerProcess(tmp_path) as server:
        broken = wait_until(lambda: why_broken(server), what="the tenant to be broken")
        assert f"its users.db cannot be upgraded: the disk has no space to copy {users} before its upgrade" in broken
        assert "disk_unusable" not in server.events()
        assert version_of(users) == VERSIONS[0]["tenant"]
        (cramped / "filler").unlink()
        wait_until(lambda: are_upgraded(cramped), what="the upgrade of all databases")
        wait_until(lambda: server.get("/readyz").json()["tenants_broken"] == 0, what="the tenant to work")


@needs(TMPFS)
def test_a_start_without_space_for_the_copy_of_headcount_db_ends_with_the_reason(
    tmp_path: Path, cramped: Path
) -> None:
    make_large(cramped / "headcount.db")
    server = ServerProcess(tmp_path)
    server.launch()
    assert server.died() == 1
    assert f"Error: the disk has no space to copy {cramped}/headcount.db before its upgrade" in server.log.read_text()
    assert version_of(cramped / "headcount.db") == VERSIONS[0]["server"]
    (cramped / "filler").unlink()
    with server:
        wait_until(lambda: are_upgraded(cramped), what="the upgrade of all databases")


def test_an_upgrade_of_a_data_folder_that_is_killed_twice_is_completed(tmp_path: Path) -> None:
    versions = VERSIONS[0]
    data = data_folder(tmp_path, versions)
    before = {copy_before(path, versions[kind]): content_of(path) for path, kind in databases(data).items()}
    server = ServerProcess(tmp_path)
    for copy in (data / "headcount.db", data / "tenants" / "acme" / "users.db"):
        server.launch()
        wait_until(copy_before(copy, 1).exists, what="the copy of a database")
        server.kill()
    with server:
        wait_until(lambda: are_upgraded(data), what="the upgrade of all databases")
        assert server.get("/readyz").json()["tenants_broken"] == 0
        assert server.stop() == 0
    assert {copy: content_of(copy) for copy in data.rglob("*.schema-*")} == before


def follow(server: ServerProcess, heading: str, backup: str = "backup") -> None:
    """Run the first commands of a section, as this user. Folders are the only change; systemctl stops this server.

    `backup` is the name of the folder for /mnt/backup/headcount.
    """
    places = {"/var/lib/headcount": server.data, "/mnt/backup/headcount": server.folder / backup}
    for line in commands(heading):
        line = line.replace("sudo -u headcount ", "").replace("-o headcount", f"-o {os.geteuid()}")
        words = shlex.split(at(line, places))
        if words == ["systemctl", "stop", "headcount"]:
            assert server.process is None or server.process.poll() is not None or server.stop() == 0
        elif "headcount" in words:
            *folder, _ = words[: words.index("headcount") + 1]
            assert folder in ([], [f"HEADCOUNT_DATA_DIR={server.data}"])
            server.cli(*words[words.index("headcount") + 1 :])
        else:
            subprocess.run(words, check=True, timeout=60)


def test_the_backup_from_before_an_upgrade_is_restored_by_the_commands_of_the_page(tmp_path: Path) -> None:
    data = data_folder(tmp_path, VERSIONS[-1])
    with ServerProcess(tmp_path) as server:
        before = [server.cli(of, "list", "acme", "--json").json for of in ("users", "import")]
        follow(server, "Upgrade")
        for path, kind in databases(data).items():
            by_hand(path, f"PRAGMA user_version={newest_version(kind) + 1}")
        server.launch()
        assert server.died() == 1
        follow(server, "Downgrade")
        follow(server, "Restore", "backup-before-upgrade")
        server.start()
        assert server.get("/readyz").json()["tenants_broken"] == 0
        assert [server.cli(of, "list", "acme", "--json").json for of in ("users", "import")] == before
        assert {version_of(tmp_path / "data.newer" / "headcount.db")} == {newest_version("server") + 1}


def test_the_commands_of_the_page_put_the_copies_in_place(tmp_path: Path) -> None:
    data = data_folder(tmp_path, {"server": 7, "tenant": 5})
    acme = TenantFolder(data / "tenants" / "acme")
    acme.visible("/sync_users.csv").write_bytes(HELD)
    before = {path: content_of(path) for path in databases(data)}
    with ServerProcess(tmp_path) as server:
        wait_until(lambda: are_upgraded(data), what="the upgrade of all databases")
        tokens = server.cli("token", "list", "--json").json
        change_everything(server, tokens[0]["id"])
        assert server.stop() == 0
        (step,) = steps(section(PAGE, "Downgrade"))
        subprocess.run(["sh", "-euc", step.content], cwd=data, check=True, timeout=60)
        assert {path: content_of(path) for path in databases(data)} == before
        assert [*data.rglob("*.schema-*")] == []
        server.start()
        assert [each["name"] for each in server.cli("tenant", "list", "--json").json] == ["acme", "globex"]
        assert (data / "tenants" / "later").is_dir()
        assert server.cli("token", "list", "--json").json == tokens
        assert str(acme.copy(8)) in wait_until(lambda: why_broken(server), what="the tenant to be broken")
        shutil.copy(acme.visible("/sync_users.csv"), acme.copy(8))
        wait_until(lambda: server.get("/readyz").json()["tenants_broken"] == 0, what="the tenant to work")
        wait_until(lambda: are_upgraded(data), what="the second upgrade of all databases")
        assert server.report("acme", 7)["state"] == "completed"
        assert server.report("acme", 8)["state"] == "held"


def change_everything(server: ServerProcess, token: int) -> None:
    """Change what the page says of a downgrade: users, a token, the tenants, and an import that was held."""
    server.cli("token", "revoke", str(token))
    server.cli("tenant", "add", "later")
    server.cli("users", "unprotect", "acme", "1")
    server.cli("import", "discard", "acme", "8")
    wait_until(
        lambda: not server.files("acme").copy(8).exists(), what="the file of the discarded import to be deleted"
    )
