"""The tables of headcount.db and of each users.db, to be read and filled as a whole.

Everything blocks: no server runs in this process.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from engine.moving.stored import AT_ONCE, Batches, RowsOf
from engine.moving.tables import (
    CHANGES,
    IMPORTS,
    LINKS,
    OF_ALL,
    OF_TENANT,
    SESSIONS,
    TOKENS,
    Counters,
    Kind,
    Numbering,
    Owner,
    Row,
    Table,
    canonical,
    check_row,
    converting,
    messages_of,
    value_as_json,
    with_messages,
    without_messages,
)
from engine.sqlite.faults import translated
from engine.tenants import Tenant
from importer.errors import DatabaseUnusable

AT_WORK = "state IN ('arriving', 'running')"
UNFINISHED = (f"imports WHERE {AT_WORK}", f"runs WHERE {AT_WORK}", "landed_files")
EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM tenants) AND NOT EXISTS (SELECT 1 FROM tokens)"
TENANTS = "SELECT name, created_at, last_import_id, last_run_id FROM tenants ORDER BY name"
NUMBERING = (
    "SELECT revision, began, gone, max(gone, began, base + (SELECT coalesce(max(id), 0) FROM changes)) FROM meta"
)
NEWEST_OF = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"


class SqliteTables:
    """An `engine.moving.stored.StoredTables`: headcount.db is `server`, and `users_db` returns that of a tenant.

    All have the schema of this version.
    """

    def __init__(self, server: Path, users_db: Callable[[str], Path]) -> None:
        self._server = server
        self._users_db = users_db
        self._open: dict[Path, sqlite3.Connection] = {}

    def close(self) -> None:
        """Close what is open for reading."""
        for db in self._open.values():
            db.close()
        self._open.clear()

    async def rows(self, table: Table, tenant: str | None) -> Batches:
        file = self._server
        if table.owner is Owner.USERS:
            assert tenant is not None
            file = self._users_db(tenant)
        convert = converting(table, _OUT.get)
        values = (tenant,) if table.owner in (Owner.TENANT, Owner.SIGN_IN) else ()
        with self._reading(file) as db:
            found = db.execute(_select(table), values)
            while batch := found.fetchmany(AT_ONCE):
                yield [convert(row) for row in batch]

    async def tenants(self) -> list[Tenant]:
        with self._reading(self._server) as db:
            return [Tenant(*row) for row in db.execute(TENANTS)]

    async def is_whole(self, tenant: str) -> bool:
        """Return whether all of a tenant is here."""
        with self._reading(self._server) as db:
            return db.execute("SELECT 1 FROM tenants WHERE name = ?", (tenant,)).fetchone() is not None

    async def numbering(self, tenant: str) -> Numbering:
        with self._reading(self._users_db(tenant)) as db:
            return Numbering(*db.execute(NUMBERING).fetchone())

    async def counters(self) -> Counters:
        with self._reading(self._server) as db:
            return Counters(*(db.execute(NEWEST_OF, (name,)).fetchone()[0] for name in ("tokens", "moves")))

    async def unfinished(self) -> int:
        with self._reading(self._server) as db:
            return sum(db.execute(f"SELECT count(*) FROM {which}").fetchone()[0] for which in UNFINISHED)  # noqa: S608

    async def is_empty(self) -> bool:
        with self._reading(self._server) as db:
            return bool(db.execute(EMPTY).fetchone()[0])

    async def end_sign_ins(self) -> None:
        with writing(self._server) as db:
            for table in (LINKS, SESSIONS):
                db.execute(f"DELETE FROM {table.name}")  # noqa: S608 - constants

    async def fill(self, rows: RowsOf, counters: Counters) -> None:
        with writing(self._server) as db:
            for table in reversed(OF_ALL):
                which = " WHERE tenant IS NULL" if table is TOKENS else ""
                if table.owner is not Owner.SIGN_IN:  # these go with their tokens
                    db.execute(f"DELETE FROM {table.name}{which}")  # noqa: S608 - constants
            for table in OF_ALL:
                await _insert(db, table, None, rows(table))
            for name, newest in (("tokens", counters.token), ("moves", counters.move)):
                _count_from(db, name, newest)

    async def fill_tenant(self, tenant: Tenant, rows: RowsOf) -> None:
        """Add the rows of a tenant in headcount.db: all of them or none. Its row says that all of it is here."""
        with writing(self._server) as db:
            db.execute(
                "INSERT INTO tenants (name, created_at, last_import_id, last_run_id) VALUES (?, ?, ?, ?)",
                (tenant.name, tenant.created_at, tenant.last_import_id, tenant.last_run_id),
            )
            for table in OF_TENANT:
                if table.owner is not Owner.USERS:
                    await _insert(db, table, tenant.name, rows(table))

    @contextmanager
    def _reading(self, file: Path) -> Iterator[sqlite3.Connection]:
        """Yield a connection for reading. Those to headcount.db and to the newest other file stay open."""
        if file not in self._open:
            for other in self._open.keys() - {self._server}:
                self._open.pop(other).close()
            with translating(file):
                self._open[file] = _connect(file, "ro")
        with translating(file):
            yield self._open[file]


async def fill_users(file: Path, tenant: str, rows: RowsOf, numbering: Numbering) -> None:
    """Fill a new users.db, as it was made. All of it is in its own file then; the caller brings it to the disk.

    Raises DatabaseUnusable if a row refers to one that does not exist: PostgreSQL lets that be written by hand.
    """
    with writing(file, on_disk=False) as db:
        db.execute("PRAGMA defer_foreign_keys = ON")
        triggers = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            db.execute(f"DROP TRIGGER {name}")
        for table in OF_TENANT:
            if table is CHANGES:
                await _insert(db, table, None, _as_ids(rows(table), numbering.began))
            elif table.owner is Owner.USERS:
                await _insert(db, table, None, rows(table))
        _refuse_dangling(db, tenant)
        (highest,) = db.execute("SELECT max(id) FROM changes").fetchone()
        base = numbering.base(None if highest is None else highest + numbering.began)
        db.execute(
            "UPDATE meta SET revision = ?, began = ?, base = ?, gone = ?",
            (numbering.revision, numbering.began, base, numbering.gone),
        )
        db.execute("DELETE FROM search_log")
        db.execute("INSERT INTO search_log (user_id) VALUES (NULL)")
        for _, sql in triggers:
            db.execute(sql)


def _refuse_dangling(db: sqlite3.Connection, tenant: str) -> None:
    """Raise DatabaseUnusable if a row refers to one that does not exist, with the statement that corrects it."""
    found = db.execute("PRAGMA foreign_key_check").fetchone()
    if found is None:
        return
    table, row, parent, number = found
    column = next(each[3] for each in db.execute(f"PRAGMA foreign_key_list({table})") if each[0] == number)
    where = f"tenant_id = (SELECT id FROM tenants WHERE name = '{tenant}')"  # noqa: S608 - it is shown
    if table == "users":
        do = f"UPDATE users SET {column} = NULL WHERE {where} AND id = {row}"  # noqa: S608 - it is shown
    else:
        do = f"DELETE FROM {table} WHERE {where} AND {column} = {row}"  # noqa: S608 - it is shown
    raise DatabaseUnusable(
        f"in the table {table} of {tenant}, {column} of the row {row} refers to a row of {parent} that does not "
        f"exist. Run this in the database, then the same command again: {do}"
    )


@contextmanager
def translating(file: Path) -> Iterator[None]:
    """Raise errors of the database in `file` as TryAgain, DatabaseUnusable or DatabaseFault."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise translated(error, file) from error


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)


@contextmanager
def writing(file: Path, *, on_disk: bool = True) -> Iterator[sqlite3.Connection]:
    """Open a database, and run the block as one transaction. Foreign keys are checked.

    Without `on_disk`, the caller brings it to the disk.
    """
    with translating(file), closing(_connect(file, "rw")) as db:
        db.execute(f"PRAGMA synchronous = {'FULL' if on_disk else 'OFF'}")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN IMMEDIATE")
        yield db
        db.execute("COMMIT")
        if not on_disk:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _select(table: Table) -> str:
    of = {
        Owner.TENANT: " WHERE tenant IS ?",
        Owner.SIGN_IN: " WHERE token_id IN (SELECT id FROM tokens WHERE tenant IS ?)",
    }.get(table.owner, "")
    columns = ", ".join(_expression(table, name) for name in table.names)
    return f"SELECT {columns} FROM {table.name}{of} ORDER BY {', '.join(table.key)}"  # noqa: S608 - constants


def _expression(table: Table, name: str) -> str:
    if table is CHANGES and name == "id":
        return "id + (SELECT base FROM meta)"
    if table is IMPORTS and name == "messages":
        return "outcome"
    return name


async def _insert(db: sqlite3.Connection, table: Table, tenant: str | None, batches: Batches) -> None:
    convert, extra = converting(table, _IN.get), (("tenant", tenant),) if table.owner is Owner.TENANT else ()
    more = [("one", 1)] if table.name == "before" else []
    names, values = [*dict(extra), *dict(more)], [*dict(extra).values(), *dict(more).values()]
    kept = [column.name for column in table.columns if column.kind is not Kind.MESSAGES]
    columns = ", ".join((*names, *kept))
    marks = ", ".join("?" for _ in range(len(names) + len(kept)))
    statement = f"INSERT INTO {table.name} ({columns}) VALUES ({marks})"  # noqa: S608 - constants
    async for batch in batches:
        for row in batch:
            check_row(table, row)
        rows = _joined(table, batch) if table is IMPORTS else batch
        db.executemany(statement, [(*values, *convert_row) for convert_row in map(convert, rows)])


def _joined(table: Table, batch: Sequence[Row]) -> list[Row]:
    """Return rows of imports with the messages in the outcome."""
    outcome, messages = table.names.index("outcome"), table.names.index("messages")
    joined = []
    for row in batch:
        values = list(row)
        values[outcome] = with_messages(row[outcome], row[messages])
        del values[messages]
        joined.append(tuple(values))
    return joined


async def _as_ids(batches: Batches, began: int) -> Batches:
    """Yield changes with the ids of SQLite in place of their numbers."""
    async for batch in batches:
        yield [(row[0] - began, *row[1:]) for row in batch]


def _count_from(db: sqlite3.Connection, table: str, newest: int) -> None:
    (known,) = db.execute(NEWEST_OF, (table,)).fetchone()
    db.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
    db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, max(known, newest)))


def _flag_out(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _flag_in(value: Any) -> int | None:
    return None if value is None else int(value)


def _ids(value: bytes) -> bytes:
    """Return numbers of 32 bits with the lowest byte first; or those with it as this machine writes them."""
    if sys.byteorder == "little":
        return bytes(value)
    numbers = array("i", value)
    numbers.byteswap()
    return numbers.tobytes()


_OUT: dict[Kind, Callable[[Any], Any]] = {
    Kind.FLAG: _flag_out,
    Kind.FREE_JSON: lambda text: None if text is None else canonical(text),
    Kind.VALUE: value_as_json,
    Kind.IDS: _ids,
    Kind.OUTCOME: without_messages,
    Kind.MESSAGES: messages_of,
}
_IN: dict[Kind, Callable[[Any], Any]] = {
    Kind.FLAG: _flag_in,
    Kind.VALUE: lambda text: None if text is None else json.loads(text),
    Kind.IDS: _ids,
}
