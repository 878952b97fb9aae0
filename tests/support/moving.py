"""An installation with all that one can have, in a data folder, and what is in it as values: for tests of moves.

`content_of` knows the tables and files of a data folder, and nothing of the code that moves them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.sqlite.store import open_store, store_file
from ground.moments import rfc3339, utc_now
from importer.model import ImportState
from tests.support.fill_databases import fill
from tests.support.runs import end_in, put_in_line
from tests.support.server_process import ServerProcess

MADE_ANEW = {"figures", "moves", "search_log", "meta", "sqlite_sequence"}
"""Tables whose rows are others at another place, and mean the same."""
SESSION = "INSERT INTO sessions SELECT x'{}', min(id), '2026-01-01T00:00:00Z', '2027-01-01T00:00:00Z' FROM tokens"
NUMBERS = (
    "SELECT revision, began, gone, max(gone, began, base + (SELECT coalesce(max(id), 0) FROM changes)) FROM meta"
)


def fill_installation(server: ServerProcess) -> None:
    """Fill the data folder of a server that runs, and stop it."""
    fill(server)
    server.stop()
    server.cli("ban", "lift", "127.0.0.1")
    server.start()
    local = server.folder / "a file"
    local.write_bytes(os.urandom(700_000))
    nothing = server.folder / "nothing"
    nothing.touch()
    done = server.sftp(
        "acme",
        "mkdir /a",
        "mkdir /a/b",
        "mkdir /empty",
        f'put -p "{local}" "/a/b/ü and space.bin"',
        f'put "{local}" /a/second',
        f'put "{nothing}" /a/nothing',
    )
    assert done.returncode == 0, done.stderr
    server.make_key("other")
    server.cli(
        *("key", "add", "acme", str(server.private_key("other").with_suffix(".pub")), "--comment", "ü"),
        *("--expires", "2099-01-31", "--from", "192.0.2.0/24", "--from", "2001:db8::/32"),
    )
    server.cli("notify", "secret", "acme")
    server.cli("notify", "off")
    server.cli(
        "tenant", "set", "globex", f"paused_until={rfc3339(utc_now() + timedelta(days=30))}", "stale_after_days=3"
    )
    server.cli("users", "protect", "acme", "1")
    server.stop()
    asyncio.run(_fill_runs(server.data))
    with closing(sqlite3.connect(store_file(server.data))) as db, db:
        db.execute("INSERT INTO bans VALUES ('192.0.2.1', '2099-01-01T00:00:00Z', 'connections without a login')")
        db.execute(SESSION.format("ab" * 32))
        db.execute(
            SESSION.format("cd" * 32).replace("sessions", "sign_in_links").replace("'2026-01-01T00:00:00Z', ", "")
        )


async def _fill_runs(data: Path) -> None:
    async with open_store(store_file(data)) as store:
        runs = store.runs()
        await runs.remember("bills", [("invoices", "/invoices/*.csv")])
        for state in (ImportState.COMPLETED, ImportState.COMPLETED_WITH_ERRORS, ImportState.FAILED):
            await end_in(runs, await put_in_line(runs), state)
        await put_in_line(runs)


def content_of(data: Path) -> dict[str, Any]:
    """Return all that is in a data folder, by place: rows, files with their times, and keys."""
    found: dict[str, Any] = {"headcount.db": _rows_of(store_file(data))}
    for tenant in sorted((data / "tenants").iterdir()):
        if tenant.name.startswith("."):
            continue
        found[f"{tenant.name}/users.db"] = _rows_of(tenant / "users.db")
        for place in ("files", "uploads", "messages", "runs"):
            found[f"{tenant.name}/{place}"] = _files_in(tenant / place)
        found[f"{tenant.name}/links"] = _links_in(tenant)
        for name in ("keys.json", "webhook.secret", "paused"):
            found[f"{tenant.name}/{name}"] = (tenant / name).read_text() if (tenant / name).exists() else None
    for name in ("sending-off", "digests"):
        found[name] = (data / name).read_text() if (data / name).exists() else None
    keys = sorted((data / "host_keys").glob("*.pub")) if (data / "host_keys").exists() else []
    found["host_keys"] = [(key.name, key.read_text().split()[:2]) for key in keys]
    found["modes"] = [key.stat().st_mode & 0o777 for key in keys if key.suffix != ".pub"]
    return found


def _rows_of(file: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(file)) as db:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        base = db.execute("SELECT base FROM meta").fetchone()[0] if "meta" in tables else 0
        found = {}
        for table in sorted(set(tables) - MADE_ANEW):
            cursor = db.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            found[table] = sorted(
                repr([_plain(table, name, value, base) for name, value in zip(names, row, strict=True)])
                for row in cursor
            )
        if "meta" in tables:
            found["numbers"] = [str(db.execute(NUMBERS).fetchone())]
        else:
            found["numbers"] = [str(db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'tokens'").fetchone())]
    return found


def _plain(table: str, name: str, value: Any, base: int) -> Any:
    if table == "changes" and name == "id":
        return value + base
    if name in {"outcome", "undone"} and value is not None:
        return json.dumps(json.loads(value), sort_keys=True)
    return value


def _files_in(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        facts = path.lstat()
        name = str(path.relative_to(root))
        if path.is_dir():
            found[name] = ("folder", facts.st_mtime_ns if name not in {"results", "test"} else None)
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = ("file", content)
            if root.name == "files":  # of what clients do not see, the rows know more
                found[name] += (facts.st_mtime_ns, *(os.getxattr(path, each) for each in os.listxattr(path)))
    return found


def _links_in(tenant: Path) -> list[list[str]]:
    """Return the names of each file that has several."""
    names: dict[int, list[str]] = {}
    for path in sorted(tenant.rglob("*")):
        if path.is_file():
            names.setdefault(path.stat().st_ino, []).append(str(path.relative_to(tenant)))
    return sorted(each for each in names.values() if len(each) > 1)
