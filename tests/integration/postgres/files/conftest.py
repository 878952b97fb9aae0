"""Two tenants with contents, and files to store."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from engine.postgres.database import Database
from engine.postgres.files.contents import PostgresContents
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.files.objects import ObjectContents
from engine.shared.files import Contents
from tests.support.bucket import objects_of

Put = Callable[..., Awaitable[int]]


BOTH = pytest.mark.parametrize("contents", ["chunks", "s3"], indirect=True)
"""For tests of contents, wherever their bytes are. Without it, they are in chunks."""


@pytest.fixture
async def contents(database: Database, tmp_path: Path, request: pytest.FixtureRequest) -> Contents:
    await database.change("INSERT INTO tenants (name, created_at) VALUES ('acme', 'now'), ('globex', 'now')")
    return contents_of(database, tmp_path, getattr(request, "param", "chunks"), unneeded_s=0)


def contents_of(database: Database, folder: Path, where: str, unneeded_s: float) -> Contents:
    """Return contents in chunks, or in the bucket of the test. Those that nothing needs stay for `unneeded_s`."""
    if where == "chunks":
        return PostgresContents(database, unneeded_s)
    return ObjectContents(database, objects_of(folder), unneeded_s)


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
def put(contents: Contents, fd: int) -> Put:
    """Return what stores bytes as a content."""

    async def stored(data: bytes, tenant: str = "acme") -> int:
        os.ftruncate(fd, 0)
        os.pwrite(fd, data, 0)
        return await contents.store(tenant, fd, len(data))

    return stored
