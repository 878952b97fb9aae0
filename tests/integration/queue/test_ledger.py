"""Transactions of headcount.db in one step, and the errors of readers while it cannot be read."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import aiosqlite
import pytest

from engine.sqlite.server.accounts import SqliteAccountStore
from engine.sqlite.server.ledger import Ledger
from importer.errors import DatabaseUnusable, TryAgain

pytestmark = pytest.mark.only_on("sqlite", "it is about the engine itself")


async def test_a_busy_database_raises_tryagain_for_readers(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
        other.execute("CREATE TABLE bans (source)")
        async with aiosqlite.connect(tmp_path / "db", timeout=0) as db:
            ledger = Ledger(db, tmp_path / "db")
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(TryAgain) as refused:
                await ledger.read("SELECT * FROM bans")
            other.execute("ROLLBACK")
            assert await ledger.read("SELECT * FROM bans") == []
    assert refused.value.code == "database_busy"


async def in_a_transaction(ledger: Ledger) -> None:
    async with ledger.transaction():
        pass


@pytest.mark.parametrize(
    "use",
    [
        lambda ledger: ledger.read("SELECT 1 FROM bans"),
        lambda ledger: ledger.rows("SELECT 1 FROM bans"),
        lambda ledger: ledger.change("DELETE FROM bans"),
        in_a_transaction,
    ],
    ids=["read", "rows", "change", "transaction"],
)
async def test_a_damaged_database_is_reported_in_words_for_every_kind_of_use(
    tmp_path: Path, use: Callable[[Ledger], Awaitable[object]]
) -> None:
    (tmp_path / "db").write_bytes(b"no database" * 1000)
    async with aiosqlite.connect(tmp_path / "db") as db:
        with pytest.raises(DatabaseUnusable, match="is damaged"):
            await use(Ledger(db, tmp_path / "db"))


def test_a_login_gets_a_damaged_database_reported_in_words(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"no database" * 1000)
    accounts = SqliteAccountStore(tmp_path / "db")
    with pytest.raises(DatabaseUnusable, match="is damaged"):
        accounts.has("acme")
    accounts.close()


async def test_a_change_at_once_is_made_completely_or_not_at_all(tmp_path: Path) -> None:
    def half(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO bans VALUES ('2')")
        raise LookupError("the other half")

    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        await db.execute("CREATE TABLE bans (source)")
        ledger = Ledger(db, tmp_path / "db")
        assert await ledger.at_once(lambda db: db.execute("INSERT INTO bans VALUES ('1')").rowcount) == 1
        with pytest.raises(LookupError):
            await ledger.at_once(half)
        assert [row[0] for row in await ledger.read("SELECT source FROM bans")] == ["1"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_change_without_a_flush_leaves_the_next_ones_flushed(tmp_path: Path, fails: bool) -> None:
    """The changes after it are flushed to disk again."""

    def work(db: sqlite3.Connection) -> int:
        if fails:
            raise LookupError("nothing")
        return int(db.execute("PRAGMA synchronous").fetchone()[0])

    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        await db.execute("PRAGMA synchronous=FULL")
        if fails:
            with pytest.raises(LookupError):
                await Ledger(db, tmp_path / "db").at_once(work, on_disk=False)
        else:
            assert await Ledger(db, tmp_path / "db").at_once(work, on_disk=False) == 1
        assert [row[0] for row in await db.execute_fetchall("PRAGMA synchronous")] == [2]


async def test_a_change_at_once_of_a_busy_database_raises_tryagain(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db", isolation_level=None)) as other:
        other.execute("CREATE TABLE bans (source)")
        async with aiosqlite.connect(tmp_path / "db", timeout=0, isolation_level=None) as db:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(TryAgain) as refused:
                await Ledger(db, tmp_path / "db").at_once(lambda db: db.execute("DELETE FROM bans"))
    assert refused.value.code == "database_busy"


async def test_a_transaction_at_once_is_one_step_of_the_event_loop(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        ledger = Ledger(db, tmp_path / "db")
        await ledger.change("CREATE TABLE bans (source)")
        asked = aiosqlite_steps(db)

        def fill(inside: sqlite3.Connection) -> int:
            for source in ("a", "b"):
                inside.execute("INSERT INTO bans VALUES (?)", (source,))
            return int(inside.execute("SELECT count(*) FROM bans").fetchone()[0])

        assert (await ledger.at_once(fill), len(asked)) == (2, 1)
        assert [tuple(row) for row in await ledger.read("SELECT source FROM bans")] == [("a",), ("b",)]


async def test_a_transaction_at_once_that_raises_changes_nothing(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        ledger = Ledger(db, tmp_path / "db")
        await ledger.change("CREATE TABLE bans (source)")

        def fail(inside: sqlite3.Connection) -> None:
            inside.execute("INSERT INTO bans VALUES ('a')")
            raise LookupError

        with pytest.raises(LookupError):
            await ledger.at_once(fail)
        assert await ledger.read("SELECT * FROM bans") == []


async def test_a_canceled_transaction_at_once_has_ended_before_the_cancellation_goes_on(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        ledger = Ledger(db, tmp_path / "db")
        await ledger.change("CREATE TABLE bans (source)")

        def slow(inside: sqlite3.Connection) -> None:
            begun.set()
            go_on.wait()
            inside.execute("INSERT INTO bans VALUES ('a')")

        writing = asyncio.create_task(ledger.at_once(slow))
        await asyncio.to_thread(begun.wait)
        writing.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await writing
        assert not db.in_transaction
        assert len(await ledger.read("SELECT * FROM bans")) == 1


def aiosqlite_steps(db: aiosqlite.Connection) -> list[object]:
    """Count the calls that `db` gets in its thread from now on."""
    asked: list[object] = []
    inside = cast(Any, db)
    given = inside._tx

    class Counted:
        def put_nowait(self, work: object) -> None:
            asked.append(work)
            given.put_nowait(work)

    inside._tx = Counted()
    return asked


async def test_a_closed_database_refuses_a_transaction_without_a_wait(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        ledger = Ledger(db, tmp_path / "db")
    with pytest.raises(ValueError, match="losed"):
        await ledger.change("CREATE TABLE bans (source)")


async def test_a_change_at_once_does_not_wait_for_the_loop_to_process_others(tmp_path: Path) -> None:
    go_on = threading.Event()
    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        ledger = Ledger(db, tmp_path / "db")
        asked = aiosqlite_steps(db)
        slow = asyncio.create_task(ledger.at_once(lambda _: go_on.wait()))
        others = (ledger.change("CREATE TABLE bans (source)"), ledger.read("SELECT 1"))
        tasks = [slow, *map(asyncio.create_task, others)]
        await asyncio.sleep(0)
        handed_over = len(asked)
        go_on.set()
        await asyncio.gather(*tasks)
    assert handed_over == 3


async def test_a_change_at_once_waits_for_the_end_of_a_transaction_of_several_steps(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "db", isolation_level=None) as db:
        ledger = Ledger(db, tmp_path / "db")
        await ledger.change("CREATE TABLE bans (source)")
        async with ledger.transaction():
            waiting = asyncio.create_task(ledger.change("INSERT INTO bans VALUES ('after')"))
            await ledger.rows("INSERT INTO bans VALUES ('before')")
            assert not waiting.done()
        assert await waiting
        assert [row[0] for row in await ledger.read("SELECT source FROM bans")] == ["before", "after"]
