"""Backups in tests: take one, restore it beside its source, and look into it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ground.moments import utc_now
from server.backup.manifest import Manifest
from server.backup.objects import Objects
from server.backup.restoring import Restored, restore
from server.backup.selecting import NEWEST
from server.backup.taking import Taken, back_up
from tests.support.server_process import ServerProcess

APPLIED = ("completed", "completed_with_errors", "unchanged")


def saved(data: Path, folder: Path) -> Taken:
    return back_up(data, folder, utc_now())


def brought_back(folder: Path, data: Path, *, drop: bool = False) -> Restored:
    return restore(folder, data, utc_now(), drop=drop)


def manifest_of(folder: Path) -> Manifest:
    found = Objects(folder).manifest()
    assert found
    return found


def server_of(backup: Path, folder: Path, source: ServerProcess, *options: str) -> ServerProcess:
    """Return a server on the restored data, not started, with the private keys of the source."""
    folder.mkdir()
    other = ServerProcess(folder, env=source.env)
    other.cli("restore", str(backup), *options)
    for key in source.folder.glob("*.key"):
        shutil.copy(key, folder)
    return other


def rest(data: Path) -> None:
    """Make all files look as if they had not been changed for a while: only their contents stay."""
    for place, _, names in os.walk(data):
        for name in names:
            os.utime(Path(place) / name, (1_700_000_000, 1_700_000_000))


def content(data: Path) -> dict[str, Any]:
    """Return what a data folder has and its backup too: the bytes of each file, and the rows of each database."""
    left_out = {".lock", "headcount.lock", "headcount.reserve", NEWEST, "search.db"}
    found: dict[str, Any] = {}
    for place, _, names in os.walk(data):
        for name in names:
            path = Path(place) / name
            if name.endswith(".db") and name != "search.db":
                found[str(path.relative_to(data))] = rows(path)
            elif ".db-" not in name and name not in left_out:
                found[str(path.relative_to(data))] = path.read_bytes()
    return found


def rows(database: Path) -> dict[str, list[Any]]:
    """Return all rows of all tables."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


def disagreements(data: Path) -> list[str]:
    """Return where headcount.db and the tenants' folders do not fit together as a killed server leaves them."""
    found = []
    with closing(sqlite3.connect(data / "headcount.db")) as db:
        imports = db.execute("SELECT tenant, id, state, dry_run FROM imports ORDER BY tenant, id").fetchall()
        last = dict(db.execute("SELECT name, last_import_id FROM tenants"))
    for tenant, last_id in last.items():
        folder = data / "tenants" / tenant
        states = {number: state for name, number, state, dry_run in imports if name == tenant and not dry_run}
        with closing(sqlite3.connect(folder / "users.db")) as db:
            applied = {row[0] for row in db.execute("SELECT import_id FROM applied")}
        listed = {number for number, state in states.items() if state in APPLIED}
        running = {number for number, state in states.items() if state == "running"}
        if listed - applied:
            found.append(f"{tenant}: users.db lacks {sorted(listed - applied)}")
        if applied - listed - running:
            found.append(f"{tenant}: users.db is ahead by {sorted(applied - listed - running)}")
        found += [
            f"{tenant}: import {number} has no copy"
            for number, state in states.items()
            if state in ("queued", "running", "held") and not (folder / "uploads" / f"{number}.csv").exists()
        ]
        found += [f"{tenant}: {number} is above {last_id}" for number in {*states, *applied} if number > last_id]
    return found
