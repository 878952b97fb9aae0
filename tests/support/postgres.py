"""Debian's PostgreSQL for tests: one server for each process of the test run, and databases with Headcount's tables.

The server starts when the first test needs it, in a temporary folder. It ends with the run, also if that is killed: a
keeper (this module as a program) waits until the run has ended, then stops the server and removes the folder. It does
not wait for children of the run, which may have its pipe open for longer.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg

from engine.postgres.database import alone
from engine.postgres.migrations import migrate
from tests.support import ROOT
from tests.support.clients import postgres_programs

VARIABLE = "POSTGRES_OF_TESTS"
"""The environment variable by which processes of a test find the server of the run: its folder and port."""
TEMPLATE = "headcount_template"
MOST = 60
"""So many databases are kept at most: they need some 8 MB each. The oldest go first."""
TRIES = 5
"""How often a start is tried, each time with another port."""
LOOK_S = 1.0
"""How often the keeper looks whether the run was killed."""
STOP_S = 30.0
"""The longest wait of the end of a run for the end of its server."""
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
}


def url(database: str) -> str:
    """Return the URL of a database of the server, which is started if it does not run."""
    folder, port = server()
    return f"postgresql://headcount@/{database}?host={folder}&port={port}"


async def database_for(folder: Path) -> str:
    """Return the URL of the database that belongs to `folder`: a new one with all tables if there is none yet."""
    await _make_template()
    return url_of_new(folder, f"TEMPLATE {TEMPLATE}")


def url_of_new(folder: Path, how: str = "") -> str:
    """Return the URL of the database that belongs to `folder`, created as `how` says if there is none yet."""
    name = _name(folder)
    with psycopg.connect(url("postgres"), autocommit=True) as admin:
        if not _exists(admin, name):
            admin.execute(f"CREATE DATABASE {name} {how}")
            _drop_oldest(admin)
    return url(name)


def copy_database(source: Path, to: Path) -> None:
    """Give the folder `to` a database like that of the folder `source`, to which there is no connection now."""
    url_of_new(to, f"TEMPLATE {_name(source)}")


async def _make_template() -> None:
    with psycopg.connect(url("postgres"), autocommit=True) as admin:
        if _exists(admin, TEMPLATE):
            return
        admin.execute(f"CREATE DATABASE {TEMPLATE}_new")
        async with alone(url(f"{TEMPLATE}_new")) as database:
            await migrate(database)
        admin.execute(f"ALTER DATABASE {TEMPLATE}_new RENAME TO {TEMPLATE}")


def _name(folder: Path) -> str:
    return "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


def _exists(admin: psycopg.Connection[Any], name: str) -> bool:
    return admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def _drop_oldest(admin: psycopg.Connection[Any]) -> None:
    names = admin.execute(
        "SELECT datname FROM pg_database WHERE datname LIKE 't%' AND datname <> 'template0'"
        " AND datname <> 'template1' ORDER BY oid"
    ).fetchall()
    for (name,) in names[:-MOST]:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@cache
def server() -> tuple[str, int]:
    """Start the server, unless a process above has done it; return the folder of its socket, and its port."""
    if known := os.environ.get(VARIABLE):
        folder, port = known.split(":")
        return folder, int(port)
    folder = tempfile.mkdtemp(prefix="postgres-")
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.support.postgres", folder, str(os.getpid())],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(_dismiss, keeper)
    assert keeper.stdout
    port = int(keeper.stdout.readline() or 0)
    assert port, "PostgreSQL does not start"
    os.environ[VARIABLE] = f"{folder}:{port}"
    return folder, port


def _dismiss(keeper: subprocess.Popen[bytes]) -> None:
    """Have the server stopped. If that takes long, the keeper does it alone."""
    with suppress(subprocess.TimeoutExpired):
        keeper.communicate(b"end\n", timeout=STOP_S)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def as_postgres() -> dict[str, Any]:
    """Return arguments of `Popen`: run it as the user postgres if this is root, which PostgreSQL refuses."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


# Below: the keeper.


def _keep(folder: str, run: int) -> None:
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda *_: sys.exit(1))
    try:
        if as_postgres():
            shutil.chown(folder, "postgres", "postgres")
        _run(folder, "initdb", "-D", "data", "-U", "headcount", "-A", "trust", "-N", "-E", "UTF8", "--locale=C.UTF-8")
        with open(f"{folder}/data/postgresql.auto.conf", "a", encoding="utf-8") as settings:
            settings.writelines(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
            settings.write(f"unix_socket_directories = '{folder}'\n")
        print(_start(folder), flush=True)
        while os.getppid() == run and not select.select([sys.stdin], [], [], LOOK_S)[0]:
            pass
    finally:
        _stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: str) -> int:
    """Start the server; return its port. Another process may take a free port first, so there are some tries."""
    for left in reversed(range(TRIES)):
        port = free_port()
        try:
            _run(folder, "pg_ctl", "start", "-D", f"{folder}/data", "-l", "log", "-w", "-s", "-o", f"-p {port}")
        except subprocess.CalledProcessError:
            _stop(folder)
            if not left:
                raise
        else:
            return port
    raise AssertionError


def _stop(folder: str) -> None:
    with suppress(subprocess.CalledProcessError):  # it does not run
        _run(folder, "pg_ctl", "stop", "-D", "data", "-m", "immediate", "-s", stderr=subprocess.DEVNULL)


def _run(folder: str, program: str, *arguments: str, stderr: int | None = None) -> None:
    command = [f"{postgres_programs()}/{program}", *arguments]
    nothing = subprocess.DEVNULL
    subprocess.run(command, cwd=folder, stdin=nothing, stdout=nothing, stderr=stderr, check=True, **as_postgres())


def rows_of(url: str, tenant: str, tables: Iterable[str]) -> dict[str, list[str]]:
    """Return all rows of a tenant, with their places in the tables: also a row that was written as it was moves."""
    with psycopg.connect(url) as db:
        return {
            table: [
                row[0]
                for row in db.execute(
                    f"SELECT ctid::text || {table}::text FROM {table}"
                    " WHERE tenant_id = (SELECT id FROM tenants WHERE name = %s) ORDER BY 1",
                    (tenant,),
                )
            ]
            for table in tables
        }


if __name__ == "__main__":
    _keep(sys.argv[1], int(sys.argv[2]))
