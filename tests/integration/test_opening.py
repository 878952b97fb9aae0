"""A database that could not be opened, or whose opening was canceled, leaves no thread at work."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from engine.sqlite.database import open_database
from importer.errors import DatabaseUnusable
from tests.support.waiting import wait_until

pytestmark = pytest.mark.only_on("sqlite", "it is about files of the engine")


def test_a_database_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    (tmp_path / "users.db").touch()
    with pytest.raises(DatabaseUnusable):
        asyncio.run(open_database(tmp_path / "users.db", "tenant"))
    wait_until(lambda: set(threading.enumerate()) <= before, what="the thread to end")


async def test_a_canceled_opening_has_ended_before_the_cancellation_goes_on(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    path = tmp_path / "users.db"
    await (await open_database(path, "tenant", make=True)).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE")
        other.execute("BEGIN EXCLUSIVE")
        opening = asyncio.create_task(open_database(path, "tenant"))
        await asyncio.sleep(0)
        opening.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not opening.done()
        other.execute("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await opening
    wait_until(lambda: set(threading.enumerate()) <= before, what="the thread to end")
