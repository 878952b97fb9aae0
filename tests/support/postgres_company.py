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

from engine.postgres.store import open_store
from engine.postgres.tenant.holding import HOLD, LOCK
from engine.postgres.tenant.users import PostgresUsers
from importer.users.users import Users
from tests.support.importing import Company
from tests.support.postgres import copy_database, copy_of, is_there
from tests.support.waiting import wait_until

TENANT = "acme"
TABLES = (
    *("settings", "settings_changes", "teams", "locations", "users", "applied", "changes", "invitations", "before"),
    *("before_lines", "touched", "imports", "runs", "outbox"),
)
"""The tables that tests read and change by hand."""
ADD = "INSERT INTO tenants (name, created_at) VALUES (%s, '2026-01-01T00:00:00.000Z') ON CONFLICT DO NOTHING"
ID = "(SELECT id FROM tenants WHERE name = %s)"
OF = "of_"
"""The start of the name of a schema with views of one tenant's rows."""


@contextmanager
def as_tenant(url: str, tenant: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a connection whose tables seem to have the rows of this tenant alone; commit at the end."""
    with psycopg.connect(url) as db:
        if db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (OF + tenant,)).fetchone():
            db.execute(f"SET search_path = {OF}{tenant}, public")
            yield db
            return
        found = db.execute("SELECT id FROM tenants WHERE name = %s", (tenant,)).fetchone()
        assert found, f"there is no tenant {tenant}"
        db.execute(_views("pg_temp", found[0]))
        yield db


def _views(schema: str, tenant_id: int) -> str:
    """Return statements that make a view of each table with the rows of one tenant."""
    return "; ".join(
        f"CREATE VIEW {schema}.{table} AS SELECT * FROM public.{table} WHERE tenant_id = {tenant_id};"
        f" ALTER VIEW {schema}.{table} ALTER tenant_id SET DEFAULT {tenant_id}"
        for table in TABLES
    )


class PostgresCompany(Company):
    """The same, as the tenant `acme` of the database that belongs to the folder."""

    tenant = TENANT

    def _users(self) -> Users:
        self.folder.mkdir(parents=True, exist_ok=True)
        known = is_there(self.folder)
        self.url = copy_of(self.folder, "headcount_company", _make_company)
        if known:
            with ThreadPoolExecutor(1) as thread:  # there may be an event loop already
                thread.submit(asyncio.run, _add(self.url)).result()
        return PostgresUsers(self.url, self.tenant)

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


async def _add(url: str) -> None:
    async with open_store(url) as store:
        await store.database.change(ADD, TENANT)
    await PostgresUsers(url, TENANT).prepare(make=True)


async def _make_company(url: str) -> None:
    """Add the tenant without users, and the views that `as_tenant` otherwise makes each time."""
    await _add(url)
    with psycopg.connect(url) as db:
        db.execute(f"CREATE SCHEMA {OF}{TENANT}; {_views(OF + TENANT, 1)}")


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
