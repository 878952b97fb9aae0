"""What rounds and metrics need of a users.db, read in one go."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from engine.sqlite.database import check_version
from engine.sqlite.faults import told
from engine.sqlite.tenant.settings import SELECT
from importer.users.users import Stock

COUNTS = """
    SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM users WHERE state = 'deactivated'),
        EXISTS (SELECT 1 FROM invitations WHERE state = 'waiting'),
        (SELECT coalesce(max(seq), 0) FROM search_log) - (SELECT coalesce(min(seq), 0) FROM search_log)"""


def take_stock(database: Path, timeout_s: float) -> Stock:
    """The stock in the users.db at `database`, which has the schema of now; blocks."""
    where = f"{database.absolute().as_uri()}?mode=ro"
    with told(), closing(sqlite3.connect(where, uri=True, timeout=timeout_s)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        check_version(database, "tenant", version)
        total, gone, inviting, logged = db.execute(COUNTS).fetchone()
        return Stock(total - gone, gone, bool(inviting), logged, dict(db.execute(SELECT)))
