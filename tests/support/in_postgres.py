"""The installation of a test in a database of PostgreSQL, without a data folder."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from engine.files import Names, Place
from engine.postgres.store import PostgresStore, open_store
from engine.postgres.tenant.users import PostgresUsers
from engine.store import Store
from importer.folder import TenantFolder
from importer.users.users import Users
from server.places.database import DatabasePlace
from server.settings import ServerSettings
from server.tenants.sending import MARK
from server.tenants.tenants import Tenants
from tests.support.engines import add_tenants
from tests.support.importing import Company
from tests.support.postgres import database_for, url
from tests.support.postgres_company import PostgresCompany, as_tenant, holding_users

ID = "(SELECT id FROM tenants WHERE name = %s)"
CHUNKS = """
    SELECT string_agg(bytes, ''::bytea ORDER BY number) FROM chunks WHERE tenant_id = %s AND content_id = %s"""


class DatabaseInstallation:
    """See `tests.support.installation.Installation`."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._secret = data.with_name(f"{data.name}.secret")
        self._scratch = data.with_name(f"{data.name}.scratch")
        self._url: str | None = None

    @property
    def url(self) -> str:
        """The database that belongs to the folder. It is made on its first use."""
        if self._url is None:
            self._url = _in_a_loop(database_for(self.data))
        return self._url

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

    def add(self, tenant: str) -> None:
        async def add() -> None:
            async with self.store(tenant):
                pass

        _in_a_loop(add())

    def remove(self, tenant: str) -> None:
        self._change("DELETE FROM imports WHERE tenant_id = " + ID, tenant)
        removed = "name = NULL, removed_name = name, removed_at = clock_timestamp()"
        self._change(f"UPDATE tenants SET {removed} WHERE name = %s", tenant)

    def users_of(self, tenant: str) -> Users:
        return PostgresUsers(self.url, tenant)

    def settings(self, **chosen: Any) -> ServerSettings:
        return ServerSettings(database_url=SecretStr(self.url), secret_key_file=self.secret_file, **chosen)

    def folder(self, tenant: str) -> TenantFolder:
        folder = TenantFolder(self._scratch / "tenants" / tenant)
        for each in (folder.uploads, folder.messages, folder.runs, folder.staging):
            each.mkdir(parents=True, exist_ok=True)
        return folder

    # The files that a tenant sees

    def visible(self, tenant: str, path: str) -> bytes | None:
        entry = self._entry(tenant, path)
        if entry is None or entry["content_id"] is None:
            return None
        with self._reading() as db:
            return _content(db, entry["tenant_id"], entry["content_id"])

    def names(self, tenant: str, folder: str = "/") -> list[str]:
        entry = self._entry(tenant, folder)
        assert entry is not None, f"there is no folder {folder}"
        query = "SELECT name FROM names WHERE tenant_id = %s AND folder_id = %s ORDER BY name"
        with self._reading() as db:
            rows = db.execute(query, (entry["tenant_id"], entry["id"])).fetchall()
        return sorted(os.fsdecode(row["name"]) for row in rows)

    def is_folder(self, tenant: str, path: str) -> bool:
        entry = self._entry(tenant, path)
        return entry is not None and entry["content_id"] is None

    def publish(self, tenant: str, path: str, content: bytes) -> None:
        async def put(store: PostgresStore, names: Names, place: Place, name: bytes) -> None:
            number = await self._stored(store, tenant, content)
            await names.put(place, name, number, len(content), (0, 0), None, counts=not path.startswith("/results"))

        self._at(tenant, path, put)

    def make_folder(self, tenant: str, path: str) -> None:
        async def make(store: PostgresStore, names: Names, place: Place, name: bytes) -> None:
            await names.make_folder(place.folder, name)

        self._at(tenant, path, make)

    def unpublish(self, tenant: str, path: str) -> None:
        async def remove(store: PostgresStore, names: Names, place: Place, name: bytes) -> None:
            assert place.entry
            await names.delete(place.entry)

        self._at(tenant, path, remove)

    def land(self, tenant: str, path: str, content: bytes, import_id: int) -> None:
        self.publish(tenant, path, content)
        self._share(tenant, path, f"uploads/{import_id}.csv")

    def show_copy(self, tenant: str, path: str, run_id: int) -> None:
        content = self.run_copy(tenant, run_id)
        assert content is not None
        self.publish(tenant, path, content)
        self._share(tenant, path, f"runs/{run_id}.file")

    def counted(self, tenant: str) -> tuple[int, int]:
        query = (
            f"SELECT coalesce(sum(size), 0)::bigint AS size, count(*) FROM names WHERE tenant_id = {ID} AND counts"
        )
        with self._reading() as db:
            row = db.execute(query, (tenant,)).fetchone()
        assert row
        return row["size"], row["count"]

    def unfinished(self, tenant: str) -> list[int]:
        places = [*_scratch_folders({os.getpid(), *self._server()})]
        staged = [file for each in places for file in (each / "tenants" / tenant / "staging").glob("*")]
        return [file.stat().st_size for file in staged if file.exists()]

    # What is kept of imports and runs

    def kept(self, tenant: str, name: str) -> bytes | None:
        query = f"SELECT tenant_id, content_id FROM kept_files WHERE tenant_id = {ID} AND name = %s"
        with self._reading() as db:
            row = db.execute(query, (tenant, name)).fetchone()
            return _content(db, row["tenant_id"], row["content_id"]) if row else None

    def keep(self, tenant: str, name: str, content: bytes) -> None:
        async def keep() -> None:
            async with open_store(self.url) as store:
                await store.kept_files().keep(tenant, [(name, await self._stored(store, tenant, content))])

        _in_a_loop(keep())

    def kept_names(self, tenant: str, place: str) -> set[str]:
        query = f"SELECT name FROM kept_files WHERE tenant_id = {ID} AND starts_with(name, %s)"
        with self._reading() as db:
            return {row["name"].partition("/")[2] for row in db.execute(query, (tenant, f"{place}/")).fetchall()}

    def drop(self, tenant: str, name: str) -> None:
        self._change(f"DELETE FROM kept_files WHERE tenant_id = {ID} AND name = %s", tenant, name)

    def copy(self, tenant: str, import_id: int) -> bytes | None:
        return self.kept(tenant, f"uploads/{import_id}.csv")

    def keep_copy(self, tenant: str, import_id: int, content: bytes) -> None:
        self.keep(tenant, f"uploads/{import_id}.csv", content)

    def shares(self, tenant: str, path: str, import_id: int) -> bool:
        query = f"SELECT content_id FROM kept_files WHERE tenant_id = {ID} AND name = %s"
        with self._reading() as db:
            row = db.execute(query, (tenant, f"uploads/{import_id}.csv")).fetchone()
        entry = self._entry(tenant, path)
        return bool(row and entry and row["content_id"] == entry["content_id"])

    def run_copy(self, tenant: str, run_id: int) -> bytes | None:
        return self.kept(tenant, f"runs/{run_id}.file")

    def keep_run_copy(self, tenant: str, run_id: int, content: bytes) -> None:
        self.keep(tenant, f"runs/{run_id}.file", content)

    # Rows

    def state(self, tenant: str, import_id: int) -> str | None:
        with self._reading() as db:
            query = f"SELECT state FROM imports WHERE tenant_id = {ID} AND id = %s"
            row = db.execute(query, (tenant, import_id)).fetchone()
        return row["state"] if row else None

    def runs(self, tenant: str) -> list[dict[str, Any]]:
        with self._reading() as db:
            return db.execute(f"SELECT * FROM runs WHERE tenant_id = {ID} ORDER BY id", (tenant,)).fetchall()

    def users(self, tenant: str) -> dict[str, str]:
        with self._reading() as db:
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
        with self._reading() as db:
            rows = db.execute("SELECT removed_name FROM tenants WHERE removed_name IS NOT NULL ORDER BY 1").fetchall()
        return [row["removed_name"] for row in rows]

    def sent_bytes(self, tenant: str) -> int:
        query = f"""
            SELECT coalesce(sum(size), 0)::bigint AS bytes FROM (
                SELECT content_id, size FROM names WHERE tenant_id = {ID} AND content_id IS NOT NULL AND counts UNION
                SELECT content_id, size FROM kept_files WHERE tenant_id = {ID} AND starts_with(name, 'uploads/')
            ) AS contents"""
        with self._reading() as db:
            row = db.execute(query, (tenant, tenant)).fetchone()
        assert row
        return int(row["bytes"])

    def check_users(self, tenant: str) -> None:
        """Nothing of the tables is taken away for an import."""

    def holds(self, text: str) -> bool:
        return text in self.everything()

    def everything(self) -> str:
        found = []
        with self._reading() as db:
            tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            for table in [row["tablename"] for row in db.execute(tables).fetchall()]:
                rows = db.execute(f"SELECT t::text AS row FROM {table} AS t ORDER BY 1").fetchall()
                found += [f"{table}: {row['row']}\n" for row in rows]
        return "".join(found)

    def digests_written(self) -> str | None:
        return self._mark("digests")

    # What another program does

    def writing_users(self, tenant: str, statement: str = "") -> AbstractContextManager[None]:
        return holding_users(self.url, tenant, statement)

    def served(self) -> AbstractContextManager[None]:
        return _serving(self.url)

    def impatient(self, monkeypatch: pytest.MonkeyPatch, wait_s: float) -> None:
        monkeypatch.setattr("engine.postgres.database.WAIT_S", wait_s)

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

    def change_users(self, tenant: str, *statements: str) -> None:
        for each in statements:
            with as_tenant(self.url, tenant) as db:
                db.execute(each)

    def date_tenants(self, created_at: str, *names: str) -> None:
        self._change("UPDATE tenants SET created_at = %s WHERE name = ANY(%s) OR %s", created_at, [*names], not names)

    def date_imports(self, at: str, tenant: str, *import_ids: int) -> None:
        change = f"UPDATE imports SET uploaded_at = %s, finished_at = %s WHERE tenant_id = {ID}"
        self._change(f"{change} AND (id = ANY(%s) OR %s)", at, at, tenant, [*import_ids], not import_ids)

    def have_import(self, tenant: str, import_id: int, state: str) -> None:
        self._change(f"DELETE FROM imports WHERE tenant_id = {ID} AND id = %s", tenant, import_id)
        self._change(
            "INSERT INTO imports"
            " (tenant_id, id, state, dry_run, sequence, path, size, uploaded_at, started_at)"
            f" VALUES ({ID}, %s, %s, false, %s, '/sync_users.csv', 1, '2026', '2026')",
            *(tenant, import_id, state, import_id),
        )

    def forget_digests(self) -> None:
        self._change("DELETE FROM marks WHERE name = 'digests'")

    # Below: how

    @contextmanager
    def _reading(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        with psycopg.connect(self.url, row_factory=dict_row) as db:
            yield db

    def _change(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self.url) as db:
            db.execute(statement, values or None)

    def _mark(self, name: str) -> str | None:
        with self._reading() as db:
            row = db.execute("SELECT text FROM marks WHERE name = %s", (name,)).fetchone()
        return row["text"].strip() if row else None

    def _server(self) -> list[int]:
        with self._reading() as db:
            rows = db.execute("SELECT pid FROM serving").fetchall()
        return [int(row["pid"].split()[0]) for row in rows]

    def _entry(self, tenant: str, path: str) -> dict[str, Any] | None:
        """Return the row of `names` at a path; that of / has the id 0."""
        with self._reading() as db:
            row = db.execute("SELECT id FROM tenants WHERE name = %s", (tenant,)).fetchone()
            assert row, f"there is no tenant {tenant}"
            found: dict[str, Any] | None = {"tenant_id": row["id"], "id": 0, "content_id": None}
            for part in path.strip("/").split("/") if path.strip("/") else ():
                query = "SELECT * FROM names WHERE tenant_id = %s AND folder_id = %s AND name = %s"
                if found:
                    found = db.execute(query, (found["tenant_id"], found["id"], os.fsencode(part))).fetchone()
            return found

    async def _stored(self, store: PostgresStore, tenant: str, content: bytes) -> int:
        with tempfile.TemporaryFile() as file:
            file.write(content)
            file.flush()
            return await store.contents().store(tenant, file.fileno(), len(content))

    def _at(
        self, tenant: str, path: str, act: Callable[[PostgresStore, Names, Place, bytes], Awaitable[None]]
    ) -> None:
        """Change what is at a path, with the folders above it."""
        parts = [os.fsencode(part) for part in path.strip("/").split("/")]

        async def change() -> None:
            async with open_store(self.url) as store:
                names = await store.files("a test").names.open(tenant)
                async with names.together():
                    await names.hold()
                    for depth in range(1, len(parts)):
                        above = await names.look(parts[:depth])
                        if above.entry is None:
                            await names.make_folder(above.folder, parts[depth - 1], counts=parts[0] != b"results")
                    await act(store, names, await names.look(parts), parts[-1])

        _in_a_loop(change())

    def _share(self, tenant: str, path: str, name: str) -> None:
        entry = self._entry(tenant, path)
        assert entry
        self._change(f"DELETE FROM kept_files WHERE tenant_id = {ID} AND name = %s", tenant, name)
        self._change(
            "INSERT INTO kept_files (tenant_id, name, content_id, size) VALUES (%s, %s, %s, %s)",
            *(entry["tenant_id"], name, entry["content_id"], entry["size"]),
        )


class CompanyOf(PostgresCompany):
    """The users of a tenant of an installation, as a company."""

    def __init__(self, stored: DatabaseInstallation, tenant: str) -> None:
        self.tenant, self.url = tenant, stored.url
        super().__init__(stored.folder(tenant).root)

    def _users(self) -> Users:
        return PostgresUsers(self.url, self.tenant)


def _content(db: psycopg.Connection[dict[str, Any]], tenant_id: int, content: int) -> bytes:
    row = db.execute(CHUNKS, (tenant_id, content)).fetchone()
    assert row
    return row["string_agg"] or b""


@contextmanager
def _serving(url: str) -> Iterator[None]:
    """Let the database be as while a server runs on it."""
    take = (
        "INSERT INTO serving (process, host, machine, pid, seen_at)"
        " VALUES ('of a test', 'here', 'another', '1', clock_timestamp() + interval '1 hour')"
    )
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(take)
        try:
            yield
        finally:
            db.execute("DELETE FROM serving")


def _scratch_folders(processes: set[int]) -> Iterator[Path]:
    """Yield the folders for working files of these processes, which hold a lock there."""
    locks = {}
    for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
        parts = line.split()
        if parts[1] == "FLOCK":
            locks[int(parts[5].rpartition(":")[2])] = int(parts[4])
    for place in Path(tempfile.gettempdir()).glob("headcount-scratch-*"):
        with suppress(OSError):
            if locks.get((place / ".lock").stat().st_ino) in processes:
                yield place


def _in_a_loop(work: Any) -> Any:
    """Run a coroutine in an event loop of its own: there may be one in this thread already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
