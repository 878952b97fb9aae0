"""Run imports on real files and a real users.db, without a server."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiosqlite

from engine.sqlite.database import migrations, open_database
from engine.sqlite.tenant.users import SqliteUsers
from importer.file.sidebyside import Pieces
from importer.folder import TenantFolder
from importer.model import Outcome, Written
from importer.reconcile.job import Job
from importer.reconcile.run import BATCH_ROWS, BESIDE_BYTES, run_import
from importer.requests import Approval, DryRunRequest
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.undo.undo import UndoJob, undo_import
from importer.users.users import Users
from importer.worker.attempt import tried
from tests.support.waiting import eventually
from tests.support.writing import being_written, by_hand

HEADER = ("first_name", "last_name", "email")


def sheet(*rows: Sequence[str], header: Sequence[str] = HEADER) -> bytes:
    """Return a file of these rows, as a careful exporter writes it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def people(*names: str, **columns: str) -> bytes:
    """Return a file of users by first name, with `name@example.com` each and the same further columns for all."""
    rows = [(name.title(), "Smith", f"{name}@example.com", *columns.values()) for name in names]
    return sheet(*rows, header=(*HEADER, *columns))


def crowd(size: int, *, without: int = 0) -> bytes:
    """Return a file of `size` users, p0 and so on, without the last of them."""
    return people(*(f"p{number}" for number in range(size - without)))


@contextmanager
def passing_folder() -> Iterator[str]:
    """Yield a folder for one example of a property, in memory if possible: a disk would take most of the time.

    The databases that belong to it are dropped at the end: a property has hundreds of examples.
    """
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        try:
            yield folder
        finally:
            if databases := sys.modules.get("tests.support.postgres"):
                databases.drop_databases(Path(folder))


def make_users(database: Path) -> None:
    """Create an empty users.db, as `tenant add` does. An existing one stays."""
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    scripts = migrations("tenant")
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        for script in scripts:
            db.executescript(script)
        db.execute(f"PRAGMA user_version={len(scripts)}")


SMALL = Pieces(head_bytes=1, block_bytes=200)
"""Sizes with which small files, too, are read side by side with the previous one."""


class Company:
    """One tenant's users, as the engine has them in `kept`, and the imports that ran on them, numbered from 1."""

    def __init__(
        self,
        folder: Path,
        batch_rows: int = BATCH_ROWS,
        pieces: Pieces | None = SMALL,
        beside_bytes: int = BESIDE_BYTES,
    ) -> None:
        self.folder = folder
        self.batch_rows = batch_rows
        self.pieces = pieces
        self.beside_bytes = beside_bytes
        self.database = folder / "users.db"
        self.messages = folder / "messages"
        self.imports = 0
        self.undos = 0
        self._identifier: str | None = None
        self.kept = self._users()

    def _users(self) -> Users:
        make_users(self.database)
        return SqliteUsers(TenantFolder(self.folder))

    async def run(
        self,
        content: bytes,
        *,
        dry_run: bool = False,
        written: Written | None = None,
        approval: Approval | None = None,
        trial: DryRunRequest | None = None,
        now: datetime | None = None,
        stopping: Callable[[], bool] = lambda: False,
        **settings: Any,
    ) -> Outcome:
        """Import `content` with these settings and defaults for the others, at `now` or after the previous import.

        `trial` has the settings to test: they apply to this import only.
        """
        wanted = ImportSettings(**settings)
        self.imports += 1
        await self._set_identifier(settings.get("identifier"))
        file = self.folder / f"{self.imports}.csv"
        file.write_bytes(content)
        at = now or datetime(2026, 1, 1, tzinfo=UTC).replace(microsecond=self.imports * 1000)
        job = Job("acme", self.imports, file, "sync_users.csv", dry_run, written, approval, at, copy_of=self.copy_of)
        return await run_import(
            replace(job, trial=trial),
            self.kept,
            tried(wanted, trial) if trial else wanted,
            self.messages,
            stopping=stopping,
            batch_rows=self.batch_rows,
            pieces=self.pieces,
            beside_bytes=self.beside_bytes,
        )

    async def copied(self, folder: Path) -> Company:
        """Return a copy of it in `folder`."""
        await eventually(lambda: not (self.folder / "users.db-wal").exists(), what="the log to be put away")
        return self._like_it(folder)

    def _like_it(self, folder: Path) -> Company:
        shutil.copytree(self.folder, folder)
        copy = type(self)(folder, self.batch_rows, self.pieces, self.beside_bytes)
        copy.imports, copy.undos, copy._identifier = self.imports, self.undos, self._identifier
        return copy

    def copy(self, number: int) -> Path:
        """Return the file of the import of this number."""
        return self.folder / f"{number}.csv"

    async def copy_of(self, number: int) -> Path:
        return self.copy(number)

    async def _set_identifier(self, identifier: str | None) -> None:
        """Store the identifier, as the settings do."""
        if identifier != self._identifier:
            self._identifier = identifier
            await self._store_identifier(identifier)

    async def _store_identifier(self, identifier: str | None) -> None:
        db = await open_database(self.database, "tenant")
        try:
            await db.execute("DELETE FROM settings WHERE key = 'identifier'")
            if identifier:
                await db.execute("INSERT INTO settings VALUES ('identifier', ?)", (json.dumps(identifier),))
        finally:
            await db.close()

    async def undo(
        self, import_id: int | None = None, *, stopping: Callable[[], bool] = lambda: False, **settings: Any
    ) -> Outcome:
        """Undo an import, by default the newest."""
        identity = identity_of(ImportSettings(**settings))
        await self._set_identifier(settings.get("identifier"))
        self.undos += 1
        now = datetime(2026, 2, 1, tzinfo=UTC).replace(microsecond=self.undos * 1000)
        job = UndoJob("acme", import_id or self.imports, "operator", identity, now)
        return await undo_import(job, self.kept, self.messages, stopping=stopping)

    async def users(self) -> dict[str, dict[str, Any]]:
        """Return all users by address."""
        async with self.kept.directory() as directory:
            return {user["email"]: user async for page in directory.all_users() for user in page}

    async def sql(self, statement: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Sequence[Any]]:
        """Run `statement`, commit, and return its rows."""
        async with aiosqlite.connect(self.database) as db:
            rows = await db.execute_fetchall(statement, values)
            await db.commit()
            return [tuple(row) for row in rows]

    async def read(self, queries: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of queries, by their names. They name no tenant."""
        async with aiosqlite.connect(self.database) as db:
            db.row_factory = aiosqlite.Row
            return {name: list(map(dict, await db.execute_fetchall(query))) for name, query in queries.items()}

    def by_hand(self, *statements: str) -> None:
        """Run statements as another program does, in any thread."""
        by_hand(self.database, *statements)

    @contextmanager
    def without(self, table: str) -> Iterator[None]:
        """Take a table away in the block: its readers and writers fail."""
        self.by_hand(f"ALTER TABLE {table} RENAME TO away")
        try:
            yield
        finally:
            self.by_hand(f"ALTER TABLE away RENAME TO {table}")

    def writing(self) -> AbstractContextManager[None]:
        """Write to the users without an end, as a long import does, and change nothing at the end."""
        return being_written(self.database)

    def touched(self) -> list[dict[str, Any]]:
        """Return the users that the newest import changed, or would have changed."""
        path = self.messages / f"{self.imports}.touched.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    def errors_csv(self) -> bytes:
        """Return the errors.csv of the newest import."""
        return (self.messages / f"{self.imports}.errors.csv").read_bytes()


def codes(outcome: Outcome) -> list[str]:
    """Return the codes of the messages of an import, in their order."""
    return [problem.code for problem in outcome.messages]
