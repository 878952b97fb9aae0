"""The server keeps the search indexes of all tenants up to date; a failure there fails nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine.sqlite.tenant.search_index import _trim_log
from importer.folder import TenantFolder
from importer.model import FileFacts, ImportState
from importer.queue.entry import Entry
from server.tenants.tenants import Tenants, open_tenants
from server.upkeep import indexing
from server.upkeep.indexing import Indexer
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.only_on("sqlite", "the searches of other engines have no index"),
    pytest.mark.usefixtures("indexed_however_few"),
]

ENTRY = Entry("acme", 1, ImportState.COMPLETED, False, 1, "/sync_users.csv", FileFacts("sync_users.csv", 5), "2026")


@pytest.fixture
async def tenants(tmp_path: Path) -> AsyncIterator[Tenants]:
    async with open_tenants(tmp_path) as opened:
        await opened.add("acme")
        await opened.add("globex")
        yield opened


@pytest.fixture
async def indexer(tenants: Tenants) -> AsyncIterator[Indexer]:
    """An indexer that has checked both tenants once."""
    running = Indexer(tenants)
    running.start()
    await eventually(lambda: all(seen(tenants.folder(name)) for name in ("acme", "globex")))
    yield running
    await running.stop()


def seen(folder: TenantFolder) -> int:
    """Return the row of the log up to which the index is updated; 0 without an index."""
    if not folder.search_db.exists():
        return 0
    with closing(sqlite3.connect(folder.search_db)) as db:
        try:
            return int(db.execute("SELECT seq FROM state").fetchone()[0])
        except (sqlite3.OperationalError, TypeError):
            return 0


def rename(folder: TenantFolder) -> int:
    """Rename a user by SQL; return the row of the log about it."""
    with closing(sqlite3.connect(folder.users_db, isolation_level=None)) as db:
        db.execute("INSERT OR REPLACE INTO users (id, first_name, last_name) VALUES (1, 'Ann', 'Ash')")
        return int(db.execute("SELECT max(seq) FROM search_log").fetchone()[0])


async def test_an_import_that_was_applied_or_undone_is_indexed_when_it_ends(
    tenants: Tenants, indexer: Indexer
) -> None:
    folder = tenants.folder("acme")
    for state in (ImportState.COMPLETED, ImportState.COMPLETED_WITH_ERRORS, ImportState.UNDONE):
        row = rename(folder)
        await indexer.ended(replace(ENTRY, state=state), 0.1)
        await eventually(lambda: seen(folder) == row)  # noqa: B023 - it is awaited here


@pytest.mark.logs("index_failed")
async def test_a_tenant_that_cannot_be_indexed_is_logged_once_and_blocks_no_other(
    tenants: Tenants, indexer: Indexer, caplog: pytest.LogCaptureFixture
) -> None:
    broken, folder = tenants.folder("globex"), tenants.folder("acme")
    for path in broken.root.glob("users.db*"):
        path.unlink(missing_ok=True)
    broken.users_db.write_bytes(b"not a database" * 100)
    for _ in range(2):
        row = rename(folder)
        await indexer.ended(replace(ENTRY, tenant="globex"), None)
        await indexer.ended(ENTRY, None)
        await eventually(lambda: seen(folder) == row)  # noqa: B023 - it is awaited here
    told = [record for record in caplog.records if getattr(record, "event", "") == "index_failed"]
    assert [getattr(record, "tenant", "") for record in told] == ["globex"]


async def test_a_removed_tenant_is_not_logged_by_the_indexer(
    tenants: Tenants, indexer: Indexer, caplog: pytest.LogCaptureFixture
) -> None:
    await tenants.remove("globex")
    row = rename(tenants.folder("acme"))
    await indexer.ended(replace(ENTRY, tenant="globex"), None)
    await indexer.ended(ENTRY, None)
    await eventually(lambda: seen(tenants.folder("acme")) == row)
    assert not tenants.folder("globex").root.exists()
    assert "index_failed" not in [getattr(record, "event", "") for record in caplog.records]


@pytest.mark.logs("users_indexed")
async def test_an_index_update_with_many_changes_is_logged(
    tenants: Tenants, indexer: Indexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "WORTH_A_LINE", 1)
    row = rename(tenants.folder("acme"))
    await indexer.ended(ENTRY, None)
    await eventually(lambda: seen(tenants.folder("acme")) == row)
    await indexer.stop()


async def test_a_database_that_is_busy_for_a_moment_is_indexed_later(tenants: Tenants) -> None:
    """The last connection that closes holds the file alone for a moment."""
    users = tenants.folder("acme").users_db
    with closing(sqlite3.connect(users, isolation_level=None)) as last:
        last.execute("PRAGMA locking_mode=EXCLUSIVE")
        last.execute("BEGIN IMMEDIATE")
        _trim_log(tenants.folder("acme"), None, lambda: False)
        last.execute("ROLLBACK")
