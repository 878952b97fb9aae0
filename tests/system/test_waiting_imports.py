"""What waits is on the disk and within bounds, on the real server."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.importing import people
from tests.support.server_process import ServerProcess

MANY = 400


def queue_many(server: ServerProcess, tenant: str, content: bytes) -> None:
    """Put so many imports of `content` into the queue of a stopped server."""
    folder = server.files(tenant)
    folder.uploads.mkdir(exist_ok=True)
    folder.copy(1).write_bytes(content)
    for number in range(2, MANY + 1):
        os.link(folder.copy(1), folder.copy(number))
    with closing(sqlite3.connect(server.data / "headcount.db")) as db, db:
        db.execute("UPDATE tenants SET last_import_id = ?", (MANY,))
        db.executemany(
            "INSERT INTO imports (tenant, id, state, dry_run, sequence, path, size, uploaded_at)"
            " VALUES (?, ?, 'queued', 0, ?, '/sync_users.csv', ?, '2026-01-01T00:00:00.000Z')",
            [(tenant, number, number, len(content)) for number in range(1, MANY + 1)],
        )


def test_a_long_queue_takes_no_memory(tmp_path: Path) -> None:
    """Its headers are read to find corrections: what was read of each file once stayed in memory, a megabyte each."""
    content = people(*(f"p{number}" for number in range(4000)), job_title="x" * 250)
    assert len(content) > 1024 * 1024
    server = ServerProcess(tmp_path)
    server.add_tenant("acme")
    queue_many(server, "acme", content)
    with server:
        assert server.reaches("acme", 2, "unchanged")
        assert server.process is not None
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        peak_kib = int(status.split("VmHWM:")[1].split()[0])
        assert peak_kib < 250 * 1024
