"""Two tenants with contents, and files to store."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from engine.postgres.database import Database
from engine.postgres.files.contents import PostgresContents
from engine.postgres.files.kept import PostgresKeptFiles

Put = Callable[..., Awaitable[int]]


@pytest.fixture
async def contents(database: Database) -> PostgresContents:
    await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now'), ('globex', 'now')")
    return PostgresContents(database, unneeded_s=0)


@pytest.fixture
def kept(database: Database) -> PostgresKeptFiles:
    return PostgresKeptFiles(database)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """Return an open file."""
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield opened
    os.close(opened)


@pytest.fixture
def put(contents: PostgresContents, fd: int) -> Put:
    """Return what stores bytes as a content."""

    async def stored(data: bytes, tenant: str = "acme") -> int:
        os.ftruncate(fd, 0)
        os.pwrite(fd, data, 0)
        return await contents.store(tenant, fd, len(data))

    return stored
