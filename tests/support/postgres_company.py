"""A company whose users are in PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from engine.postgres.database import alone
from engine.postgres.tenant.holding import HOLD, LOCK
from engine.postgres.tenant.users import PostgresUsers
from importer.users.users import Users
from tests.support.importing import Company
from tests.support.postgres import copy_database, database_for
from tests.support.waiting import wait_until

TENANT = "acme"
TABLES = (
    *("settings", "settings_changes", "teams", "locations", "users", "applied", "changes", "invitations", "before"),
    *("before_lines", "touched", "imports", "runs", "outbox"),
)
"""The tables that tests read and change by hand."""
ADD = "INSERT INTO tenants (name, created_at) VALUES (%s, '2026-01-01T00:00:00.000Z') ON CONFLICT DO NOTHING"
ID = "(SELECT id FROM tenants WHERE name = %s)"


@contextmanager
def as_tenant(url: str, tenant: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection whose tables seem to have the rows of this tenant alone; commit at the end."""
    with psycopg.connect(url) as db:
        found = db.execute("SELECT id FROM tenants WHERE name = %s", (tenant,)).fetchone()
        assert found, f"there is no tenant {tenant}"
        views = [
            f"CREATE TEMP VIEW {table} AS SELECT * FROM public.{table} WHERE tenant_id = {found[0]};"
            f" ALTER VIEW {table} ALTER tenant_id SET DEFAULT {found[0]}"
            for table in TABLES
        ]
        db.execute("; ".join(views))
        yield db


class PostgresCompany(Company):
    """The same, as the tenant `acme` of the database that belongs to the folder."""

    tenant = TENANT

    def _users(self) -> Users:
        self.folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(1) as thread:  # there may be an event loop already
            self.url = thread.submit(asyncio.run, self._opened()).result()
        return PostgresUsers(self.url, self.tenant)

    async def _opened(self) -> str:
        url = await database_for(self.folder)
        async with alone(url) as database:
            await database.change(ADD, TENANT)
        await PostgresUsers(url, TENANT).prepare(make=True)
        return url

    async def copied(self, folder: Path) -> Company:
        copy_database(self.folder, folder)
        return self._like_it(folder)

    async def _store_identifier(self, identifier: str | None) -> None:
        with psycopg.connect(self.url) as db:
            db.execute(f"DELETE FROM settings WHERE key = 'identifier' AND tenant_id = {ID}", (TENANT,))
            if identifier:
                values = (TENANT, json.dumps(identifier))
                db.execute(f"INSERT INTO settings (tenant_id, key, value) VALUES ({ID}, 'identifier', %s)", values)

    async def sql(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Sequence[Any]]:
        """Run `statement`, commit, and return its rows. It names no tenant; `?` and `:name` are the values."""
        written = statement.replace("%", "%%")
        written = re.sub(r":(\w+)", r"%(\1)s", written) if isinstance(values, Mapping) else written
        with as_tenant(self.url, self.tenant) as db:
            done = db.execute(written.replace("?", "%s"), values) if values else db.execute(statement)
            return [tuple(row) for row in done.fetchall()] if done.description else []

    async def read(self, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
        with as_tenant(self.url, self.tenant) as db, db.cursor(row_factory=dict_row) as cursor:
            return {name: cursor.execute(query).fetchall() for name, query in queries.items()}

    def by_hand(self, *statements: str) -> None:
        for each in statements:
            with as_tenant(self.url, self.tenant) as db:
                db.execute(each)

    @contextmanager
    def without(self, table: str) -> Iterator[None]:
        with psycopg.connect(self.url, autocommit=True) as db:
            db.execute(f"ALTER TABLE {table} RENAME TO away")
            try:
                yield
            finally:
                db.execute(f"ALTER TABLE away RENAME TO {table}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        with holding_users(self.url, self.tenant):
            yield


@contextmanager
def holding_users(url: str, tenant: str, statement: str = "") -> Iterator[None]:
    """Hold a transaction of a writer of this tenant's users open, after `statement`; roll it back at the end."""
    with as_tenant(url, tenant) as db:
        found = db.execute("SELECT id FROM public.tenants WHERE name = %s FOR KEY SHARE", (tenant,)).fetchone()
        assert found
        wait_until(lambda: db.execute(HOLD, (LOCK, found[0])).fetchone() == (True,), what="the users")
        if statement:
            db.execute(statement)
        yield
        db.rollback()
