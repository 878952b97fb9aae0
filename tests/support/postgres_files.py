"""The files of tenants in a database of PostgreSQL, as tests see and change them beside the server."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from engine.postgres.database import alone
from engine.postgres.store import PostgresStore
from engine.shared.files import Names, Place
from tests.support.embedded import sizes_of
from tests.support.postgres import connected

ID = "(SELECT id FROM tenants WHERE name = %s)"
NEWEST = """
    SELECT id FROM tenants WHERE name = %(tenant)s OR removed_name = %(tenant)s
    ORDER BY removed_at DESC NULLS FIRST LIMIT 1"""
CHUNKS = """
    SELECT string_agg(bytes, ''::bytea ORDER BY number) FROM chunks WHERE tenant_id = %s AND content_id = %s"""


class FilesInPostgres:
    """The files of the installation in the database at `url`. See `tests.support.installation.Installation`."""

    @property
    def url(self) -> str:
        raise NotImplementedError

    # The files that a tenant sees

    def visible(self, tenant: str, path: str) -> bytes | None:
        entry = self._entry(tenant, path)
        if entry is None or entry["content_id"] is None:
            return None
        with self.reading() as db:
            return _content(db, entry["tenant_id"], entry["content_id"])

    def names(self, tenant: str, folder: str = "/") -> list[str]:
        entry = self._entry(tenant, folder)
        if entry is None and folder.strip("/") in {"results", "test"}:
            return []  # they are made when a session or a report first needs them
        assert entry is not None, f"there is no folder {folder}"
        query = "SELECT name FROM names WHERE tenant_id = %s AND folder_id = %s ORDER BY name"
        with self.reading() as db:
            rows = db.execute(query, (entry["tenant_id"], entry["id"])).fetchall()
        return sorted(os.fsdecode(row["name"]) for row in rows)

    def is_folder(self, tenant: str, path: str) -> bool:
        entry = self._entry(tenant, path)
        return entry is not None and entry["content_id"] is None

    def publish(self, tenant: str, path: str, content: bytes) -> None:
        async def put(store: PostgresStore, names: Names, place: Place, name: bytes) -> None:
            number = await self._stored(store, tenant, content)
            counts = not path.strip("/").startswith("results/")
            await names.put(place, name, number, len(content), (0, 0), None, counts=counts)

        self._at(tenant, path, put)

    def publish_all(self, tenant: str, names: Sequence[str], content: bytes) -> None:
        self.publish(tenant, names[0], content)
        self.change(
            "INSERT INTO names (tenant_id, folder_id, name, content_id, size, accessed, modified, counts)"
            " SELECT tenant_id, folder_id, new, content_id, size, accessed, modified, counts"
            " FROM names, unnest(%s::bytea[]) AS new"
            f" WHERE tenant_id = {ID} AND folder_id = 0 AND name = %s",
            *([os.fsencode(name) for name in names[1:]], tenant, os.fsencode(names[0])),
        )

    def make_folder(self, tenant: str, path: str) -> None:
        async def make(store: PostgresStore, names: Names, place: Place, name: bytes) -> None:
            await names.make_folder(place.folder, name)

        self._at(tenant, path, make)

    def unpublish(self, tenant: str, path: str) -> None:
        async def remove(store: PostgresStore, names: Names, place: Place, name: bytes) -> None:
            assert place.entry
            await names.delete(place.entry)

        self._at(tenant, path, remove)

    @contextmanager
    def without_results(self, tenant: str) -> Iterator[None]:
        rename = f"UPDATE names SET name = %s WHERE tenant_id = {ID} AND folder_id = 0 AND name = %s"
        self.change(rename, b"aside", tenant, b"results")
        self.publish(tenant, "/results", b"")
        try:
            yield
        finally:
            self.unpublish(tenant, "/results")
            self.change(rename, b"results", tenant, b"aside")

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
        with self.reading() as db:
            row = db.execute(query, (tenant,)).fetchone()
        assert row
        return row["size"], row["count"]

    def unfinished(self, tenant: str) -> list[int]:
        places = [*_scratch_folders({os.getpid(), *self._server()})]
        return sizes_of(file for each in places for file in (each / "tenants" / tenant / "staging").glob("*"))

    def noted(self, tenant: str) -> int:
        query = f"SELECT coalesce(sum(bytes), 0)::bigint AS bytes FROM drafts WHERE tenant_id = {ID}"
        with self.reading() as db:
            row = db.execute(query, (tenant,)).fetchone()
        assert row
        return int(row["bytes"])

    # Files that are kept of imports and runs

    def kept(self, tenant: str, name: str) -> bytes | None:
        query = f"SELECT tenant_id, content_id FROM kept_files WHERE tenant_id = {ID} AND name = %s"
        with self.reading() as db:
            row = db.execute(query, (tenant, name)).fetchone()
            return _content(db, row["tenant_id"], row["content_id"]) if row else None

    def keep(self, tenant: str, name: str, content: bytes) -> None:
        async def keep() -> None:
            async with self._store() as store:
                await store.kept_files().keep(tenant, [(name, await self._stored(store, tenant, content))])

        in_a_loop(keep())

    def kept_names(self, tenant: str, place: str) -> set[str]:
        query = f"SELECT name FROM kept_files WHERE tenant_id = {ID} AND starts_with(name, %s)"
        with self.reading() as db:
            return {row["name"].partition("/")[2] for row in db.execute(query, (tenant, f"{place}/")).fetchall()}

    def drop(self, tenant: str, name: str) -> None:
        self.change(f"DELETE FROM kept_files WHERE tenant_id = {ID} AND name = %s", tenant, name)

    @contextmanager
    def unreadable(self, tenant: str, place: str) -> Iterator[None]:
        self.change("ALTER TABLE chunks RENAME TO away")
        try:
            yield
        finally:
            self.change("ALTER TABLE away RENAME TO chunks")

    def copy(self, tenant: str, import_id: int) -> bytes | None:
        return self.kept(tenant, f"uploads/{import_id}.csv")

    def keep_copy(self, tenant: str, import_id: int, content: bytes) -> None:
        self.keep(tenant, f"uploads/{import_id}.csv", content)

    def keep_copies(self, tenant: str, number: int, content: bytes) -> None:
        self.keep_copy(tenant, 1, content)
        self.change(
            "INSERT INTO kept_files (tenant_id, name, content_id, size)"
            " SELECT tenant_id, 'uploads/' || number || '.csv', content_id, size"
            " FROM kept_files, generate_series(2, %s) AS number"
            f" WHERE tenant_id = {ID} AND name = 'uploads/1.csv'",
            *(number, tenant),
        )

    def shares(self, tenant: str, path: str, import_id: int) -> bool:
        query = f"SELECT content_id FROM kept_files WHERE tenant_id = {ID} AND name = %s"
        with self.reading() as db:
            row = db.execute(query, (tenant, f"uploads/{import_id}.csv")).fetchone()
        entry = self._entry(tenant, path)
        return bool(row and entry and row["content_id"] == entry["content_id"])

    def run_copy(self, tenant: str, run_id: int) -> bytes | None:
        return self.kept(tenant, f"runs/{run_id}.file")

    def keep_run_copy(self, tenant: str, run_id: int, content: bytes) -> None:
        self.keep(tenant, f"runs/{run_id}.file", content)

    # Below: how

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        yield connected(self.url)

    def change(self, statement: str, *values: Any) -> None:
        with psycopg.connect(self.url) as db:  # it may have to wait, and others read meanwhile
            db.execute(statement, values or None)

    def _server(self) -> list[int]:
        with self.reading() as db:
            return [int(row["pid"]) for row in db.execute("SELECT pid FROM nodes").fetchall()]

    def _entry(self, tenant: str, path: str) -> dict[str, Any] | None:
        """Return the row of `names` at a path; that of / has the id 0."""
        with self.reading() as db:
            row = db.execute(NEWEST, {"tenant": tenant}).fetchone()
            assert row, f"there is no tenant {tenant}"
            found: dict[str, Any] | None = {"tenant_id": row["id"], "id": 0, "content_id": None}
            for part in path.strip("/").split("/") if path.strip("/") else ():
                query = "SELECT * FROM names WHERE tenant_id = %s AND folder_id = %s AND name = %s"
                if found:
                    found = db.execute(query, (found["tenant_id"], found["id"], os.fsencode(part))).fetchone()
            return found

    @asynccontextmanager
    async def _store(self) -> AsyncIterator[PostgresStore]:
        """Open the store for one change. Its tables are there, so it needs no more than one connection."""
        async with alone(self.url) as database:
            yield PostgresStore(database)

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
            async with self._store() as store:
                names = await store.files("a test").names.open(tenant)
                async with names.together():
                    await names.hold()
                    for depth in range(1, len(parts)):
                        above = await names.look(parts[:depth])
                        if above.entry is None:
                            await names.make_folder(above.folder, parts[depth - 1], counts=parts[0] != b"results")
                    await act(store, names, await names.look(parts), parts[-1])

        in_a_loop(change())

    def _share(self, tenant: str, path: str, name: str) -> None:
        entry = self._entry(tenant, path)
        assert entry
        self.change(f"DELETE FROM kept_files WHERE tenant_id = {ID} AND name = %s", tenant, name)
        self.change(
            "INSERT INTO kept_files (tenant_id, name, content_id, size) VALUES (%s, %s, %s, %s)",
            *(entry["tenant_id"], name, entry["content_id"], entry["size"]),
        )


def _content(db: psycopg.Connection[dict[str, Any]], tenant_id: int, content: int) -> bytes:
    row = db.execute(CHUNKS, (tenant_id, content)).fetchone()
    assert row
    return row["string_agg"] or b""


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


def in_a_loop(work: Any) -> Any:
    """Run a coroutine in an event loop of its own: there may be one in this thread already."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
