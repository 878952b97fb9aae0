"""Databases with Headcount's tables, on the PostgreSQL of the run. Each is dropped when its test has ended."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from engine.postgres.database import Database, alone
from engine.postgres.migrations import migrate
from tests.support.postgres_server import as_postgres as as_postgres
from tests.support.postgres_server import free_port as free_port
from tests.support.postgres_server import server

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
COPIED = "STRATEGY file_copy"
"""A third of the time of PostgreSQL's usual way: this server writes nothing to a disk."""

_given: dict[str, Path] = {}
"""The folders of databases that are in use, by name."""
_connections: dict[str, psycopg.Connection[dict[str, Any]]] = {}
_lock = threading.RLock()


def url(database: str) -> str:
    """Return the URL of a database of the server, which is started if it does not run."""
    folder, port = server()
    return f"postgresql://headcount@/{database}?host={folder}&port={port}"


async def database_for(folder: Path) -> str:
    """Return the URL of the database that belongs to `folder`: a new one with all tables if there is none yet."""
    return database_of(folder)


def database_of(folder: Path) -> str:
    """Do as `database_for`, outside an event loop."""
    return copy_of(folder, "headcount_template", _make_tables)


async def waiting(database: Database, number: int) -> bool:
    """Return whether so many connections to the database wait for a lock."""
    return bool((await database.read(WAITING))[0][0] == number)


def copy_of(folder: Path, template: str, make: Callable[[str], Coroutine[None, None, None]]) -> str:
    """Return the URL of the database that belongs to `folder`: a copy of the database `template` if it is new.

    The template is a new database that `make` has changed, which gets its URL. It is made once in a run.
    """
    _have_template(template, make)
    return url_of_new(folder, f"TEMPLATE {template} {COPIED}")


def is_there(folder: Path) -> bool:
    """Return whether this process, or another one of its test, has made the database that belongs to `folder`."""
    name = _name(folder)
    return name in _given or _exists(name)


def url_of_new(folder: Path, how: str = "") -> str:
    """Return the URL of the database that belongs to `folder`, created as `how` says if there is none yet."""
    name = _name(folder)
    with _lock:
        if not is_there(folder):
            _admin().execute(f"CREATE DATABASE {name} {how}")
        _given[name] = folder
    return url(name)


def copy_database(source: Path, to: Path) -> None:
    """Give the folder `to` a database like that of the folder `source`, to which there is no connection now."""
    name = _name(source)
    _disconnect(url(name))
    url_of_new(to, f"TEMPLATE {name} {COPIED}")


def drop_databases(folder: Path) -> None:
    """Drop the databases that belong to `folder` and to folders in it: its test has ended."""
    with _lock:
        for name in [name for name, place in _given.items() if place.is_relative_to(folder)]:
            del _given[name]
            _disconnect(url(name))
            _admin().execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def connected(url: str) -> psycopg.Connection[dict[str, Any]]:
    """Return a connection of this process for what tests look at: a new one costs more than most statements.

    Each statement is a transaction. The connection ends before the database is dropped or copied.
    """
    with _lock:
        if found := _connections.get(url):
            try:
                found.execute("SELECT 1")
            except psycopg.Error:
                _disconnect(url)
            else:
                return found
        _connections[url] = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        return _connections[url]


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


# Below: how.


@atexit.register
def _disconnect(*urls: str) -> None:
    """Close these connections of `connected`; without arguments, all."""
    for each in urls or [*_connections]:
        if found := _connections.pop(each, None):
            found.close()


@cache
def _have_template(name: str, make: Callable[[str], Coroutine[None, None, None]]) -> None:
    with psycopg.connect(url("postgres"), autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(1)")  # until the connection ends
        if not _exists(name):  # no process has made it
            admin.execute(f"CREATE DATABASE {name}_new")
            with ThreadPoolExecutor(1) as thread:  # there may be an event loop already
                thread.submit(asyncio.run, make(url(f"{name}_new"))).result()
            admin.execute(f"ALTER DATABASE {name}_new RENAME TO {name}")


async def _make_tables(url: str) -> None:
    async with alone(url) as database:
        await migrate(database)


def _name(folder: Path) -> str:
    return "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:20]


def _exists(name: str) -> bool:
    return _admin().execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None


def _admin() -> psycopg.Connection[Any]:
    """Return a connection of this process, by which databases are made and dropped."""
    return _connected(os.getpid())  # a fork needs its own


@cache
def _connected(_process: int) -> psycopg.Connection[Any]:
    connection = psycopg.connect(url("postgres"), autocommit=True)
    atexit.register(connection.close)
    return connection
