"""A database of PostgreSQL for each test, and pgbouncer in front of it."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from engine.postgres.database import Database, pooled
from tests.support.clients import client
from tests.support.postgres import database_for
from tests.support.postgres_server import as_postgres, free_port, server
from tests.support.waiting import wait_until

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
def through(url: str, tmp_path: Path) -> Iterator[str]:
    """Start pgbouncer with two connections to the database of the test; yield the URL through it."""
    (folder, server_port), port = server(), free_port()
    home = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir=folder))
    (home / "users").write_text('"headcount" ""\n')
    (home / "ini").write_text(
        f"[databases]\n* = host={folder} port={server_port}\n[pgbouncer]\npool_mode = transaction\n"
        f"default_pool_size = {CONNECTIONS}\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {home}/users\nlogfile = {home}/log\n"
    )
    log = home / "log"
    log.touch()
    user = as_postgres()
    for each in (home, log) if user else ():
        shutil.chown(each, "postgres")
    process = subprocess.Popen([client("pgbouncer"), "-q", str(home / "ini")], cwd=home, **user)
    try:
        wait_until(lambda: "process up" in log.read_text())
        yield f"postgresql://headcount@127.0.0.1:{port}{urlsplit(url).path}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(home)
