"""The installation of a test in a database of PostgreSQL, without a data folder."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from engine.postgres.files.archive import PostgresArchive
from engine.postgres.files.results import PostgresResults
from engine.postgres.server.node import LOCK
from engine.postgres.store import READERS_CONNECTIONS, SERVERS_CONNECTIONS, PostgresStore, open_store
from engine.postgres.tenant.users import PostgresUsers
from engine.postgres.urls import in_words
from engine.store import Store
from importer.folder import TenantFolder
from importer.users.users import Users
from server.places.database import DatabasePlace
from server.settings import ServerSettings
from server.tenants.sending import MARK
from server.tenants.tenants import Tenants
from tests.support.engines import add_tenants
from tests.support.importing import Company
from tests.support.postgres import copy_database, database_of, url
from tests.support.postgres_company import PostgresCompany, as_tenant, holding_users
from tests.support.postgres_files import ID, FilesInPostgres, in_a_loop


class DatabaseInstallation(FilesInPostgres):
    """See `tests.support.installation.Installation`."""

    connections = SERVERS_CONNECTIONS + READERS_CONNECTIONS + 2  # of its pulse, and of its lock

    def __init__(self, data: Path) -> None:
        self.data = data
        self._secret = data.with_name(f"{data.name}.secret")
        self._scratch = data.with_name(f"{data.name}.scratch")
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The database that belongs to the folder. It is made on its first use."""
        if self._url is None:
            self._url = database_of(self.data)
        return self._url

    @property
    def name(self) -> str:
        return in_words(self.url)

    @property
    def secret_file(self) -> Path:
        if not self._secret.exists():
            self._secret.touch(mode=0o600)
            self._secret.write_bytes(secrets.token_bytes(32))
        return self._secret

    def environment(self) -> dict[str, str]:
        return {"HEADCOUNT_DATABASE_URL": self.url, "HEADCOUNT_SECRET_KEY_FILE": str(self.secret_file)}

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("HEADCOUNT_")]:
            monkeypatch.delenv(name)
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)

    @asynccontextmanager
    async def open(self, *, serving: bool = False, public_url: str | None = None) -> AsyncIterator[Tenants]:
        async with DatabasePlace(self.url, self.secret_file).opened(serving=serving) as home:
            yield Tenants(home, public_url)

    @asynccontextmanager
    async def store(self, *tenants: str) -> AsyncIterator[Store]:
        async with open_store(self.url) as store:
            await add_tenants(store, tenants)
            for name in tenants:
                await PostgresUsers(self.url, name).prepare(make=True)
            yield store

    def archive(self, store: Store) -> PostgresArchive:
        assert isinstance(store, PostgresStore)
        return PostgresArchive(store.database, store.contents(), self._scratch)

    def results(self, store: Store) -> PostgresResults:
        assert isinstance(store, PostgresStore)
        files = store.files("a test")
        return PostgresResults(files.names, files.contents, files.kept)

    def add(self, tenant: str) -> None:
        async def add() -> None:
            async with self.store(tenant):
                pass

        in_a_loop(add())

    def remove(self, tenant: str) -> None:
        self.change("DELETE FROM imports WHERE tenant_id = " + ID, tenant)
        removed = "name = NULL, removed_name = name, removed_at = clock_timestamp()"
        self.change(f"UPDATE tenants SET {removed} WHERE name = %s", tenant)

    def users_of(self, tenant: str) -> Users:
        return PostgresUsers(self.url, tenant)

    def copy_to(self, data: Path) -> None:
        copy_database(self.data, data)

    def settings(self, **chosen: Any) -> ServerSettings:
        return ServerSettings(database_url=SecretStr(self.url), secret_key_file=self.secret_file, **chosen)

    def folder(self, tenant: str) -> TenantFolder:
        folder = TenantFolder(self._scratch / "tenants" / tenant)
        for each in (folder.uploads, folder.messages, folder.runs, folder.staging):
            each.mkdir(parents=True, exist_ok=True)
        return folder

    # Rows

    def state(self, tenant: str, import_id: int) -> str | None:
        with self.reading() as db:
            query = f"SELECT state FROM imports WHERE tenant_id = {ID} AND id = %s"
            row = db.execute(query, (tenant, import_id)).fetchone()
        return row["state"] if row else None

    def runs(self, tenant: str) -> list[dict[str, Any]]:
        with self.reading() as db:
            return db.execute(f"SELECT * FROM runs WHERE tenant_id = {ID} ORDER BY id", (tenant,)).fetchall()

    def users(self, tenant: str) -> dict[str, str]:
        with self.reading() as db:
            query = f"SELECT email, state FROM users WHERE tenant_id = {ID} ORDER BY id"
            return {row["email"]: row["state"] for row in db.execute(query, (tenant,)).fetchall()}

    def applied(self, tenant: str) -> list[tuple[int, int | None]]:
        with as_tenant(self.url, tenant) as db:
            rows = db.execute(
                "SELECT import_id, (SELECT sum(more + 1)::integer FROM changes AS c"
                " WHERE c.import_id = a.import_id AND field = 'created') FROM applied AS a ORDER BY import_id"
            )
            return [(row[0], row[1]) for row in rows.fetchall()]

    def invitations(self, tenant: str) -> list[tuple[str, int]]:
        with as_tenant(self.url, tenant) as db:
            rows = db.execute("SELECT state, attempts FROM invitations").fetchall()
            return [(row[0], row[1]) for row in rows]

    def sending_is_off(self) -> bool:
        return self._mark(MARK) is not None

    def removed(self) -> list[str]:
        with self.reading() as db:
            rows = db.execute("SELECT removed_name FROM tenants WHERE removed_name IS NOT NULL ORDER BY 1").fetchall()
        return [row["removed_name"] for row in rows]

    def sent_bytes(self, tenant: str) -> int:
        query = f"""
            SELECT coalesce(sum(size), 0)::bigint AS bytes FROM (
                SELECT content_id, size FROM names WHERE tenant_id = {ID} AND content_id IS NOT NULL AND counts UNION
                SELECT content_id, size FROM kept_files WHERE tenant_id = {ID} AND starts_with(name, 'uploads/')
            ) AS contents"""
        with self.reading() as db:
            row = db.execute(query, (tenant, tenant)).fetchone()
        assert row
        return int(row["bytes"])

    def check_users(self, tenant: str) -> None:
        """Nothing of the tables is taken away for an import."""

    def holds(self, text: str) -> bool:
        return text in self.everything()

    def everything(self) -> str:
        found = []
        with self.reading() as db:
            tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            for table in [row["tablename"] for row in db.execute(tables).fetchall()]:
                rows = db.execute(f"SELECT t::text AS row FROM {table} AS t ORDER BY 1").fetchall()
                found += [f"{table}: {row['row']}\n" for row in rows]
        return "".join(found)

    def digests_written(self) -> str | None:
        return self._mark("digests")

    # Acts of another program

    def writing_users(self, tenant: str, statement: str = "") -> AbstractContextManager[None]:
        return holding_users(self.url, tenant, statement)

    def served(self) -> AbstractContextManager[None]:
        return _serving(self.url)

    def impatient(self, monkeypatch: pytest.MonkeyPatch, wait_s: float) -> None:
        for module in ("engine.postgres.database", "engine.postgres.tenant.writing"):
            monkeypatch.setattr(f"{module}.LOCK_S", wait_s)
        # While writes are refused, no connection is made: each caller waits so long for one.
        monkeypatch.setattr("engine.postgres.database.AWAY_S", max(wait_s, 2.0))

    def company(self, tenant: str) -> Company:
        return CompanyOf(self, tenant)

    @contextmanager
    def holding_writes(self) -> Iterator[None]:
        name = self.url.partition("@/")[2].partition("?")[0]
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        with psycopg.connect(url("postgres"), autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            admin.execute(end, (name,))
            try:
                yield
            finally:
                admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
                admin.execute(end, (name,))

    @contextmanager
    def writing(self, table: str) -> Iterator[None]:
        with psycopg.connect(self.url) as db:
            db.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield
            db.rollback()

    @contextmanager
    def without(self, table: str, tenant: str | None = None) -> Iterator[None]:
        self.change(f"ALTER TABLE {table} RENAME TO away")
        try:
            yield
        finally:
            self.change(f"ALTER TABLE away RENAME TO {table}")

    @contextmanager
    def broken(self, tenant: str) -> Iterator[None]:
        values = f"({ID}, 'retention_days', '\"never\"')"
        self.change(f"INSERT INTO settings (tenant_id, key, value) VALUES {values}", tenant)
        try:
            yield
        finally:
            self.change(f"DELETE FROM settings WHERE tenant_id = {ID} AND key = 'retention_days'", tenant)

    def change_users(self, tenant: str, *statements: str) -> None:
        for each in statements:
            with as_tenant(self.url, tenant) as db:
                db.execute(each)

    def date_tenants(self, created_at: str, *names: str) -> None:
        self.change("UPDATE tenants SET created_at = %s WHERE name = ANY(%s) OR %s", created_at, [*names], not names)

    def date_imports(self, at: str, tenant: str, *import_ids: int) -> None:
        change = f"UPDATE imports SET uploaded_at = %s, finished_at = %s WHERE tenant_id = {ID}"
        self.change(f"{change} AND (id = ANY(%s) OR %s)", at, at, tenant, [*import_ids], not import_ids)

    def have_import(self, tenant: str, import_id: int, state: str) -> None:
        self.change(f"DELETE FROM imports WHERE tenant_id = {ID} AND id = %s", tenant, import_id)
        self.change(
            "INSERT INTO imports"
            " (tenant_id, id, state, dry_run, sequence, path, size, uploaded_at, started_at)"
            f" VALUES ({ID}, %s, %s, false, %s, '/sync_users.csv', 1, '2026', '2026')",
            *(tenant, import_id, state, import_id),
        )

    def forget_digests(self) -> None:
        self.change("DELETE FROM marks WHERE name = 'digests'")

    def _mark(self, name: str) -> str | None:
        with self.reading() as db:
            row = db.execute("SELECT text FROM marks WHERE name = %s", (name,)).fetchone()
        return row["text"].strip() if row else None


class CompanyOf(PostgresCompany):
    """The users of a tenant of an installation, as a company."""

    def __init__(self, stored: DatabaseInstallation, tenant: str) -> None:
        self.tenant, self.url = tenant, stored.url
        super().__init__(stored.folder(tenant).root)

    def _users(self) -> Users:
        return PostgresUsers(self.url, self.tenant)


@contextmanager
def _serving(url: str) -> Iterator[None]:
    """Let the database be as while a server runs on it."""
    with psycopg.connect(url) as db:
        db.execute("SELECT pg_advisory_xact_lock(%s, 1)", (LOCK,))
        yield
