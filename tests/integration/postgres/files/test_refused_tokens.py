"""A storage that takes no new token: another database on the same objects would not be noticed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.postgres.database import Database
from engine.postgres.files import owner
from engine.postgres.files.owner import Owner
from importer.errors import FilesAway
from tests.support.bucket import objects_of, storage
from tests.support.clients import POSTGRES, needs
from tests.support.faulty_storage import Fault, FaultyStorage, faulty_storage
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)

WAIT_S = 0.05


class Heard(list[str | None]):
    """The reasons that were told, and None for each time that a token was taken again."""

    def __call__(self, why: Exception | None) -> None:
        self.append(why.why if isinstance(why, FilesAway) else why and str(why))


@asynccontextmanager
async def kept(server: Owner, heard: Callable[[Exception | None], None]) -> AsyncIterator[None]:
    keeping = asyncio.create_task(server.keep(heard))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


@pytest.mark.parametrize(("fault", "why"), [("strict", "it answers 400 InvalidArgument"), ("changing", "If-Match")])
async def test_a_storage_that_takes_no_new_token_is_told_once_and_loses_no_object(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, why: str
) -> None:
    """A server that has just started would delete an object only after it has seen the token change."""
    monkeypatch.setattr(owner, "LOOK_S", 0.01)
    monkeypatch.setattr(owner, "CHANGED_S", 0.0)
    monkeypatch.setattr(owner, "SETTLED_S", 0.05)
    heard = Heard()
    await Owner(database, objects_of(tmp_path)).check()
    with faulty_storage(storage()) as between:
        between.always(fault)
        server = Owner(database, objects_of(tmp_path, between.url), WAIT_S)
        before = await _token(server, tmp_path)
        async with kept(server, heard):
            await eventually(lambda: heard)
            await _looked_at(between, 20)
            assert (server.may_delete, await _token(server, tmp_path), len(heard)) == (False, before, 1)
            between.heal()
            await eventually(lambda: len(heard) > 1)
            await eventually(lambda: server.may_delete)
            assert await _token(server, tmp_path) != before
    assert heard[1:] == [None]
    assert why in str(heard[0])


async def _token(server: Owner, folder: Path) -> bytes | None:
    return await objects_of(folder).read(await server.key(), 0, 100)


async def _looked_at(between: FaultyStorage, times: int) -> None:
    """Wait until the storage was asked so many times more."""
    before = len(between.asked)
    await eventually(lambda: len(between.asked) >= before + times)


async def test_a_storage_that_is_away_is_not_told_to_take_no_token(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pulse tells that."""
    monkeypatch.setattr(owner, "LOOK_S", 0.01)
    monkeypatch.setattr(owner, "CHANGED_S", 0.0)
    heard = Heard()
    await Owner(database, objects_of(tmp_path)).check()
    with faulty_storage(storage()) as between:
        server = Owner(database, objects_of(tmp_path, between.url))
        await server.check()
        between.always("refused")
        async with kept(server, heard):
            await _looked_at(between, 3 * owner.REFUSED_MOST)
    assert heard == []
