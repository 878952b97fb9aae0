"""The schema on PostgreSQL: servers that start together create it once, and that of a newer one is not opened."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest

from engine.postgres.migrations import newest
from engine.postgres.store import open_store
from importer.errors import DatabaseUnusable, SchemaTooNew
from tests.support.clients import POSTGRES, needs
from tests.support.postgres import url_of_new

pytestmark = needs(POSTGRES)


async def test_servers_that_start_at_once_create_the_tables_once(tmp_path: Path) -> None:
    url = url_of_new(tmp_path)

    async def start() -> int:
        async with open_store(url, serving=True) as store:
            return len(await store.tenants().list())

    assert await asyncio.gather(*(start() for _ in range(6))) == [0] * 6


async def test_the_schema_of_a_newer_headcount_is_refused(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        assert dict(db.execute("SELECT kind, version FROM schema_versions").fetchall()) == newest()
        db.execute("UPDATE schema_versions SET version = version + 1")
    with pytest.raises(SchemaTooNew, match="newer Headcount"):
        async with open_store(url):
            pass


async def test_a_database_that_is_not_in_utf_8_is_refused(tmp_path: Path) -> None:
    url = url_of_new(tmp_path, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(DatabaseUnusable, match="UTF8"):
        async with open_store(url):
            pass
