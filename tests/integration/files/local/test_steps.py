"""The steps of one file in the store: its row with its bytes, its names, and what becomes of both if one fails."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine.landing import Landing
from engine.sqlite.database import in_transaction
from engine.sqlite.server import keeping
from engine.sqlite.server import landing as landing_steps
from engine.sqlite.store import store_file
from ground.moments import utc_now
from importer.errors import Refused, TryAgain
from tests.support.accepting import NEW, AcceptingHouse, accepting_house

pytestmark = pytest.mark.only_on("sqlite", "the files of the engine are in a folder")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[AcceptingHouse]:
    async with accepting_house(tmp_path, "/invoices/*") as scene:
        yield scene


class Noting:
    """A placing that notes its calls, and the rows that another process sees then."""

    def __init__(self, scene: AcceptingHouse) -> None:
        self._scene = scene
        self.failures: dict[str, Exception] = {}
        self.calls: list[tuple[str, object]] = []

    def content(self) -> tuple[bytes, int]:
        return NEW, 7

    def copy(self, path: Path) -> None:
        self._note(path.name)
        (flushed,) = self._scene.store._ledger.db._conn.execute("PRAGMA synchronous").fetchone()
        assert flushed == 2, "the commit does not wait for the disk"

    def show(self) -> None:
        self._note("show")

    def begin_keep(self) -> None: ...

    def keep(self, folders: set[tuple[int, int]]) -> None:
        self._note("keep")

    def undo(self) -> None:
        self._note("undo")

    def _note(self, name: str) -> None:
        self.calls.append((name, self._scene.seen()))
        if name in self.failures:
            raise self.failures.pop(name)


def landing(scene: AcceptingHouse, placing: Noting, tenant: str = "acme") -> Landing:
    facts = ("invoices", "/invoices/march.csv", 5, utc_now())
    return Landing(tenant, *facts, placing, scene.house.folder.run_copy)


async def test_the_file_is_shown_after_its_row_and_kept_after_that(scene: AcceptingHouse) -> None:
    placing = Noting(scene)
    made = await scene.store.land(landing(scene, placing))
    assert made.run_id == 1
    await made.stored()
    assert placing.calls == [("1.file", []), ("show", [(1, "queued")]), ("keep", [(1, "queued")])]
    assert (made.stored.done, scene.store.changed.is_set(), scene.landed_files()) == (True, True, [])


@pytest.mark.parametrize("undone", [True, False])
async def test_a_start_does_not_find_a_file_whose_commit_could_not_be_flushed(
    scene: AcceptingHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, undone: bool
) -> None:
    """Only the flush fails: the log has the whole transaction behind its end."""
    store = store_file(scene.house.folder.root.parent.parent)
    log = store.with_name(f"{store.name}-wal")

    def not_flushed(db: sqlite3.Connection, work: Callable[[sqlite3.Connection], int]) -> int:
        monkeypatch.undo()
        length = log.stat().st_size
        with copied(store, tmp_path / "made") as other:
            in_transaction(other, work)
            written = (tmp_path / "made" / log.name).read_bytes()[length:]
        with log.open("r+b") as file:
            file.seek(length)
            file.write(written)
        with copied(store, tmp_path / "cut") as other:
            assert other.execute("SELECT count(*) FROM landed_files").fetchall()[0][0] == 1, "this is the danger"
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    placing = Noting(scene)
    if not undone:
        placing.failures["undo"] = OSError(errno.EIO, "the disk could not be read or written")
    monkeypatch.setattr(landing_steps, "in_transaction", not_flushed)
    with pytest.raises((TryAgain, OSError), match="the disk could not be read or written"):
        await scene.store.land(landing(scene, placing))
    with copied(store, tmp_path / "after") as other:
        for table in ("landed_files", "runs"):
            assert other.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] == 0


@contextmanager
def copied(store: Path, folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the database as a start would find it now."""
    folder.mkdir()
    for file in (store, store.with_name(f"{store.name}-wal")):
        shutil.copy(file, folder)
    with closing(sqlite3.connect(folder / store.name, isolation_level=None)) as db:
        yield db


@pytest.mark.parametrize(("step", "rows_then"), [("1.file", []), ("show", [(1, "queued")])])
async def test_a_file_that_cannot_be_placed_is_undone_and_has_no_run(
    scene: AcceptingHouse, step: str, rows_then: list[object]
) -> None:
    placing = Noting(scene)
    placing.failures[step] = OSError(errno.EIO, "it broke")
    with pytest.raises(OSError, match="it broke"):
        await scene.store.land(landing(scene, placing))
    assert placing.calls[-1] == ("undo", rows_then)
    assert (scene.seen(), scene.landed_files(), scene.store.changed.is_set()) == ([], [], False)


async def test_bytes_stay_stored_until_the_file_is_kept(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    first, second = Noting(scene), Noting(scene)
    first.failures["keep"] = OSError(errno.EIO, "it broke")
    made = await scene.store.land(landing(scene, first))
    await scene.kept()
    assert (made.stored.done, scene.landed_files()) == (False, [(1, NEW)])
    first.failures["keep"] = OSError(errno.EIO, "it broke again")
    with pytest.raises(TryAgain, match="the disk could not be read or written"):
        await scene.store.land(landing(scene, second))
    assert (second.calls, scene.landed_files()) == ([], [(1, NEW)])
    third = await scene.store.land(landing(scene, second))
    assert (first.calls[-1][0], made.stored.done, third.run_id) == ("keep", True, 2)
    await third.stored()
    assert scene.landed_files() == []


async def test_a_file_of_an_unknown_tenant_makes_no_run(scene: AcceptingHouse) -> None:
    placing = Noting(scene)
    with pytest.raises(Refused, match="the tenant initech no longer exists"):
        await scene.store.land(landing(scene, placing, "initech"))
    await scene.states()
    assert placing.calls == [("undo", [])]
