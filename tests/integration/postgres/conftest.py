"""A database of PostgreSQL for each test, and pgbouncer in front of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from engine.postgres.database import Database, pooled
from tests.support.pgbouncer import pgbouncer
from tests.support.postgres import database_for, url_of_new
from tests.support.waiting import DEADLINE_S

CONNECTIONS = 2


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """Return the URL of a database with Headcount's tables."""
    return await database_for(tmp_path)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with pooled(url, most=4) as opened:
        await opened.change("CREATE TABLE notes (id integer PRIMARY KEY, text text)")
        yield opened


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let commands use a new database without tables; return its URL."""
    url = url_of_new(tmp_path)
    monkeypatch.setenv("HEADCOUNT_DATABASE_URL", url)
    monkeypatch.delenv("HEADCOUNT_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    return url


@pytest.fixture
def through(url: str) -> Iterator[str]:
    """Start pgbouncer with two connections to the database of the test; yield the URL through it."""
    with pgbouncer(url, CONNECTIONS) as between:
        yield between.url


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no slow answer count as silence."""
    monkeypatch.setattr("engine.postgres.pulse.SILENT_S", DEADLINE_S)


@pytest.fixture
def waiting_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a writer wait for a connection until the test has failed."""
    monkeypatch.setattr("engine.postgres.database.AWAY_S", 4 * DEADLINE_S)
