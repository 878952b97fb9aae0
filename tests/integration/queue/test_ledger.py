"""What a reader of headcount.db is told while it cannot be read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import aiosqlite
import pytest

from importer.errors import TryAgain
from importer.queue.ledger import Ledger


async def test_a_database_that_cannot_be_read_now_is_to_be_read_again(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
        other.execute("CREATE TABLE bans (source)")
        async with aiosqlite.connect(tmp_path / "db", timeout=0) as db:
            ledger = Ledger(db)
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(TryAgain) as refused:
                await ledger.read("SELECT * FROM bans")
            other.execute("ROLLBACK")
            assert await ledger.read("SELECT * FROM bans") == []
    assert refused.value.code == "database_busy"
