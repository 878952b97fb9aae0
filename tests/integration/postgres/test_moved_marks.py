"""Marks of a move: whatever is done meanwhile, also on another machine, at most one place is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.moving.tables import LINKS, SESSIONS
from engine.sqlite.moving import SqliteTables
from engine.store import Store
from engine.tokens import Role
from ground.moments import utc_now
from importer.errors import DatabaseFault
from server.doctor.findings import Finding
from server.moving import moving
from server.moving.checking import Report, compare
from server.moving.database import DatabaseSide
from server.moving.folder import FolderSide
from server.moving.moving import cancel
from server.moving.opening import is_begun
from server.moving.side import Side
from server.places.database import DatabasePlace
from server.places.folder import FolderPlace
from server.settings import ServerSettings
from server.tenants.access.sign_ins import SignIns
from server.tenants.access.tokens import Tokens
from server.tenants.local.home import open_folder
from server.tenants.moves import TARGET, Marks, Move, marks_in
from server.tenants.settings import TenantRefused
from tests.integration.postgres.test_doctor import OF_TESTS
from tests.integration.postgres.test_moved_files import database_at, folder_at, moved
from tests.support.clients import POSTGRES, needs
from tests.support.keypairs import public_line
from tests.support.postgres import connected

pytestmark = [needs(POSTGRES), pytest.mark.only_on("sqlite", "it uses both engines")]


@pytest.fixture
async def source(tmp_path: Path) -> Path:
    """A data folder with the tenant acme."""
    place = tmp_path / "source"
    async with open_folder(place) as home:
        await home.add("acme", [public_line()])
    return place


@asynccontextmanager
async def in_use(tmp_path: Path, source: Path) -> AsyncIterator[DatabaseSide]:
    """The database into which `source` was moved."""
    async with folder_at(source) as here, database_at(tmp_path) as there:
        assert (await moved(here, there)).differences == []
        yield there


def run_on(side: DatabaseSide, statement: str) -> None:
    with connected(side.tables._database.url) as database:
        database.execute(statement.encode())


async def is_used(side: Side) -> bool:
    return await marks_in(side.marks) == Marks()


@asynccontextmanager
async def two_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[FolderSide, FolderSide]]:
    """Two folders with the same path, each on a machine of its own."""
    monkeypatch.setattr(FolderSide, "name", "the data folder /var/lib/headcount")
    async with folder_at(tmp_path / "one") as one, folder_at(tmp_path / "two") as two:
        yield one, two


def before_the_end(monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[object]]) -> None:
    """Do this before a move compares both places; once."""
    left = [act]

    async def compared(*values: Any) -> Report:
        while left:
            await left.pop()()
        return await compare(*values)

    monkeypatch.setattr(moving, "compare", compared)


async def sign_ins_at(side: Side) -> int:
    """Return how many sessions and links are stored there."""
    return sum([len(batch) for table in (SESSIONS, LINKS) async for batch in side.tables.rows(table, "acme")])


async def signed_in(store: Store) -> None:
    """Store a session and a link of a token."""
    token, _ = await Tokens(store.tokens()).create("acme", Role.OWNER)
    sign_ins, now = SignIns(store.sign_ins()), utc_now()
    assert await sign_ins.open(token, now)
    assert await sign_ins.make_link(token, now)


async def test_a_source_that_is_used_again_has_no_sign_ins_from_before_its_move(tmp_path: Path, source: Path) -> None:
    """They may have been ended or used in the target meanwhile."""
    async with folder_at(source) as here, database_at(tmp_path) as there, folder_at(tmp_path / "one") as one:
        await signed_in(here._home.store)
        await moved(here, there)
        await moved(there, one)
        assert [await sign_ins_at(each) for each in (here, there, one)] == [2, 2, 2]
        for source_, target in ((there, one), (here, there)):
            assert await cancel(source_, target)
            assert await sign_ins_at(source_) == 0


async def test_a_canceled_move_that_had_not_ended_keeps_the_sign_ins(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with folder_at(source) as here, database_at(tmp_path) as there:
        await signed_in(here._home.store)
        before_the_end(monkeypatch, lambda: cancel(here, there))
        with pytest.raises(TenantRefused, match="another command canceled the move"):
            await moved(here, there)
        assert await sign_ins_at(here) == 2


async def test_only_one_of_two_moves_of_a_database_on_two_machines_ends(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message of the source says to run the same command again, and does not know on which machine."""
    async with in_use(tmp_path, source) as database, two_machines(tmp_path, monkeypatch) as (one, two):
        before_the_end(monkeypatch, lambda: moved(database, two))
        with pytest.raises(TenantRefused, match="meanwhile, or began it anew"):
            await moved(database, one)
        assert [await is_used(each) for each in (database, one, two)] == [False, False, True]
        assert not await is_begun(database, one)


async def test_a_move_that_is_canceled_on_another_machine_does_not_end(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_use(tmp_path, source) as database, two_machines(tmp_path, monkeypatch) as (one, two):
        before_the_end(monkeypatch, lambda: cancel(database, two))
        with pytest.raises(TenantRefused, match="another command canceled the move"):
            await moved(database, one)
        assert [await is_used(each) for each in (database, one)] == [True, False]


async def test_a_move_is_not_canceled_on_a_machine_that_does_not_have_its_target(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with in_use(tmp_path, source) as database, two_machines(tmp_path, monkeypatch) as (one, two):
        await moved(database, one)
        with pytest.raises(TenantRefused, match=r"but that does not have its data now\. .* on another machine"):
            await cancel(database, two)
        assert [await is_used(each) for each in (database, one)] == [False, True]


async def test_a_move_is_not_canceled_if_its_target_has_the_data_of_another_one(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was started on a machine without the folder makes one, with other data."""
    async with in_use(tmp_path, source) as database, two_machines(tmp_path, monkeypatch) as (one, two):
        await moved(database, one)
        await two._home.add("acme", [public_line()])
        for act in (cancel, moved):
            with pytest.raises(TenantRefused, match=r"but that does not have its data now\. .* on another machine"):
                await act(database, two)
        assert [await is_used(each) for each in (database, one, two)] == [False, True, True]
        assert await cancel(database, one)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM meta",
        "INSERT INTO teams (tenant_id, id, key, name) SELECT id, 1, 'a', 'a' FROM tenants",
        "DELETE FROM keys",
    ],
    ids=["tenant", "rows", "keys"],
)
async def test_a_copy_of_a_target_from_before_the_end_of_its_move_is_not_used(
    tmp_path: Path, source: Path, change: str
) -> None:
    """As a dump that was made during the move: its mark says to run the same command again."""
    async with folder_at(source) as here, database_at(tmp_path) as there:
        await moved(here, there)
        begun = (await marks_in(here.marks)).source
        assert begun
        await there.marks.put(TARGET, Move(begun.id, here.name, begun.at).to_text())
        run_on(there, change)
        with pytest.raises(TenantRefused, match="It may be a copy from before the end of the move") as caught:
            await moved(here, there)
        assert (caught.value.code, await is_used(there), await is_begun(here, there)) == ("not_equal", False, False)


async def test_a_move_that_was_killed_just_before_its_end_is_compared_again(tmp_path: Path, source: Path) -> None:
    async with folder_at(source) as here, database_at(tmp_path) as there:
        await moved(here, there)
        begun = (await marks_in(here.marks)).source
        assert begun
        await there.marks.put(TARGET, Move(begun.id, here.name, begun.at).to_text())
        report = await moved(here, there)
        assert (report.differences, report.keys, await is_used(there)) == ([], 1, True)


async def findings(place: DatabasePlace | FolderPlace) -> list[Finding]:
    """Return what the doctor finds, without what is about the server of the tests."""
    found = await asyncio.to_thread(place.findings)
    return [each for each in found if not each.what.startswith(OF_TESTS)]


async def test_doctor_says_nothing_of_a_target_but_to_go_on_with_its_move(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant that is not whole is in no backup, and its folder is not to be moved away."""

    async def full(*_: object) -> None:
        raise OSError("the disk is full")

    async with folder_at(source) as here, database_at(tmp_path) as there:
        run_on(there, "ALTER TABLE meta ADD CONSTRAINT none CHECK (false)")
        with pytest.raises(DatabaseFault):
            await moved(here, there)
        (told,) = await findings(DatabasePlace(there.tables._database.url, tmp_path / "secret"))
        assert "does not have all data yet" in told.what
        run_on(there, "ALTER TABLE meta DROP CONSTRAINT none")
        await moved(here, there)
        async with folder_at(tmp_path / "back") as back:
            with monkeypatch.context() as patch:
                patch.setattr(SqliteTables, "fill_tenant", full)
                with pytest.raises(OSError, match="the disk is full"):
                    await moved(there, back)
            (told,) = await findings(FolderPlace(ServerSettings(data_dir=tmp_path / "back")))
            assert "does not have all data yet" in told.what
