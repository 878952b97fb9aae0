"""The installation of a test in a data folder: SQLite and files."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from pathlib import Path
from typing import Any

import pytest

from engine.sqlite.tenant.users import SqliteUsers
from engine.store import Store
from importer.archive import LOCAL, Archive
from importer.folder import TenantFolder
from importer.users.users import Users
from importer.worker.results_folder import LOCAL_RESULTS, Results
from server import process
from server.settings import ServerSettings
from server.tenants.sending import is_off_in
from server.tenants.tenants import Tenants, open_tenants
from tests.support.engines import sqlite
from tests.support.importing import Company, make_users
from tests.support.waiting import DEADLINE_S
from tests.support.writing import being_written, by_hand


class EmbeddedInstallation:
    """See `tests.support.installation.Installation`."""

    connections = 0

    def __init__(self, data: Path) -> None:
        self.data = data

    @property
    def name(self) -> str:
        return f"the data folder {self.data}"

    def environment(self) -> dict[str, str]:
        return {"HEADCOUNT_DATA_DIR": str(self.data)}

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("HEADCOUNT_")]:
            monkeypatch.delenv(name)
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)

    def open(self, *, serving: bool = False, public_url: str | None = None) -> AbstractAsyncContextManager[Tenants]:
        return open_tenants(self.data, serving=serving, public_url=public_url)

    @asynccontextmanager
    async def store(self, *tenants: str) -> AsyncIterator[Store]:
        async with sqlite(self.data)(*tenants) as store:
            for name in tenants:
                self.make_folder_of(name)
            yield store

    def archive(self, store: Store) -> Archive:
        return LOCAL

    def results(self, store: Store) -> Results:
        return LOCAL_RESULTS

    def add(self, tenant: str) -> None:
        self.make_folder_of(tenant)
        by_hand(self._server_database(), f"INSERT INTO tenants (name, created_at) VALUES ('{tenant}', '2026')")

    def remove(self, tenant: str) -> None:
        delete = f"DELETE FROM tenants WHERE name = '{tenant}'"
        by_hand(self._server_database(), "PRAGMA foreign_keys=ON", delete)
        (self.data / "removed").mkdir(exist_ok=True)
        self.folder(tenant).root.rename(self.data / "removed" / f"{tenant}-20260101T000000.000000Z")

    def make_folder_of(self, tenant: str) -> None:
        folder = self.folder(tenant)
        for each in (folder.files / "test", folder.results, folder.uploads, folder.messages, folder.staging):
            each.mkdir(parents=True, exist_ok=True)
        make_users(folder.users_db)

    def users_of(self, tenant: str) -> Users:
        return SqliteUsers(self.folder(tenant))

    def copy_to(self, data: Path) -> None:
        """The folder has everything."""

    def settings(self, **chosen: Any) -> ServerSettings:
        return ServerSettings(data_dir=self.data, **chosen)

    def folder(self, tenant: str) -> TenantFolder:
        return TenantFolder(self.data / "tenants" / tenant)

    def visible(self, tenant: str, path: str) -> bytes | None:
        return _content(self.folder(tenant).visible(path))

    def names(self, tenant: str, folder: str = "/") -> list[str]:
        return sorted(path.name for path in self.folder(tenant).visible(folder).iterdir())

    def publish(self, tenant: str, path: str, content: bytes) -> None:
        file = self.folder(tenant).visible(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def publish_all(self, tenant: str, names: Sequence[str], content: bytes) -> None:
        for name in names:
            self.publish(tenant, name, content)

    def is_folder(self, tenant: str, path: str) -> bool:
        return self.folder(tenant).visible(path).is_dir()

    def make_folder(self, tenant: str, path: str) -> None:
        self.folder(tenant).visible(path).mkdir(parents=True)

    def unpublish(self, tenant: str, path: str) -> None:
        there = self.folder(tenant).visible(path)
        there.rmdir() if there.is_dir() else there.unlink()

    @contextmanager
    def without_results(self, tenant: str) -> Iterator[None]:
        results = self.folder(tenant).results
        aside = results.rename(self.folder(tenant).root / "aside")
        results.touch()
        try:
            yield
        finally:
            results.unlink()
            aside.rename(results)

    def land(self, tenant: str, path: str, content: bytes, import_id: int) -> None:
        folder = self.folder(tenant)
        new = folder.staging / "new"
        new.write_bytes(content)
        os.link(new, folder.copy(import_id))
        new.rename(folder.visible(path))

    def show_copy(self, tenant: str, path: str, run_id: int) -> None:
        folder = self.folder(tenant)
        visible, new = folder.visible(path), folder.staging / "new"
        visible.parent.mkdir(exist_ok=True)
        os.link(folder.run_copy(run_id), new)
        new.rename(visible)

    def counted(self, tenant: str) -> tuple[int, int]:
        raise NotImplementedError

    def unfinished(self, tenant: str) -> list[int]:
        return sizes_of(self.folder(tenant).staging.iterdir())

    def noted(self, tenant: str) -> int:
        return sum(self.unfinished(tenant))

    def kept(self, tenant: str, name: str) -> bytes | None:
        return _content(self.folder(tenant).root / name)

    def keep(self, tenant: str, name: str, content: bytes) -> None:
        file = self.folder(tenant).root / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)

    def kept_names(self, tenant: str, place: str) -> set[str]:
        return {path.name for path in (self.folder(tenant).root / place).iterdir()}

    def drop(self, tenant: str, name: str) -> None:
        (self.folder(tenant).root / name).unlink()

    @contextmanager
    def unreadable(self, tenant: str, place: str) -> Iterator[None]:
        folder = self.folder(tenant).root / place
        aside = folder.rename(folder.with_name("aside"))
        try:
            yield
        finally:
            aside.rename(folder)

    def copy(self, tenant: str, import_id: int) -> bytes | None:
        return self.kept(tenant, f"uploads/{import_id}.csv")

    def keep_copy(self, tenant: str, import_id: int, content: bytes) -> None:
        self.keep(tenant, f"uploads/{import_id}.csv", content)

    def keep_copies(self, tenant: str, number: int, content: bytes) -> None:
        self.keep_copy(tenant, 1, content)
        folder = self.folder(tenant)
        for import_id in range(2, number + 1):
            os.link(folder.copy(1), folder.copy(import_id))

    def shares(self, tenant: str, path: str, import_id: int) -> bool:
        folder = self.folder(tenant)
        return folder.copy(import_id).samefile(folder.visible(path))

    def run_copy(self, tenant: str, run_id: int) -> bytes | None:
        return self.kept(tenant, f"runs/{run_id}.file")

    def keep_run_copy(self, tenant: str, run_id: int, content: bytes) -> None:
        self.keep(tenant, f"runs/{run_id}.file", content)

    def state(self, tenant: str, import_id: int) -> str | None:
        with _reading(self._server_database()) as db:
            row = db.execute("SELECT state FROM imports WHERE tenant = ? AND id = ?", (tenant, import_id)).fetchone()
        return row[0] if row else None

    def runs(self, tenant: str) -> list[dict[str, Any]]:
        with _reading(self._server_database()) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute("SELECT * FROM runs WHERE tenant = ? ORDER BY id", (tenant,))]

    def users(self, tenant: str) -> dict[str, str]:
        with _reading(self.folder(tenant).users_db) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return dict(db.execute("SELECT email, state FROM users ORDER BY id"))

    def applied(self, tenant: str) -> list[tuple[int, int | None]]:
        with _reading(self.folder(tenant).users_db) as db:
            return db.execute(
                "SELECT import_id, (SELECT sum(more + 1) FROM changes AS c WHERE c.import_id = a.import_id"
                " AND field = 'created') FROM applied AS a ORDER BY import_id"
            ).fetchall()

    def invitations(self, tenant: str) -> list[tuple[str, int]]:
        with _reading(self.folder(tenant).users_db) as db:
            return db.execute("SELECT state, attempts FROM invitations").fetchall()

    def sending_is_off(self) -> bool:
        return is_off_in(self.data)

    def removed(self) -> list[str]:
        return sorted(path.name.rpartition("-")[0] for path in (self.data / "removed").iterdir())

    def sent_bytes(self, tenant: str) -> int:
        folder = self.folder(tenant)
        found = [file.stat() for place in (folder.files, folder.uploads) for file in place.rglob("*.csv")]
        return sum({each.st_ino: each.st_size for each in found}.values())

    def check_users(self, tenant: str) -> None:
        with _reading(self.folder(tenant).users_db) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            assert ("users_manager",) in db.execute("SELECT name FROM sqlite_master").fetchall()

    def holds(self, text: str) -> bool:
        return any(text.encode() in each.read_bytes() for each in self.data.rglob("*") if each.is_file())

    def everything(self) -> str:
        found = []
        files = [
            each for each in self.data.rglob("*") if each.is_file() and each.suffix not in {".db-wal", ".db-shm"}
        ]
        for path in sorted(files):
            if path.suffix == ".db":
                with _reading(path) as db:
                    content = "\n".join(db.iterdump())
            else:
                content = path.read_bytes().decode("latin-1")
            found.append(f"{path}\n{content}\n")
        return "".join(found)

    def writing_users(self, tenant: str, statement: str = "") -> AbstractContextManager[None]:
        return being_written(self.folder(tenant).users_db, statement)

    def served(self) -> AbstractContextManager[None]:
        return process.hold(self.data)

    def impatient(self, monkeypatch: pytest.MonkeyPatch, wait_s: float) -> None:
        monkeypatch.setattr("engine.sqlite.database.BUSY_TIMEOUT_S", wait_s)

    def company(self, tenant: str) -> Company:
        return Company(self.folder(tenant).root)

    def holding_writes(self) -> AbstractContextManager[None]:
        return being_written(self._server_database())

    def writing(self, table: str) -> AbstractContextManager[None]:
        return being_written(self._server_database())

    @contextmanager
    def without(self, table: str, tenant: str | None = None) -> Iterator[None]:
        database = self.folder(tenant).users_db if tenant else self._server_database()
        by_hand(database, f"ALTER TABLE {table} RENAME TO away")
        try:
            yield
        finally:
            by_hand(database, f"ALTER TABLE away RENAME TO {table}")

    @contextmanager
    def broken(self, tenant: str) -> Iterator[None]:
        database = self.folder(tenant).users_db
        kept = database.read_bytes()
        database.write_bytes(b"no database")
        try:
            yield
        finally:
            database.write_bytes(kept)

    def change_users(self, tenant: str, *statements: str) -> None:
        by_hand(self.folder(tenant).users_db, *statements)

    def date_tenants(self, created_at: str, *names: str) -> None:
        if not names:
            by_hand(self._server_database(), f"UPDATE tenants SET created_at = '{created_at}'")
        for name in names:
            by_hand(self._server_database(), f"UPDATE tenants SET created_at = '{created_at}' WHERE name = '{name}'")

    def date_imports(self, at: str, tenant: str, *import_ids: int) -> None:
        change = f"UPDATE imports SET uploaded_at = '{at}', finished_at = '{at}' WHERE tenant = '{tenant}'"
        by_hand(self._server_database(), *([f"{change} AND id = {each}" for each in import_ids] or [change]))

    def have_import(self, tenant: str, import_id: int, state: str) -> None:
        by_hand(
            self._server_database(),
            "INSERT OR REPLACE INTO imports"
            " (tenant, id, state, dry_run, sequence, path, size, uploaded_at, started_at)"
            f" VALUES ('{tenant}', {import_id}, '{state}', 0, {import_id}, '/sync_users.csv', 1, '2026', '2026')",
        )

    def digests_written(self) -> str | None:
        content = _content(self.data / "digests")
        return None if content is None else content.decode().strip()

    def forget_digests(self) -> None:
        (self.data / "digests").unlink()

    def _server_database(self) -> Path:
        return self.data / "headcount.db"


def sizes_of(files: Iterable[Path]) -> list[int]:
    """Return the sizes of files, without those that a thread of the server removes meanwhile."""
    found = []
    for file in files:
        with suppress(FileNotFoundError):
            found.append(file.stat().st_size)
    return found


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=DEADLINE_S)
    try:
        yield db
    finally:
        db.close()
