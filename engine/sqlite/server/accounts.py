"""headcount.db as logins read it: through a connection without a thread."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from engine.sqlite.server.ledger import told
from engine.sqlite.server.listing import COPIES_NEEDED

BUSY_TIMEOUT_S = 0.2


class SqliteAccountStore:
    """An `engine.accounts.AccountStore` of the headcount.db in `file`, which is there already."""

    def __init__(self, file: Path) -> None:
        self._file = file
        where = f"{file.absolute().as_uri()}?mode=ro"
        with told(file):
            self._db = sqlite3.connect(where, uri=True, isolation_level=None, timeout=BUSY_TIMEOUT_S)

    def has(self, tenant: str) -> bool:
        with told(self._file):
            return self._db.execute("SELECT 1 FROM tenants WHERE name = ?", (tenant,)).fetchone() is not None

    def copies_needed(self, tenant: str) -> list[int]:
        with told(self._file):
            return [row[1] for row in self._db.execute(COPIES_NEEDED, (tenant,))]

    def close(self) -> None:
        self._db.close()
