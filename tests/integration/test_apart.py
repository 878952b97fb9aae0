"""Work that runs apart: in one thread, and ended before its caller continues."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from engine.sqlite.database import Inline, open_database, put_away, transaction
from importer import apart as apart_module
from importer.apart import apart
from tests.support.waiting import DEADLINE_S


async def test_work_apart_runs_all_its_steps_in_one_thread_of_its_own(tmp_path: Path) -> None:
    async def steps() -> set[int]:
        db = await open_database(tmp_path / "users.db", "tenant", make=True, through=Inline)
        try:
            await db.create_function("thread", 0, threading.get_ident)
            async with transaction(db), db.execute("SELECT thread()") as cursor:
                (stated,) = [row[0] for row in await cursor.fetchall()]
        finally:
            await db.close()
        return {stated, threading.get_ident(), await asyncio.to_thread(threading.get_ident)}

    threads = await apart(steps, "steps")
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_an_error_of_work_apart_is_raised_to_its_caller() -> None:
    async def refused() -> None:
        raise FileNotFoundError("users.db")

    with pytest.raises(FileNotFoundError, match=r"users\.db"):
        await apart(refused, "refused")


async def test_a_canceled_caller_continues_after_the_work_apart_has_ended(tmp_path: Path) -> None:
    """Even if its statements follow each other and no step of it waits."""
    begun, ended = threading.Event(), threading.Event()

    async def statements() -> None:
        db = await open_database(tmp_path / "users.db", "tenant", make=True, through=Inline)
        try:
            async with transaction(db):
                while True:
                    await db.execute("UPDATE meta SET revision = revision + 1")
                    begun.set()
        finally:
            await db.close()
            ended.set()

    caller = asyncio.create_task(apart(statements, "statements"))
    await asyncio.to_thread(begun.wait)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert ended.is_set()
    db = await open_database(tmp_path / "users.db", "tenant")
    try:
        assert [row[0] for row in await db.execute_fetchall("SELECT revision FROM meta")] == [1]
    finally:
        await db.close()


async def test_a_closed_connection_without_a_thread_refuses_statements(tmp_path: Path) -> None:
    db = await open_database(tmp_path / "users.db", "tenant", make=True, through=Inline)
    await db.close()
    await db.close()
    with pytest.raises(ValueError, match="no active connection"):
        await db.execute("SELECT 1")


async def test_remaining_work_is_done_after_the_caller_has_its_result() -> None:
    answered, done = threading.Event(), threading.Event()

    async def work() -> int:
        return 7

    def afterwards() -> None:
        answered.wait()
        done.set()

    assert await apart(work, "work", afterwards) == 7
    answered.set()
    assert await asyncio.to_thread(done.wait, DEADLINE_S)


async def test_a_connection_that_is_put_away_empties_the_log(tmp_path: Path) -> None:
    db = await open_database(tmp_path / "users.db", "tenant", make=True, through=Inline)
    assert isinstance(db, Inline)
    other = await open_database(tmp_path / "users.db", "tenant")
    try:
        await db.execute("PRAGMA wal_autocheckpoint=0")
        before = (tmp_path / "users.db").read_bytes()
        await db.execute("UPDATE meta SET revision = 77")
        assert (tmp_path / "users.db").read_bytes() == before
        connection = db.given_up()
        assert connection is not None
        await db.close()
        put_away(connection)
        assert (tmp_path / "users.db").read_bytes() != before
        assert [row[0] for row in await other.execute_fetchall("SELECT revision FROM meta")] == [77]
    finally:
        await other.close()


def held_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_long_work_apart_returns_its_freed_memory_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart_module, "LONG_S", 0.0)
    last: list[bytearray] = []

    async def take_much() -> int:
        some = [bytearray(100_000) for _ in range(1000)]
        last.append(bytearray(100_000))  # above what is freed, in a heap that so cannot shrink by itself
        return len(some)

    before = held_bytes()
    assert await apart(take_much, "taking") == 1000
    assert held_bytes() - before < 50_000_000


async def test_a_connection_that_is_given_up_frees_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is closed only after its data is moved into the file, which takes a while and needs no cache."""
    monkeypatch.setattr(apart_module, "LONG_S", 0.0)

    async def fill_the_cache() -> tuple[int, sqlite3.Connection | None]:
        db = await open_database(tmp_path / "users.db", "tenant", make=True, through=Inline)
        assert isinstance(db, Inline)
        await db.execute("PRAGMA cache_size=-65536")
        await db.execute("CREATE TABLE much (piece BLOB)")
        async with transaction(db):
            await db.executemany("INSERT INTO much VALUES (zeroblob(?))", [(3000,)] * 10_000)
        filled = held_bytes()
        return filled, db.given_up()

    filled, connection = await apart(fill_the_cache, "filling")
    assert connection is not None
    try:
        assert filled - held_bytes() > 30_000_000
    finally:
        connection.close()
