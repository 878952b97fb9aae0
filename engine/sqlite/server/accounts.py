"""headcount.db as logins read it: through a connection without a thread."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from engine.sqlite.faults import translated
from engine.sqlite.server.listing import COPIES_NEEDED
from engine.sqlite.server.runs import COPIES_NEEDED as RUN_COPIES_NEEDED
from importer.errors import DatabaseUnusable

BUSY_TIMEOUT_S = 0.2


class SqliteAccountStore:
    """An `engine.accounts.AccountStore` of the existing headcount.db in `file`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        where = f"{file.absolute().as_uri()}?mode=ro"
        try:
            self._db = sqlite3.connect(where, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)
        except sqlite3.DatabaseError as error:
            raise translated(error, file) from error

    def has(self, tenant: str) -> bool:
        return bool(self._rows("SELECT 1 FROM tenants WHERE name = ?", tenant))

    def copies_needed(self, tenant: str) -> list[int]:
        return [row[1] for row in self._rows(COPIES_NEEDED, tenant)]

    def run_copies_needed(self, tenant: str) -> list[int]:
        return [row[0] for row in self._rows(RUN_COPIES_NEEDED, tenant)]

    def close(self) -> None:
        self._db.close()

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.ProgrammingError as error:
            raise DatabaseUnusable(f"{self._file} is closed") from error
        except sqlite3.DatabaseError as error:
            raise translated(error, self._file) from error
