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


async def test_a_change_at_once_is_whole_or_not_made(tmp_path: Path) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO bans VALUES ('2')")
        raise LookupError("the other half")

    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        await db.execute("CREATE TABLE bans (source)")
        ledger = Ledger(db)
        assert await ledger.at_once(lambda db: db.execute("INSERT INTO bans VALUES ('1')").rowcount) == 1
        with pytest.raises(LookupError):
            await ledger.at_once(half)
        assert [row[0] for row in await ledger.read("SELECT source FROM bans")] == ["1"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_change_that_need_not_be_on_disk_is_an_exception(tmp_path: Path, fails: bool) -> None:
    """What follows it is on disk again."""

    def work(db: sqlite3.Connection) -> int:
        if fails:
            raise LookupError("nothing")
        return int(db.execute("PRAGMA synchronous").fetchone()[0])

    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        await db.execute("PRAGMA synchronous=FULL")
        if fails:
            with pytest.raises(LookupError):
                await Ledger(db).at_once(work, on_disk=False)
        else:
            assert await Ledger(db).at_once(work, on_disk=False) == 1
        assert [row[0] for row in await db.execute_fetchall("PRAGMA synchronous")] == [2]


async def test_a_change_at_once_of_a_busy_database_is_to_be_tried_again(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
        other.execute("CREATE TABLE bans (source)")
        async with aiosqlite.connect(tmp_path / "db", timeout=0, isolation_level=None) as db:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(TryAgain) as refused:
                await Ledger(db).at_once(lambda db: db.execute("DELETE FROM bans"))
    assert refused.value.code == "database_busy"
