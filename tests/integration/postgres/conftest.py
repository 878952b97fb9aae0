"""A database of PostgreSQL for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.postgres.database import Database, pooled
from tests.support.postgres import database_for


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """Return the URL of a database with Headcount's tables."""
    return await database_for(tmp_path)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with pooled(url, most=4) as opened:
        await opened.change("CREATE TABLE notes (id integer PRIMARY KEY, text text)")
        yield opened
