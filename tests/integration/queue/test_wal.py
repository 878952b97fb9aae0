"""The log of a database is written again after a flush of it that failed: the disk may have lost any part of it."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import aiosqlite
import pytest

from engine.sqlite import wal
from engine.sqlite.database import CHECKPOINT_AT, at_once, in_transaction
from engine.sqlite.server.ledger import Ledger
from importer.errors import TryAgain

pytestmark = pytest.mark.only_on("sqlite", "it is about the engine itself")

ADD = "INSERT INTO bans VALUES (?)"
ALL = "SELECT source FROM bans"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "db"


@pytest.fixture
def db(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(opened(file)) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE bans (source)")
        yield db


def opened(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None, check_same_thread=False)


def add(db: sqlite3.Connection, source: object, *, on_disk: bool = True) -> None:
    in_transaction(db, lambda inside: inside.execute(ADD, (source,)), on_disk=on_disk)


def not_flushed(*_: object) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    raise error


class Failing:
    """A connection of which a commit cannot be flushed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._fails = True

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement == "COMMIT" and self._fails:
            self._fails = False
            not_flushed()
        return self._db.execute(statement, *values)


class Disk:
    """A disk that loses what a flush of the log failed to write, unless it is written again."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file, self._log = file, file.with_name("db-wal")
        self.breaks = False
        self._flushed = self._log.read_bytes()
        self._real = os.pwrite
        monkeypatch.setattr(os, "pwrite", self._pwrite)

    def lose(self) -> None:
        """Lose what was written to the log since this disk was made."""
        self._on_disk = bytearray(self._flushed.ljust(self._log.stat().st_size, b"\0"))

    def _pwrite(self, fd: int, content: bytes, at: int) -> int:
        if self.breaks:
            raise OSError(errno.EIO, "it broke")
        self._on_disk[at : at + len(content)] = content
        return self._real(fd, content, at)

    def after_a_cut(self, folder: Path) -> list[object]:
        """Return the rows that a start finds after a power cut; what was written since the loss was flushed."""
        folder.mkdir()
        (folder / "db").write_bytes(self._file.read_bytes())
        (folder / "db-wal").write_bytes(bytes(self._on_disk) + self._log.read_bytes()[len(self._on_disk) :])
        with closing(opened(folder / "db")) as found:
            assert found.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            return [row[0] for row in found.execute(ALL)]


def test_a_loss_of_the_log_takes_no_later_transaction_though_a_reader_holds_the_log(
    file: Path, db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(db, "flushed")
    disk = Disk(file, monkeypatch)
    for number in range(50):
        add(db, f"{number}" * 500, on_disk=False)
    with closing(opened(file)) as reader:
        reader.execute("BEGIN")
        reader.execute(ALL).fetchall()
        disk.lose()
        wal.lose_log(file)
        add(db, "later")
        found = disk.after_a_cut(tmp_path / "cut")
    assert [found[0], len(found), found[-1]] == ["flushed", 52, "later"]
    assert not wal.log_is_lost()


def test_a_commit_that_could_not_be_flushed_loses_no_earlier_transaction(
    file: Path, db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(file, monkeypatch)
    add(db, "claimed", on_disk=False)
    disk.lose()
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        add(cast(sqlite3.Connection, Failing(db)), "failed")
    assert disk.after_a_cut(tmp_path / "cut") == ["claimed"]


def test_no_commit_succeeds_until_the_log_can_be_written_again(
    file: Path, db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(file, monkeypatch)
    add(db, "claimed", on_disk=False)
    disk.lose()
    disk.breaks = True
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        add(cast(sqlite3.Connection, Failing(db)), "failed")
    with closing(opened(file)) as other, pytest.raises(sqlite3.OperationalError, match="it broke"):
        add(other, "refused")
    disk.breaks = False
    with closing(opened(file)) as other:
        add(other, "later")
    assert disk.after_a_cut(tmp_path / "cut") == ["claimed", "later"]


async def test_a_transaction_of_steps_writes_a_lost_log_again(
    file: Path, db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aiosqlite.connect(file, isolation_level=None) as steps:
        ledger, disk = Ledger(steps, file), Disk(file, monkeypatch)
        await at_once(steps, lambda inside: inside.execute(ADD, ("claimed",)), on_disk=False)
        disk.lose()
        disk.breaks = True
        with monkeypatch.context() as patched:
            patched.setattr(steps, "commit", not_flushed)
            with pytest.raises(TryAgain, match="the disk could not be read or written"):
                async with ledger.transaction():
                    await ledger.rows(ADD, "failed")
        with pytest.raises(TryAgain, match="the disk could not be read or written"):
            async with ledger.transaction():
                await ledger.rows(ADD, "refused")
        disk.breaks = False
        async with ledger.transaction():
            await ledger.rows(ADD, "later")
        assert disk.after_a_cut(tmp_path / "cut") == ["claimed", "later"]


def test_a_transaction_that_does_not_wait_for_the_disk_moves_no_log(file: Path, db: sqlite3.Connection) -> None:
    """The flush before such a move may fail, and SQLite does not tell that; the next flush succeeds."""
    before, page = file.stat().st_size, 4096
    add(db, bytes(page * (CHECKPOINT_AT + 100)), on_disk=False)
    assert file.stat().st_size == before
    add(db, b"")
    assert file.stat().st_size > page * CHECKPOINT_AT


@pytest.mark.parametrize("breaks", [False, True])
def test_a_start_writes_the_log_of_a_killed_process_again(
    file: Path, db: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, breaks: bool
) -> None:
    """That may have died after a flush that failed."""
    add(db, "flushed")
    disk = Disk(file, monkeypatch)
    add(db, "claimed", on_disk=False)
    disk.lose()
    with closing(opened(file)) as starting:
        disk.breaks = breaks
        wal.mend_log_at_start(starting, file)
        disk.breaks = False
        add(starting, "later")
        assert disk.after_a_cut(tmp_path / "cut") == ["flushed", "claimed", "later"]
